# Processes that are killed or stopped: what was acknowledged stays, and nobody else is harmed. At random and
# under load the same is done in tests/test_torture.c.
# shellcheck shell=bash
# shellcheck disable=SC2030,SC2031 # each test is a process of its own
# shellcheck disable=SC2154 # output is run's, log is setup's, alice, bob, ... are dial's

bats_require_minimum_version 1.5.0
load helper
load frame
load office

deaths() {
    grep -c 'was ended by signal 9' "$log"
}

@test "a stopped child holds up nobody, loses nothing, and goes on" {
    local cookie child
    start_server --crypt-cost 1
    cookie=$(enrol alice)
    eventually has_children 0
    dial alice
    eventually has_children 1
    child=$(children)
    kill -STOP "$child"
    tell "$alice" "SEND alice one $cookie" "SEND alice two $cookie" "COUNT alice $cookie"
    run ask "SEND alice zero $cookie" "COUNT alice $cookie"
    assert_output $'OK 1\nCOUNTED 1'
    kill -CONT "$child"
    told "$alice" "OK 2" "OK 3" "COUNTED 3"
    exec {alice}>&-
    expect_deserted
}

@test "a stopped process is not taken for dead: its name and its slot stay its own" {
    local name child
    start_server
    connect name
    say "$name" 0 '{"name": "alice@mail.ru"}'
    hear "$name" '0 "OK"'
    eventually has_children 1
    child=$(children | tr -d ' ')
    kill -STOP "$child"
    for _ in {1..5}; do
        run show_frames < <(frame 0 '{"name": "alice@mail.ru"}' | nc -N "$HOST" "$PORT")
        assert_output '-2 "Such user is already logged in"'
        expect_sound # it reclaims what the dead have left
    done
    run ctl ps
    assert_line --regexp "	$child	.*	message	alive	alice@mail.ru	"
    kill -CONT "$child"
    say "$name" 2 null
    hear "$name" '2 []'
    hang_up "$name"
    expect_deserted
}

@test "the server killed: its children go on, and a new one beside them finds their mail" {
    local cookie letters old_port
    start_server --crypt-cost 1
    cookie=$(enrol alice)
    dial alice
    dial waiter
    tell "$waiter" "WAIT alice 2 20 $cookie"
    old_port=$PORT
    kill_server
    run exchange "$alice" "SEND alice one $cookie"
    assert_output "OK 1"

    start_server --crypt-cost 1
    [ "$PORT" -ne "$old_port" ]
    letters=$(enrol bob)
    run ask "GETMSG alice $cookie" "SEND alice two $letters"
    assert_output $'one\nOK 2'
    told "$waiter" "COUNTED 2"
    tell "$alice" "FETCH alice 2 $cookie" "SEND bob three $cookie"
    told "$alice" "OK 3" two "OK 1"
    run ask "GETMSG bob $letters"
    assert_output three
    expect_sound
    tell "$alice" QUIT # its end of the connection is open in the new server too
    tell "$waiter" QUIT
    expect_deserted
    exec {alice}>&- {waiter}>&-
}

# Else some wait in the backlog, which ends with the server.
has_all_children() {
    [ "$(children | wc -w)" -eq 64 ]
}

@test "the server killed under load: its children go on, and a new one takes its address" {
    local address tool operations=300000 # it is to be killed long before they are done: then all connect anew
    start_server --crypt-cost 1
    address=$SHMAIL_SERVER
    [[ $SHMAIL_BUILD != *sanitize ]] || operations=120000
    "$SHMAIL_BUILD/tests/tool_load" "$SHMAIL_SERVER" 64 "$operations" >figures 2>&1 3>&- &
    tool=$!
    eventually has_all_children
    kill_server
    start_server --crypt-cost 1 -l "$address"
    wait "$tool" || { cat figures; return 1; }
    grep -q '; 0 connections lost' figures || { cat figures; return 1; }
    expect_deserted
}

# The journal's keeper among a server's children.
keeper() {
    local pid
    for pid in $(children); do
        [ "$(<"/proc/$pid/comm")" != "shmaild: keeper" ] || echo "$pid"
    done
}

has_keeper() {
    [ -n "$(keeper)" ]
}

