# Tables, arena and memory that are full: an answer to the one request, and nothing to anybody else.
# shellcheck shell=bash
# shellcheck disable=SC2030,SC2031 # each test is a process of its own
# shellcheck disable=SC2154 # output and lines are run's, log is setup's, alice and others are dial's

bats_require_minimum_version 1.5.0
load helper
load frame
load office

readonly FULL="the post office is full"

# Sends frames (type, body, type, body, ...) over one connection and shows the replies.
frames() {
    while [ $# -gt 0 ]; do
        frame "$1" "$2"
        shift 2
    done | timeout 20 nc -N "$HOST" "$PORT" | show_frames
}

# Sends a request so many times over one connection; prints each kind of reply without its numbers, and how often.
repeat() { # times, request
    local i
    for ((i = 0; i < $1; i++)); do
        printf '%s\n' "$2"
    done | timeout 20 nc -N "$HOST" "$PORT" | sed 's/[0-9]\+//g; s/ $//' | sort | uniq -c | sed 's/^ *//'
}

@test "accounts: one too many is refused in either protocol, others go on, a removed one makes room" {
    local name cookie
    start_server --crypt-cost 1 --accounts 4 --slots 16 --segment-size 4M
    cookie=$(enrol alice)
    for name in bob carol dan; do
        enrol "$name" >/dev/null
    done
    run ask "REGISTER eve secret" WHY "SEND bob hello $cookie" "LOGIN dan secret"
    assert_line --index 0 KO
    assert_line --index 1 "OK no room for another account"
    assert_line --index 2 "OK 1"
    assert_line --index 3 --partial "OK "
    run frames 0 '{"name": "eve@mail.ru"}' 0 '{"name": "eve@mail.ru", "password": "secret"}' 2 null
    assert_output - <<'END'
-2 "no room for another account"
-2 "no room for another account"
-2 "Log in first"
END
    expect_sound
    run ask "UNREGISTER carol secret" "REGISTER eve secret"
    assert_line --index 0 OK
    assert_line --index 1 --partial "OK "
    run ask "UNREGISTER eve secret"
    assert_output OK
    run frames 0 '{"name": "eve@mail.ru"}' 2 null
    assert_output $'0 "OK"\n2 []'
    expect_deserted
}

@test "sessions: one too many is refused, others go on, a logout makes room" {
    local cookie i
    # A post office has sessions for its accounts as of the day it was made.
    start_server --accounts 4 --slots 16 --segment-size 4M
    stop_server
    start_server --crypt-cost 1 --sessions 3
    enrol alice >/dev/null
    cookie=$(enrol bob)
    for i in 1 2; do
        run ask "LOGIN alice secret"
        assert_output --partial "OK "
    done
    run ask "REGISTER carol secret" WHY "LOGIN bob secret" WHY "SEND alice hello $cookie"
    assert_output - <<'END'
KO
OK no room for another session
KO
OK no room for another session
OK 1
END
    run ask "LOGIN alice secret" # her oldest one ends
    assert_output --partial "OK "
    expect_sound
    run ask "LOGOUT $cookie" "REGISTER carol secret"
    assert_line --index 0 OK
    assert_line --index 1 --partial "OK "
    expect_deserted
}

@test "processes: one too many is turned away and logged, others go on, one that ends makes room" {
    local one two three i long
    start_server --accounts 100 --slots 3 --segment-size 4M
    take_three_slots
    run ctl stat
    assert_failure 75
    assert_output --partial "no room for another process"
    run -69 --separate-stderr shmaild -i -n "$SHMAIL_NAME" <<<NOOP
    assert_output KO
    assert_equal "$stderr" "shmaild: warning: stdin: turned away: no room for another process"
    for i in 1 2 3; do
        run ask NOOP
        refute_output OK
    done
    run ask_nul "1 MESSAGE |x| Cookie: cookie "
    assert_output "11 KO"
    run ask "1 NOOP"
    assert_output KO
    printf -v long '%5000s' '' # more than is held of such a request
    run ask "MESSAGE ${long// /x} cookie"
    assert_output KO
    run ask_nul "1 MESSAGE |${long// /x}| Cookie: cookie "
    assert_output "11 KO"
    eventually grep -q "turned away: no room for another process" "$log"
    tell "$one" NOOP
    told "$one" OK
    exec {two}>&-
    eventually has_children 1
    run ask NOOP
    assert_output OK
    exec {one}>&- {three}>&-
    expect_deserted
}

@test "the arena: what does not fit is refused in either protocol, reading goes on, a removal makes room" {
    local cookie body count
    start_server --crypt-cost 1 --accounts 100 --slots 16 --segment-size 3M
    body=$(printf '%010000d' 0)
    cookie=$(enrol alice)
    run frames 0 '{"name": "bob@mail.ru"}'
    assert_output '0 "OK"'
    run ask "MESSAGE queued $cookie"
    assert_output OK
    run repeat 300 "SEND alice $body $cookie"
    [[ $output =~ ^([0-9]+)\ KO$'\n'([0-9]+)\ OK$ ]]
    count=${BASH_REMATCH[2]}
    [ "$count" -gt 20 ]
    run ask "SEND alice $body $cookie" WHY "MESSAGE $body $cookie" WHY "COUNT alice $cookie" "GETMSG alice $cookie" \
        "STORE bob@mail.ru $cookie"
    assert_output $'KO\nOK '"$FULL"$'\nKO\nOK '"$FULL"$'\nCOUNTED '"$count"$'\n'"$body"$'\nOK'
    run frames 0 '{"name": "bob@mail.ru"}' 1 "{\"to\": \"bob@mail.ru\", \"header\": \"\", \"text\": \"$body\"}" \
        4 '{"index": 1}' 2 null
    assert_output - <<END
0 "OK"
-2 "$FULL"
0 "OK"
2 []
END
    expect_sound
    run ask "DELMSG alice $cookie" "SEND alice $body $cookie" "COUNT alice $cookie"
    assert_output $'OK\nOK '"$((count + 1))"$'\nCOUNTED '"$count"
    run repeat 300 "DELMSG alice $cookie"
    assert_output $((300 - count))$' KO\n'"$count OK"
    run repeat "$count" "SEND alice $body $cookie"
    assert_output "$count OK"
    expect_deserted
}

@test "the arena: full of small messages and accounts it is the same" {
    local cookie body count
    start_server --crypt-cost 1 --accounts 1000 --slots 16 --segment-size 3M
    cookie=$(enrol alice)
    body=$(printf '%0150d' 0)
    run repeat 10000 "SEND alice $body $cookie"
    [[ $output =~ ^([0-9]+)\ KO$'\n'([0-9]+)\ OK$ ]]
    count=${BASH_REMATCH[2]}
    [ "$count" -gt 1000 ]
    run frames 0 "{\"name\": \"$(printf '%0200d' 0)@mail.ru\"}" # too long for any page that has room
    assert_output "-2 \"$FULL\""
    run ask "COUNT alice $cookie" "LOGIN alice wrong"
    assert_output "COUNTED $count"$'\nKO'
    expect_sound
    run repeat "$count" "DELMSG alice $cookie"
    assert_output "$count OK"
    run frames 0 "{\"name\": \"$(printf '%0200d' 0)@mail.ru\"}"
    assert_output '0 "OK"'
    run repeat $((count / 2)) "SEND alice $body $cookie"
    assert_output "$((count / 2)) OK"
    expect_deserted
}

@test "a message larger than the arena is refused and leaves nothing behind" {
    local cookie body
    start_server --crypt-cost 1 --accounts 100 --slots 16 --segment-size 3M
    cookie=$(enrol alice)
    body=$(printf '%02000000d' 0)
    run ask "SEND alice $body $cookie" WHY "MESSAGE $body $cookie" WHY
    assert_output $'KO\nOK '"$FULL"$'\nKO\nOK '"$FULL"
    expect_deserted
    run ask "SEND alice ${body:0:800000} $cookie"
    assert_output "OK 1"
}

@test "a segment too small for its tables is an error that says what it needs" {
    run -64 --separate-stderr shmaild -n "$SHMAIL_NAME" --segment-size 1M 127.0.0.1 0
    [[ $stderr == *"needs between "*" bytes"* ]]
    [ ! -e "/dev/shm/shmail-$SHMAIL_NAME" ]
}

@test "sizes that differ from those of the post office are an error that names them" {
    start_server --accounts 100 --slots 16 --segment-size 4M
    stop_server
    run -69 --separate-stderr shmaild -n "$SHMAIL_NAME" --accounts 200 127.0.0.1 0
    [[ $stderr == *"--accounts 100 --slots 16 --segment-size 4194304"* ]]
    start_server --accounts 100
}

@test "a new post office has slots for as many connections as are asked for, and later no more" {
    start_server -c 1500 -d journal
    run -0 shmailctl -n "$SHMAIL_NAME" stat
    assert_output --partial "2 of 1501" # the keeper's, and its own
    stop_server
    start_server -c 1400 -d journal
    stop_server
    run -64 --separate-stderr shmaild -n "$SHMAIL_NAME" -c 1501 -d journal 127.0.0.1 0
    [[ $stderr == *"-c 1501: post office $SHMAIL_NAME has 1501 process slots"* ]]
    run -64 --separate-stderr shmaild -n "$SHMAIL_NAME" -c 1501 --slots 1501 -d journal 127.0.0.1 0
    [[ $stderr == *"-c 1501: more connections than process slots (--slots) are left for them, 1500"* ]]
}

# A server whose shared memory is a file system of its own, of so many bytes.
start_in_small_memory() { # size, [server option]...
    local real=$SHMAIL_BUILD size=$1
    shift
    unshare -rm mount -t tmpfs none /dev/shm 2>/dev/null || skip "no file system may be mounted here"
    mkdir bin
    cat >bin/shmaild <<END
#!/bin/sh
exec unshare -rm sh -c 'mount -t tmpfs -o size=$size none /dev/shm && exec "\$@"' sh "$real/shmaild" "\$@"
END
    chmod +x bin/shmaild
    # There is no other user.
    SHMAIL_BUILD=$PWD/bin start_server --crypt-cost 1 --accounts 100 --slots 16 --segment-size 64M --run-as-root "$@"
}

# shmailctl where that server is.
inside() {
    nsenter -t "$SHMAIL_PID" -U -m --preserve-credentials "$(command -v shmailctl)" -n "$SHMAIL_NAME" "$@"
}

@test "no memory behind the segment is an answer, and no signal" {
    local cookie body count
    start_in_small_memory 2m
    body=$(printf '%010000d' 0)
    cookie=$(enrol alice)
    run repeat 300 "SEND alice $body $cookie"
    [[ $output =~ ^([0-9]+)\ KO$'\n'([0-9]+)\ OK$ ]]
    count=${BASH_REMATCH[2]}
    [ "$count" -gt 20 ]
    run ask "SEND alice $body $cookie" WHY "COUNT alice $cookie" "DELMSG alice $cookie" "SEND alice $body $cookie"
    assert_output $'KO\nOK '"$FULL"$'\nCOUNTED '"$count"$'\nOK\nOK '"$((count + 1))"
    run -0 inside check
    assert_output clean
    run grep -c "signal" "$log"
    assert_output 0
}

@test "no memory behind the segment, beside a journal: what was acknowledged is there after a reboot" {
    local cookie body count
    start_in_small_memory 2m -d "$PWD/journal" --journal-size 4M
    body=$(printf '%010000d' 0)
    cookie=$(enrol alice)
    run repeat 300 "SEND alice $body $cookie"
    [[ $output =~ ^([0-9]+)\ KO$'\n'([0-9]+)\ OK$ ]]
    count=${BASH_REMATCH[2]}
    [ "$count" -gt 20 ]
    run ask "DELMSG alice $cookie" "SEND alice $body $cookie"
    assert_output $'OK\nOK '"$((count + 1))"
    run -0 inside check
    assert_output clean
    run grep -c "signal" "$log"
    assert_output 0
    stop_server # and its memory is gone
    run -0 shmailctl -d journal check
    assert_output clean
    start_server --crypt-cost 1 -d "$PWD/journal"
    cookie=$(ask "LOGIN alice secret" | cut -d' ' -f2)
    run ask "COUNT alice $cookie"
    assert_output "COUNTED $count"
}
