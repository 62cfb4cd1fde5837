# shmaild as its operator meets it: options, addresses, signals, limits, and the two ways to run it.
# shellcheck shell=bash
# shellcheck disable=SC2030,SC2031 # each test is a process of its own
# shellcheck disable=SC2154 # output, stderr and lines are run's

bats_require_minimum_version 1.5.0
load helper

setup() {
    cd "$BATS_TEST_TMPDIR" || return 1
    log=$BATS_FILE_TMPDIR/shmaild.log
    : >"$log"
}

teardown() {
    local result=0
    stop_server || result=$?
    remove_segment
    return "$result"
}

# Opens a connection as descriptor $connection and waits until a child serves it.
connect() {
    exec {connection}<>"/dev/tcp/$HOST/$PORT"
    say NOOP
    hear OK
}

say() { # request [descriptor]
    printf '%s\n' "$1" >&"${2:-$connection}"
}

hear() { # reply [descriptor]
    local reply
    read -r -t 10 -u "${2:-$connection}" reply
    [ "$reply" = "$1" ]
}

hang_up() { # descriptor...
    local descriptor
    for descriptor; do
        exec {descriptor}>&-
    done
}

# Sends the server a signal, waits for its end, and leaves its status in $status and the seconds in $seconds.
end_by() {
    local start=$SECONDS
    status=0
    kill -s "$1" "$SHMAIL_PID"
    wait "$SHMAIL_PID" || status=$?
    seconds=$((SECONDS - start))
    forget_server
}

has_ipv6() {
    grep -q '^00000000000000000000000000000001 ' /proc/net/if_inet6 2>/dev/null
}

@test "-1 prints each bound address, and every one is served" {
    local bound
    has_ipv6 || skip "no IPv6 here"
    start_server -l inet:::1:0 -l "unix:$PWD/socket"
    mapfile -t bound <<<"$SHMAIL_BOUND"
    [[ ${bound[0]} =~ ^inet:127\.0\.0\.1:[1-9][0-9]*$ ]]
    [[ ${bound[1]} =~ ^inet:\[::1\]:[1-9][0-9]*$ ]]
    [ "${bound[2]}" = "unix:$PWD/socket" ]
    [ "${#bound[@]}" -eq 3 ]
    run ask NOOP
    assert_output OK
    run nc -N ::1 "${bound[1]##*:}" <<<NOOP
    assert_output OK
    run nc -N -U socket <<<NOOP
    assert_output OK
}