is_kept() {
    ctl ps 2>/dev/null | grep -q '	keeper	alive	'
}

# Whole blocks, in writes past the page cache: where the file system of this test takes such.
@test "everything killed: what was acknowledged is read from the disk again" {
    local connection child cookie i
    command -v strace >/dev/null || skip "strace is not installed"
    strace -o /dev/null true 2>/dev/null || skip "strace may trace nobody here"
    dd if=/dev/zero of=probe bs=4096 count=1 oflag=direct 2>/dev/null || skip "no O_DIRECT here"
    start_server --crypt-cost 1 -d journal
    eventually has_keeper
    cookie=$(enrol alice)
    dial connection
    eventually has_children 2
    child=$(children | tr ' ' '\n' | grep -vx "$(keeper)")
    strace -p "$child" -o trace -e trace=pwritev,pread64 2>said &
    local tracer=$!
    eventually grep -q attached said
    for i in {1..9}; do
        tell "$connection" "SEND alice $(printf "%0$((i * 700))d" "$i") $cookie"
        told "$connection" "OK $i"
    done
    kill "$tracer"
    wait "$tracer" || true
    run -0 grep -c "^pwritev.*iov_len=[0-9]*\(4096\|8192\|12288\)}], 1, [0-9]*) = " trace
    assert_output 9
    run ! grep pread64 trace # each group goes on where the one before has ended
    kill -KILL "$child"
    kill_server
    exec {connection}>&-
    eventually flock -n journal/lock true # its keeper goes after it
    remove_segment
    start_server --crypt-cost 1 -d journal
    cookie=$(ask "LOGIN alice secret" | cut -d' ' -f2)
    for i in {1..9}; do
        run ask "FETCH alice $i $cookie"
        assert_output --partial "$(printf "%0$((i * 700))d" "$i")"
    done
    expect_sound
}

@test "the server killed: a new one has its address though the old one's keeper has not ended" {
    local old
    start_server --crypt-cost 1 -d journal -l "unix:$PWD/socket"
    eventually has_keeper
    old=$(keeper)
    kill -STOP "$old"
    kill_server
    start_server --crypt-cost 1 -d journal -l "unix:$PWD/socket"
    run ask "REGISTER alice secret"
    assert_output --partial "OK "
    kill -CONT "$old"
    expect_sound
}

@test "a keeper that is killed is named in the log, and followed" {
    local first
    start_server --crypt-cost 1 -d journal
    eventually has_keeper
    first=$(keeper)
    kill -KILL "$first"
    eventually grep -q "child $first was ended by signal 9" "$log"
    grep -q "that was the journal's keeper; another one follows" "$log"
    eventually has_keeper
    [ "$(keeper)" != "$first" ]
    stop_server
}

@test "a keeper that dies as soon as it is made is followed after a moment, not at once" {
    local deadline kills=0 pid
    start_server --crypt-cost 1 -d journal
    eventually has_keeper
    deadline=$((SECONDS + 3))
    while [ "$SECONDS" -lt "$deadline" ]; do
        pid=$(keeper)
        [ -z "$pid" ] || ! kill -KILL "$pid" || kills=$((kills + 1))
    done 2>/dev/null
    [ "$kills" -ge 2 ]
    [ "$kills" -le 8 ] # before it is reaped it may be killed twice
    eventually has_keeper
}

@test "a keeper that is stopped ends with its server" {
    local stopped start
    start_server --crypt-cost 1 -d journal
    eventually has_keeper
    stopped=$(keeper)
    kill -STOP "$stopped"
    start=$SECONDS
    stop_server
    [ $((SECONDS - start)) -le 5 ]
    run ! kill -0 "$stopped"
}

@test "a server beside a keeper that is not its own makes one keeper, which stands by" {
    local held first
    mkfifo requests
    "$SHMAIL_BUILD/shmaild" -i --crypt-cost 1 -d journal -n "$SHMAIL_NAME" <requests >replies 3>&- &
    exec {held}>requests
    tell "$held" NOOP
    eventually is_kept
    start_server --crypt-cost 1 -d journal
    eventually has_keeper
    first=$(keeper)
    [ -n "$first" ]
    for _ in {1..10}; do
        run ask NOOP
        assert_output OK
        [ "$(keeper)" = "$first" ]
    done
    exec {held}>&-
}

