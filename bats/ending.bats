# ending.bats: how a server and its children end: at TERM and INT within 5 seconds, whoever waits or never reads; at
# HUP not at all. A child that is killed takes nobody along, and children outlive a killed server.
# shellcheck shell=bash
# shellcheck disable=SC2030,SC2031 # each test is a process of its own
# shellcheck disable=SC2153 # PORT is start_server's
# shellcheck disable=SC2154 # log is setup's, connection is dial's

bats_require_minimum_version 1.5.0
load helper
load office

# Sends the server a signal, waits for its end, and leaves its status in $status and the seconds in $seconds.
end_by() {
    local start=$SECONDS
    status=0
    kill -s "$1" "$SHMAIL_PID"
    wait "$SHMAIL_PID" || status=$?
    seconds=$((SECONDS - start))
    forget_server
}

@test "TERM and INT end idle and waiting clients" {
    local signal cookie idle
    for signal in TERM INT; do
        start_server --crypt-cost 1
        dial connection
        idle=$connection
        cookie=$(ask "REGISTER $signal secret")
        dial connection
        tell "$connection" "WAIT $signal 1 60 ${cookie#OK }"
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
    grep -q "waiting for the end of a start, a check or a repair there" "$log"
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
    dial connection
    tell "$connection" "WAIT alice 1 60 ${cookie#OK }"
    eventually has_children 1
    stop_server
    grep -q 'closed: the server is closing down' "$log"
    exec {connection}>&-
}

# accept4(2) fails for ever, so the listener stays ready.
start_server_that_accepts_nobody() { # error
    local number=242
    [ "$(uname -m)" != x86_64 ] || number=288
    mkdir -p bin
    printf '#!/bin/sh\nexec "%s" %s -- "%s" "$@"\n' "$SHMAIL_BUILD/tests/tool_without" "$number:$1" \
        "$SHMAIL_BUILD/shmaild" >bin/shmaild
    chmod +x bin/shmaild
    SHMAIL_BUILD=$PWD/bin start_server
}

# ppoll(2) never sleeps, and alone lets no signal in.
@test "TERM ends a server that always has something to do" {
    local client
    start_server_that_accepts_nobody 103 # ECONNABORTED
    exec {client}<>"/dev/tcp/$HOST/$PORT"
    sleep 0.2
    stop_server
    exec {client}>&-
}

ticks() { # of processor time that the server has taken
    local figures
    read -ra figures <"/proc/$SHMAIL_PID/stat"
    echo $((figures[13] + figures[14]))
}

@test "a lasting error of the listener is logged, and does not make the server turn round" {
    local client before
    start_server_that_accepts_nobody 1 # EPERM
    exec {client}<>"/dev/tcp/$HOST/$PORT"
    eventually grep -q "cannot accept a connection: Operation not permitted; connections wait" "$log"
    before=$(ticks)
    sleep 1
    [ $(($(ticks) - before)) -lt 20 ]
    run grep -c "cannot accept a connection" "$log"
    assert_output 1
    exec {client}>&-
}

@test "TERM ends a client that never reads, within 5 seconds" {
    local cookie
    start_server --crypt-cost 1
    cookie=$(ask "REGISTER alice secret")
    cookie=${cookie#OK }
    run ask "SEND alice $(printf '%0500000d' 0) $cookie"
    assert_output "OK 1"
    dial connection
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
    dial connection
    tell "$connection" DUMP
    hang_up "$connection"
    eventually has_children 0
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
    dial connection
    tell "$connection" "REGISTER alice secret"
    kill -TERM "$SHMAIL_PID"
    read -r -t 10 -u "$connection" reply
    [[ $reply == "OK "* ]]
    wait "$SHMAIL_PID"
    forget_server
    exec {connection}>&-
}

@test "HUP is logged and changes nothing" {
    start_server
    dial connection
    kill -HUP "$SHMAIL_PID" "$(children)"
    eventually grep -q HUP "$log"
    tell "$connection" NOOP
    told "$connection" OK
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
    dial connection
    eventually has_children 1
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
    dial connection
    old=$connection port=$PORT
    kill_server
    tell "$old" NOOP
    told "$old" OK
    start_server -l "inet:127.0.0.1:$port"
    tell "$old" NOOP
    told "$old" OK
    dial connection
    exec {old}>&- {connection}>&-
}