@test "-1 closes its output, so a command substitution ends while the server runs" {
    local bound
    bound=$("$SHMAIL_BUILD/shmaild" -e -1 127.0.0.1 0 2>/dev/null 3>&- & echo $! >pid)
    kill -0 "$(<pid)"
    HOST=127.0.0.1 PORT=${bound##*:}
    run ask NOOP
    assert_output OK
    kill "$(<pid)"
}

@test "HOST PORT and -l may be given together" {
    local bound
    bound=$("$SHMAIL_BUILD/shmaild" -e -1 -l unix:socket 127.0.0.1 0 2>/dev/null 3>&- & echo $! >pid)
    kill "$(<pid)"
    [[ $bound =~ ^unix:socket[[:space:]]inet:127\.0\.0\.1:[1-9][0-9]*$ ]]
}

@test "an address in use is an error that names it" {
    start_server -l unix:socket
    run -69 --separate-stderr shmaild -e "$HOST" "$PORT"
    [[ $stderr == *"$SHMAIL_SERVER"*"Address already in use"* ]]
    run -69 --separate-stderr shmaild -e -l unix:socket
    [[ $stderr == *"unix:socket"*"another server answers there"* ]]
    [ -S socket ]
}

@test "two servers on one post office is an error that names it" {
    start_server
    run -69 --separate-stderr shmaild -n "$SHMAIL_NAME" 127.0.0.1 0
    [[ $stderr == *"$SHMAIL_NAME"*"has a server already"* ]]
    run ask NOOP
    assert_output OK
}

@test "TERM and INT end idle and waiting clients" {
    local signal cookie idle
    for signal in TERM INT; do
        start_server --crypt-cost 1
        connect
        idle=$connection
        cookie=$(ask "REGISTER $signal secret")
        connect
        say "WAIT $signal 1 60 ${cookie#OK }"
        eventually has_children 2
        end_by "$signal"
        [ "$status" -eq 0 ]
        [ "$seconds" -le 2 ]
        run -1 read -r -t 5 -u "$idle"
        run sed '0,/listening on/d' "$log" # GNU's 0: it may be the first line
        assert_output "shmaild: stopped"
        : >"$log"
        exec {idle}>&- {connection}>&-
    done
}

waits_for_journal() {
    grep -q "waiting for the end of a check or a repair there" "$log"
}

@test "TERM and INT end a server that waits for the journal, which leaves no socket" {
    local signal worker
    mkdir journal
    exec {worker}>journal/lock
    flock "$worker"
    for signal in TERM INT; do
        : >"$log"
        shmaild -n "$SHMAIL_NAME" -d journal -l unix:socket 127.0.0.1 0 2>>"$log" 3>&- &
        SHMAIL_PID=$!
        eventually waits_for_journal
        [ -S socket ]
        end_by "$signal"
        [ "$status" -eq 0 ]
        [ "$seconds" -le 2 ]
        [ ! -e socket ]
    done
    : >"$log"
    shmaild -i -n "$SHMAIL_NAME" -d journal <<<NOOP 2>>"$log" 3>&- &
    SHMAIL_PID=$!
    eventually waits_for_journal
    end_by TERM
    [ "$status" -eq 0 ]
    [ "$seconds" -le 2 ]
    exec {worker}>&-
    start_server -d journal
    run ask NOOP
    assert_output OK
}

@test "the log says of a client that waits for mail that the server let it go" {
    local cookie
    start_server --crypt-cost 1 -v
    cookie=$(ask "REGISTER alice secret")
    connect
    say "WAIT alice 1 60 ${cookie#OK }"
    eventually has_children 1
    stop_server
    grep -q 'closed: the server is closing down' "$log"
    exec {connection}>&-
}

@test "where one source may have all connections, further ones wait" {
    local n held=()
    start_server -c 4 --per-source 4
    for n in {0..5}; do
        exec {connection}<>"/dev/tcp/$HOST/$PORT"
        held+=("$connection")
        say NOOP
    done
    for n in {0..3}; do
        hear OK "${held[n]}"
    done
    run ! read -r -t 0.3 -u "${held[4]}"
    hang_up "${held[0]}" "${held[1]}"
    hear OK "${held[4]}"
    hear OK "${held[5]}"
    hang_up "${held[@]:2}"
}

@test "a connection that only waits for its client to close has given its slot back" {
    start_server --slots 1 -c 1
    connect
    say QUIT
    hear OK
    run -0 shmailctl -n "$SHMAIL_NAME" account list
    has_children 1
    hang_up "$connection"
}

@test "a user of this machine may have three quarters of all connections over unix" {
    local held=() clients=() n requests
    start_server -c 4 -l "unix:$BATS_TEST_TMPDIR/socket"
    for n in {1..3}; do
        mkfifo "requests$n"
        socat - "UNIX-CONNECT:$BATS_TEST_TMPDIR/socket" <"requests$n" >"replies$n" 3>&- &
        clients+=($!)
        exec {requests}>"requests$n"
        held+=("$requests")
        say NOOP "$requests"
        eventually grep -q OK "replies$n"
    done
    run socat - "UNIX-CONNECT:$BATS_TEST_TMPDIR/socket" <<<NOOP
    refute_output --partial OK
    eventually grep -q ": unix:uid=$UID,pid=[0-9]*: closed: its source has 3 connections already" "$log"
    hang_up "${held[@]}"
    wait "${clients[@]}"
}

has_no_children() {
    [ -z "$(children)" ]
}

# Who was turned away has made the parent busy, and it waits for no process to be made.
@test "who has ended is looked after though nobody else comes" {
    local first second
    start_server --per-source 1
    exec {first}<>"/dev/tcp/$HOST/$PORT"
    echo NOOP >&"$first"
    read -r -t 10 -u "$first"
    exec {second}<>"/dev/tcp/$HOST/$PORT"
    run -1 read -r -t 0.8 -u "$second" # its end, and not only when the parent looks the next time
    eventually grep -q ": 127\.0\.0\.1:[0-9]*: closed: its source has 1 connections already" "$log"
    exec {first}>&- {second}>&-
    eventually has_no_children
}

@test "who is one too many when the server ends is not let in by that" {
    local second
    start_server --per-source 1
    connect
    say NOOP
    hear OK
    exec {second}<>"/dev/tcp/$HOST/$PORT"
    stop_server
    run ! grep -q "cannot ask for a process" "$log"
    exec {connection}>&- {second}>&-
}

# accept4(2) fails for ever, so the listener stays ready: ppoll(2) never sleeps, and alone lets no signal in.
@test "TERM ends a server that always has something to do" {
    local number=242 client
    [ "$(uname -m)" != x86_64 ] || number=288
    mkdir -p bin
    printf '#!/bin/sh\nexec "%s" %s -- "%s" "$@"\n' "$SHMAIL_BUILD/tests/tool_without" "$number" \
        "$SHMAIL_BUILD/shmaild" >bin/shmaild
    chmod +x bin/shmaild
    SHMAIL_BUILD=$PWD/bin start_server
    exec {client}<>"/dev/tcp/$HOST/$PORT"
    sleep 0.2
    stop_server
    exec {client}>&-
}

@test "an inherited listener that is shut down is left out, and the others are served as before" {
    command -v python3 >/dev/null || skip "no python3 here"
    run -0 timeout 30 python3 - "$SHMAIL_BUILD/shmaild" "$log" 3>&- <<'PYTHON'
import os, socket, subprocess, sys

kept, broken = (socket.create_server(("127.0.0.1", 0)) for _ in range(2))

def hand_over():
    high = [os.dup2(listener.fileno(), 100 + i) for i, listener in enumerate((kept, broken))]
    for i, descriptor in enumerate(high):
        os.dup2(descriptor, 3 + i)
        os.close(descriptor)

server = subprocess.Popen(["sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh", sys.argv[1], "-e", "-1"],
                          stdout=subprocess.PIPE, stderr=open(sys.argv[2], "w"), close_fds=False,
                          preexec_fn=hand_over, env=dict(os.environ, LISTEN_FDS="2"))

def ask():
    with socket.create_connection(kept.getsockname(), 5) as connection:
        connection.sendall(b"NOOP\n")
        assert connection.recv(3) == b"OK\n"

try:
    server.stdout.read()
    ask()
    broken.shutdown(socket.SHUT_RD)
    for _ in range(20):
        ask()
    logged = open(sys.argv[2]).read()
    assert logged.count("any more") == 1, logged
    assert "cannot listen on inet:127.0.0.1:%d any more" % broken.getsockname()[1] in logged, logged
    kept.shutdown(socket.SHUT_RD)
    server.terminate()
    assert server.wait(5) == 0
finally:
    server.kill()
PYTHON
}

@test "TERM ends a client that never reads, within 5 seconds" {
    local cookie
    start_server --crypt-cost 1
    cookie=$(ask "REGISTER alice secret")
    cookie=${cookie#OK }
    run ask "SEND alice $(printf '%0500000d' 0) $cookie"
    assert_output "OK 1"
    connect
    for _ in {1..200}; do
        echo "FETCH alice 1 $cookie"
    done >&"$connection"
    run -0 read -r -t 10 -u "$connection" # the first of 100 MB
    end_by TERM
    [ "$status" -eq 0 ]
    [ "$seconds" -le 5 ]
    exec {connection}>&-
}

# Standard error is a pipe that somebody has open and does not read.
@test "a log that nobody reads holds up no reply, no end of a connection, and no end within 5 seconds" {
    local reader start
    rm "$log"
    mkfifo "$log"
    exec {reader}<>"$log"
    start_server --crypt-cost 1
    run ask "REGISTER alice secret"
    dd if=/dev/zero of="$log" bs=4096 oflag=nonblock 2>/dev/null || : # until it is full
    rm "$log"
    run -0 timeout 2 nc -N "$HOST" "$PORT" <<<"LOGIN alice wrong"
    assert_output KO
    connect
    say DUMP
    hang_up "$connection"
    eventually has_no_children
    start=$SECONDS
    stop_server
    [ $((SECONDS - start)) -le 5 ]
    exec {reader}>&-
}

# Without room for a whole line a terminal still says that it is ready.
@test "a terminal that nobody reads holds up neither the server nor DUMP" {
    command -v python3 >/dev/null || skip "no python3 here"
    run -0 timeout 60 python3 - "$SHMAIL_BUILD/shmaild" 3>&- <<'PYTHON'
import os, pty, signal, socket, subprocess, sys, time
reader, terminal = pty.openpty()
server = subprocess.Popen([sys.argv[1], "-e", "-1", "-l", "inet:127.0.0.1:0", "--crypt-cost", "1", "-v"],
                          stdout=subprocess.PIPE, stderr=terminal)
port = int(server.stdout.readline().decode().rsplit(":", 1)[1])

def ask(*requests):
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        replies = connection.makefile("rb")
        for request in requests:
            connection.sendall(request.encode() + b"\n")
            reply = replies.readline().decode().split()
            assert reply[0] == "OK", request
        return reply[-1]

try:
    began = time.monotonic()
    while time.monotonic() - began < 0.1:  # until lines are lost, which are waited for so long
        began = time.monotonic()
        ask("NOOP")
    os.read(reader, 1000)
    cookie = ask("REGISTER alice secret")
    ask(*[f"SEND alice {'y' * 200} {cookie}"] * 300)
    ask("DUMP", "NOOP")
    os.kill(server.pid, signal.SIGTERM)
    assert server.wait(5) == 0
finally:
    server.kill()
PYTHON
}

@test "a request under way is finished before the server ends" {
    local reply
    start_server --crypt-cost 6
    connect
    say "REGISTER alice secret"
    kill -TERM "$SHMAIL_PID"
    read -r -t 10 -u "$connection" reply
    [[ $reply == "OK "* ]]
    wait "$SHMAIL_PID"
    forget_server
    exec {connection}>&-
}

@test "HUP is logged and changes nothing" {
    start_server
    connect
    kill -HUP "$SHMAIL_PID" "$(children)"
    eventually grep -q HUP "$log"
    say NOOP
    hear OK
    run ask NOOP
    assert_output OK
}

@test "no zombie is left" {
    start_server
    for _ in {1..20}; do
        ask NOOP >/dev/null
    done
    eventually has_children 0
}

@test "a child is recognisable, and one that is killed is logged and takes nobody along" {
    local child
    start_server
    connect
    child=$(children)
    [ "$(<"/proc/${child% }/comm")" = "shmaild: child" ]
    kill -KILL "${child% }"
    eventually grep -q "child ${child% } was ended by signal 9" "$log"
    run ask NOOP
    assert_output OK
    exec {connection}>&-
}

@test "children outlive a killed server, and a new one starts beside them" {
    local old port
    start_server
    connect
    old=$connection port=$PORT
    kill_server
    say NOOP "$old"
    hear OK "$old"
    start_server -l "inet:127.0.0.1:$port"
    say NOOP "$old"
    hear OK "$old"
    connect
    exec {old}>&- {connection}>&-
}

@test "-c 1 lets the second connection wait until the first has gone" {
    local first second
    start_server -c 1
    connect
    first=$connection
    exec {second}<>"/dev/tcp/$HOST/$PORT"
    say NOOP "$second"
    run ! read -r -t 0.3 -u "$second"
    say NOOP "$first"
    hear OK "$first"
    exec {first}>&-
    hear OK "$second"
    exec {second}>&-
}

@test "out of descriptors the server waits, and goes on when there are some" {
    start_server
    prlimit --pid "$SHMAIL_PID" --nofile=3:1024
    exec {connection}<>"/dev/tcp/$HOST/$PORT"
    say NOOP
    eventually grep -q "cannot accept a connection" "$log"
    prlimit --pid "$SHMAIL_PID" --nofile=1024:1024
    hear OK
    run grep -c "cannot accept" "$log"
    assert_output 1
    exec {connection}>&-
}

@test "out of descriptors nobody waits for connections of who has his share already" {
    local held=() more=() each descriptors
    start_server --per-source 3 -c 16
    for _ in {1..3}; do
        connect
        held+=("$connection")
    done
    descriptors=("/proc/$SHMAIL_PID/fd/"*)
    prlimit --pid "$SHMAIL_PID" --nofile="$((${#descriptors[@]} + 4)):1024"
    for _ in {1..12}; do
        exec {each}<>"/dev/tcp/$HOST/$PORT"
        more+=("$each")
    done
    run nc -s 127.0.0.2 -N "$HOST" "$PORT" <<<NOOP
    assert_output OK
    run ! grep -q "cannot accept a connection" "$log"
    hang_up "${held[@]}" "${more[@]}"
}

@test "a wrong option or value ends with 64 and one line that names it" {
    local wrong value
    for wrong in "-x" "--frob" "--help=1" "--version=x" "-n" "-n " "-n .a" "-n a/b" "-n $(printf '%065d' 0)" "-D" "-D local host" "-D nodot" \
        "-D a@b.c" "-D $(printf '%0200d' 0).c" "-t -1" "-t 1s" "-t " "-t 99999999999" "-m 0" "-m 1025M" "-m 10MB" \
        "-m 99999999999999999999" "-m K" "-c 0" "-c many" "-c 65537" "--proxy" "-l inet:127.0.0.1" "-l tcp:127.0.0.1:1" \
        "-l inet:127.0.0.1:65536" "-l unix:" "-l unix:$(printf '%0108d' 0)" "--crypt-cost 0" "--crypt-cost 12" \
        "--crypt-cost" "--accounts 0" "--slots 0" "--slots x" "--segment-size 1" "--segment-size 65G" "--sessions 0"; do
        if [[ $wrong == *" "* ]]; then value=${wrong#* }; else value=; fi
        run -64 --separate-stderr shmaild "${wrong%% *}" ${value:+"$value"}
        [ -z "$output" ]
        [ "${#stderr_lines[@]}" -eq 1 ]
        [[ $stderr == "shmaild: error: "*"${wrong% }"* ]]
    done
}

@test "the script of the manual page that needs no port and no sleep works as it is written" {
    sed -n '/^A server on any port in a script/,/^\.Ed/p' "$BATS_TEST_DIRNAME/../src/server/shmaild.8" |
        sed '/^[A.]/d' >script
    grep -q shmaild script
    run -0 timeout 20 sh -e script
    assert_output --regexp '^[A-Za-z0-9_-]{43}$'
    tail -n 1 log | grep -qx "shmaild: stopped"
}

@test "how many connections there are at once has no effect on the one of -i" {
    run -0 shmaild -i -e -c 65536 --per-source 1 --spare 3 <<<NOOP
    assert_output OK
}

@test "options that do not go together end with 64" {
    run -64 shmaild -i 127.0.0.1 0
    run -64 shmaild -i -l inet:127.0.0.1:0
    run -64 shmaild -i -1
    run -64 shmaild -c 9 --slots 8 127.0.0.1 0
    run -64 shmaild -c 8 --slots 8 -d journal 127.0.0.1 0
    run -64 shmaild --slots 1 -d journal 127.0.0.1 0
    assert_output --partial "the keeper of a journal (-d) takes that one"
    run -64 shmaild 127.0.0.1
    run -64 shmaild 127.0.0.1 0 0
    run -64 shmaild 127.0.0.1 http
    run -64 shmaild "" 0
    [ ! -e "/dev/shm/shmail-$SHMAIL_NAME" ]
}

@test "the version and the help go to standard output" {
    local option
    for option in -V --version; do
        run -0 --separate-stderr shmaild "$option"
        [[ $output =~ ^shmaild\ [0-9]+\.[0-9]+\.[0-9]+$ ]]
    done
    for option in -h --help; do
        run -0 --separate-stderr shmaild "$option"
        [ "${lines[0]}" = "usage: shmaild [OPTIONS] [HOST PORT]" ]
        [ -z "$stderr" ]
    done
}

@test "-e leaves nothing behind, and begins empty" {
    start_server -e --crypt-cost 1
    run ask "REGISTER alice secret"
    assert_output --partial "OK "
    [ ! -e "/dev/shm/shmail-$SHMAIL_NAME" ]
    stop_server
    [ ! -e "/dev/shm/shmail-$SHMAIL_NAME" ]
    start_server -e
    run ask "LOGIN alice secret"
    assert_output KO
}

@test "a restarted server finds the accounts and sessions as they were" {
    local cookie
    start_server --crypt-cost 1
    cookie=$(ask "REGISTER alice secret")
    stop_server
    start_server
    run ask "COUNT alice ${cookie#OK }"
    assert_output "COUNTED 0"
}

@test "-m bounds a message" {
    local cookie
    start_server --crypt-cost 1 -m 10
    cookie=$(ask "REGISTER alice secret")
    run ask "MESSAGE 0123456789 ${cookie#OK }" "MESSAGE 0123456789a ${cookie#OK }"
    assert_output OK$'\n'KO
}

@test "an idle client is closed after -t seconds" {
    start_server -v -t 1
    connect
    run -1 read -r -t 10 -u "$connection"
    eventually grep -q "idle for too long" "$log"
    exec {connection}>&-
}

@test "connections are logged with -v only" {
    start_server
    ask NOOP >/dev/null
    stop_server
    run grep -c 'connected$' "$log"
    assert_output 0
    start_server -v
    ask NOOP >/dev/null
    eventually grep -q '127\.0\.0\.1:[0-9]*: connected$' "$log"
}

@test "a socket that a killed server has left is replaced, and removed at the end" {
    start_server -l unix:socket
    kill_server
    [ -S socket ]
    start_server -l unix:socket
    run nc -N -U socket <<<NOOP
    assert_output OK
    stop_server
    [ ! -e socket ]
}

@test "a path that is no socket of ours is left alone" {
    echo precious >file
    run -69 --separate-stderr shmaild -e -l unix:file
    [[ $stderr == *"unix:file"*"is no socket"* ]]
    [ "$(<file)" = precious ]
    start_server -l unix:socket
    rm socket
    echo precious >socket
    stop_server
    [ "$(<socket)" = precious ]
}

@test "a listening socket is taken from the service manager" {
    command -v python3 >/dev/null || skip "no python3 here"
    python3 - "$SHMAIL_BUILD/shmaild" >bound 2>"$log" 3>&- <<'PYTHON' &
import os, socket, sys
listener = socket.create_server(("127.0.0.1", 0))
os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.argv[1], [sys.argv[1], "-e", "-1"])
PYTHON
    eventually [ -s bound ]
    HOST=127.0.0.1 PORT=$(sed 's/.*://' bound)
    run ask NOOP
    assert_output OK
    kill $!
    wait $!
    [ "$(wc -l <bound)" -eq 1 ]
}

@test "-i serves pipes, makes the post office and finds it again" {
    local cookie
    cookie=$(echo "REGISTER alice secret" | shmaild -i --crypt-cost 1 -n "$SHMAIL_NAME")
    [[ $cookie == "OK "* ]]
    run --separate-stderr shmaild -i -n "$SHMAIL_NAME" <<<"COUNT alice ${cookie#OK }"
    [ "$output" = "COUNTED 0" ]
    [ -z "$stderr" ]
}

@test "-i serves files and closed descriptors" {
    printf 'NOOP\nQUIT\nNOOP\n' >requests
    shmaild -i -e <requests >replies
    [ "$(<replies)" = OK$'\n'OK ]
    shmaild -i -e -v <requests >replies 2>&-
    [ "$(<replies)" = OK$'\n'OK ]
    shmaild -i -e <&- >replies
    [ ! -s replies ]
}

@test "-i serves a socket, and no log line reaches it" {
    local command="$SHMAIL_BUILD/shmaild -i -v -n $SHMAIL_NAME"
    run timeout 20 socat -t 10 - "EXEC:$command,stderr" <<<$'NOOP\nDUMP\nQUIT'
    assert_output OK$'\n'OK$'\n'OK
    run --separate-stderr timeout 20 socat -t 10 - "EXEC:$command -t nonsense,stderr" </dev/null
    [ -z "$output" ]
}

@test "-i ends at TERM" {
    mkfifo in out
    shmaild -i -e <in >out 2>/dev/null 3>&- &
    exec {requests}>in {replies}<out
    say NOOP "$requests"
    hear OK "$replies"
    kill -TERM $!
    wait $!
    exec {requests}>&- {replies}<&-
}

@test "-i on a terminal that nobody reads ends in time, at TERM too, and loses nothing for who reads late" {
    command -v python3 >/dev/null || skip "no python3 here"
    run -0 timeout 60 python3 - "$SHMAIL_BUILD/shmaild" 3>&- <<'PYTHON'
import fcntl, os, pty, resource, signal, struct, subprocess, sys, termios, time
REPLIES = 600  # whose requests a terminal keeps, however long the server does not read

def unread(person):
    return struct.unpack("i", fcntl.ioctl(person, termios.FIONREAD, bytes(4)))[0]

def serve(*options):
    person, terminal = pty.openpty()
    modes = termios.tcgetattr(terminal)
    modes[3] &= ~termios.ECHO
    termios.tcsetattr(terminal, termios.TCSANOW, modes)
    server = subprocess.Popen([sys.argv[1], "-i", "-e", *options], stdin=terminal, stdout=terminal)
    os.write(person, b"HELP\n" * REPLIES)
    seen = 0
    while seen == 0 or seen < unread(person):  # until the terminal is full
        seen = unread(person)
        time.sleep(0.1)
    return server, person, terminal

server, *_ = serve("--write-timeout", "1")
assert server.wait(10) == 0
assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime < 0.5, "it waits by turning round"
server, *_ = serve()
server.send_signal(signal.SIGTERM)
assert server.wait(10) == 0
server, person, _ = serve()
came = b""
while came.count(b"\n") < REPLIES:
    came += os.read(person, 4096)
os.write(person, b"QUIT\n")
assert os.read(person, 100) == b"OK\r\n"
assert set(came.splitlines()) == {came.splitlines()[0]}
assert server.wait(10) == 0
PYTHON
}

@test "several -i at once, beside a server, lose no message" {
    local cookie i workers=()
    start_server --crypt-cost 1
    cookie=$(ask "REGISTER alice secret")
    cookie=${cookie#OK }
    for _ in {1..25}; do
        echo "SEND alice hello $cookie"
    done >requests
    for i in {1..8}; do
        shmaild -i -n "$SHMAIL_NAME" <requests >"replies.$i" 3>&- &
        workers+=($!)
    done
    wait "${workers[@]}"
    [ "$(sort -u replies.* | grep -c '^OK [1-9][0-9]*$')" -eq 200 ]
    run ask "COUNT alice $cookie"
    assert_output "COUNTED 200"
}

@test "a reply that standard output does not take is logged with the reason" {
    run bash -c "echo NOOP | $SHMAIL_BUILD/shmaild -i -e >/dev/full"
    assert_output --partial "warning: stdin: closed: a system call failed: No space left on device"
}

@test "the manual page has the range of every option that is a number" {
    local page option most
    page=$(mandoc -T utf8 "$BATS_TEST_DIRNAME/../src/server/shmaild.8" | col -b | tr -d ,)
    for option in -c -t --accounts --slots --sessions --crypt-cost --per-source --spare --cookie-idle --cookie-age \
        --quota-messages --registrations --entries --request-timeout --write-timeout --session-timeout; do
        run shmaild $option 99999999999999
        assert_failure 64
        most=$(sed -n 's/.* to \([0-9]*\) .*/\1/p' <<<"$output")
        grep -qw "$most" <<<"$page" || fail "$option: no $most"
    done
}