# Stops the server and starts it again, or kills it with its children.
restart() { # stop or kill
    local child
    if [ "$1" = kill ]; then
        for child in $(children); do
            kill -KILL "$child" || true # it may have ended, and not have been collected
        done
        kill_server
    else
        stop_server
    fi
    start_server --crypt-cost 1
}

@test "accounts, sessions, mail, queues and ids are there after a restart and after a crash" {
    local how cookie connection
    for how in stop kill; do
        start_server --crypt-cost 1
        cookie=$(enrol alice)
        frame 0 '{"name": "carol@mail.ru"}' | nc -N "$HOST" "$PORT" >carol
        run ask "SEND alice one $cookie" "SEND alice two $cookie" "SEND alice three $cookie" \
            "REMOVE alice 3 $cookie" "MESSAGE queued $cookie" "SEND carol@mail.ru hello $cookie"
        assert_output $'OK 1\nOK 2\nOK 3\nOK\nOK\nOK 1'
        dial connection
        restart "$how"
        run ask "COUNT alice $cookie" "GETMSG alice $cookie" "STORE alice $cookie" "FETCH alice 4 $cookie" \
            "LOGIN alice wrong" "REGISTER alice secret" "SEND alice five $cookie"
        assert_output $'COUNTED 2\none\nOK\nOK 6\nqueued\nKO\nKO\nOK 5'
        run bash -c "ask() { $(declare -f ask | tail -n +2); }; ask 'LOGIN alice secret'"
        assert_output --partial "OK "
        run show_frames < <({
            frame 0 '{"name": "carol@mail.ru"}'
            frame 3 '{"index": 1}'
        } | nc -N "$HOST" "$PORT")
        assert_line --index 1 --partial '"id": 1, "source": "alice@mail.localhost"'
        exec {connection}>&-
        expect_deserted
        stop_server
        remove_segment
    done
}

# As inetd: a process for each connection, which nobody watches. $inetd is who makes them.
start_inetd() {
    socat -d -d "UNIX-LISTEN:$PWD/socket,fork,backlog=64" \
        "EXEC:$SHMAIL_BUILD/shmaild -i --crypt-cost 1 -n $SHMAIL_NAME,nofork" 2>socat.log 3>&- &
    inetd=$!
    eventually grep -q 'listening on' socat.log
}

end_inetd() {
    kill "$inetd"
    wait "$inetd" || :
}

@test "8 processes without a parent make a post office and deliver to each other" {
    local inetd
    start_inetd
    load_with "unix:$PWD/socket" 8 10000
    assert_output --partial "; 0 connections lost"
    expect_deserted
    end_inetd
}

@test "a name of Message is free as soon as its process is killed" {
    local name
    start_server
    for _ in {1..5}; do
        connect name
        say "$name" 0 '{"name": "alice@mail.ru"}'
        hear "$name" '0 "OK"'
        eventually has_children 1
        kill -KILL "$(children | tr -d ' ')"
        hang_up "$name"
    done
    eventually has_children 0
    run deaths
    assert_output 5
    expect_deserted
}

mebibytes() {
    ctl stat | sed -n 's/^blocks\t\([0-9]*\)\..*/\1/p'
}

@test "a child killed while it sends gives its message back" {
    local cookie reader
    start_server --crypt-cost 1
    cookie=$(enrol alice)
    run ask "SEND alice $(printf '%01500000d' 0) $cookie"
    assert_output "OK 1"
    eventually has_children 0
    dial reader
    for _ in {1..20}; do
        echo "FETCH alice 1 $cookie"
    done >&"$reader"
    run -0 read -r -t 10 -u "$reader" # the first of 30 MB, which nobody reads
    run ask "DELMSG alice $cookie" "COUNT alice $cookie"
    assert_output $'OK\nCOUNTED 0'
    [ "$(mebibytes)" -ge 1 ]
    eventually has_children 1
    kill -KILL "$(children | tr -d ' ')"
    exec {reader}>&-
    expect_deserted
    [ "$(mebibytes)" -eq 0 ]
}
