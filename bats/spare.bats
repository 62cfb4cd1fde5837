# spare.bats: processes that are made ahead of their connection, and what their deaths cost: nothing.
# shellcheck shell=bash
# shellcheck disable=SC2030,SC2031 # each test is a process of its own
# shellcheck disable=SC2154 # output is run's

bats_require_minimum_version 1.5.0
load helper
load office

is_gone() { # pid
    ! kill -0 "$1" 2>/dev/null
}

@test "so many spares wait, a connection takes one, and it is replaced" {
    start_server --spare 3
    eventually has_named "shmaild: spare" 3
    dial one
    dial two
    eventually has_named "shmaild: spare" 3
    has_named "shmaild: child" 2
    exec {one}>&- {two}>&-
    eventually has_named "shmaild: child" 0
}

has_descriptors() { # how many
    local held=("/proc/$SHMAIL_PID/fd/"*)
    [ "${#held[@]}" -eq "$1" ]
}

@test "the parent keeps nothing of a connection that a spare has taken" {
    start_server --spare 2
    eventually has_named "shmaild: spare" 2
    local before=("/proc/$SHMAIL_PID/fd/"*)
    dial one
    dial two
    dial three
    eventually has_named "shmaild: spare" 2
    eventually has_descriptors "${#before[@]}"
    exec {one}>&- {two}>&- {three}>&-
}

has_attached() { # peer, how many
    [ "$(ctl ps | grep -c -w "$1")" -eq "$2" ]
}

@test "spares hold slots, which become those of who comes" {
    start_server --spare 2
    eventually has_attached spare 2
    dial one
    eventually has_attached 127.0.0.1 1
    exec {one}>&-
    eventually has_attached 127.0.0.1 0
    eventually has_attached spare 2
}

# For a moment there may be as many connections as there may be, and the spares still.
@test "spares hold no slots where connections could lack them" {
    start_server --slots 7 -c 4 --per-source 4 --spare 4
    eventually has_named "shmaild: spare" 4
    has_attached spare 0
    dial one
    eventually has_attached 127.0.0.1 1
    exec {one}>&-
}

# Who has ended serves nobody, whether the parent knows it yet or not. Quicker than the parent looks by itself.
has_serving() { # how many
    local child line serving=0
    for child in $(<"/proc/$SHMAIL_PID/task/$SHMAIL_PID/children"); do
        read -r line <"/proc/$child/stat" || continue
        [[ $line != *"(shmaild: child) "[!Z]* ]] || serving=$((serving + 1))
    done 2>/dev/null
    [ "$serving" -eq "$1" ]
}

@test "nobody is refused for connections that are over" {
    local each tries=0
    start_server --spare 16 --per-source 3
    eventually has_named "shmaild: spare" 3 # no more than a source may have
    dial one
    dial two
    for _ in {1..40}; do
        dial each
        exec {each}>&-
        until has_serving 2; do
            ((++tries < 100000)) || return 1
        done
    done
    exec {one}>&- {two}>&-
}

@test "a spare that is killed is replaced, and no connection is lost with it" {
    local spares spare
    start_server --spare 2
    for _ in {1..20}; do
        eventually has_named "shmaild: spare" 2
        spares=$(named "shmaild: spare")
        # Stopped, they are given connections that they cannot take; then they die.
        for spare in $spares; do
            kill -STOP "$spare"
        done
        exec {first}<>"/dev/tcp/$HOST/$PORT" {second}<>"/dev/tcp/$HOST/$PORT"
        tell "$first" NOOP
        tell "$second" NOOP
        for spare in $spares; do
            kill -KILL "$spare"
        done
        told "$first" OK
        told "$second" OK
        exec {first}>&- {second}>&-
    done
}

@test "a spare that dies as soon as it is made is followed after a moment, not at once" {
    local deadline spare
    start_server --spare 1
    deadline=$((SECONDS + 2))
    while [ "$SECONDS" -lt "$deadline" ]; do
        for spare in $(named "shmaild: spare"); do
            kill -KILL "$spare" 2>/dev/null || :
        done
    done
    [ "$(grep -c "was ended by signal 9" "$log")" -le 15 ]
    eventually has_named "shmaild: spare" 1
}

@test "a source has no more than its share, though spares die before they take its connections" {
    local spares spare held=() each served=0
    start_server -c 40 --per-source 5 --spare 5
    eventually has_named "shmaild: spare" 5
    spares=$(named "shmaild: spare")
    for spare in $spares; do
        kill -STOP "$spare"
    done
    for _ in {1..15}; do
        exec {each}<>"/dev/tcp/$HOST/$PORT"
        held+=("$each")
        tell "$each" NOOP
    done
    for spare in $spares; do
        kill -KILL "$spare"
    done
    for each in "${held[@]}"; do
        ! read -r -t 2 -u "$each" || served=$((served + 1)) # or it is closed
    done
    [ "$served" -eq 5 ]
    for each in "${held[@]}"; do
        exec {each}>&-
    done
}

@test "spares end with a server that is killed, and those that serve go on" {
    local spare serving
    start_server --spare 2
    dial serving
    eventually has_named "shmaild: spare" 2
    spare=$(named "shmaild: spare")
    kill -STOP "${spare%%[[:space:]]*}" # that one, too
    kill_server
    for spare in $spare; do
        eventually is_gone "$spare"
    done
    tell "$serving" NOOP
    told "$serving" OK
    exec {serving}>&-
}

@test "nor is anybody cut who comes when the server is killed" {
    command -v python3 >/dev/null || skip "no python3 here"
    run -0 timeout 60 python3 - "$SHMAIL_BUILD/shmaild" "$log" 3>&- <<'PYTHON'
import socket, subprocess, sys, threading

served = []

def come(address):
    try:
        while True:
            connection = socket.create_connection(address, 5)
            connection.sendall(b"NOOP\n")
            if connection.recv(3) != b"OK\n":
                return
            served.append(connection)
    except OSError:
        pass  # nobody listens any more

for delay in range(20):
    server = subprocess.Popen([sys.argv[1], "-e", "-1", "--spare", "8", "-l", "inet:127.0.0.1:0"],
                              stdout=subprocess.PIPE, stderr=open(sys.argv[2], "w"))
    try:
        _, host, port = server.stdout.readline().decode().strip().split(":")
        clients = [threading.Thread(target=come, args=((host, int(port)),)) for _ in range(4)]
        for client in clients:
            client.start()
        while len(served) < 20 + delay:
            pass
    finally:
        server.kill()
    for client in clients:
        client.join()
    for connection in served:
        connection.sendall(b"NOOP\nNOOP\n")
        assert connection.makefile("rb").read(6) == b"OK\nOK\n", (delay, len(served))
        connection.close()
    served.clear()
PYTHON
}

@test "spares take no descriptors of the parent" {
    local limit
    limit=$(ulimit -Sn)
    ulimit -Sn 32
    start_server --spare 64
    ulimit -Sn "$limit"
    eventually has_named "shmaild: spare" 64
    run ask NOOP
    assert_output OK
}

@test "more at once than there are spares are all served" {
    local each held=()
    start_server -c 100 --per-source 100 --spare 2
    eventually has_named "shmaild: spare" 2
    for spare in $(named "shmaild: spare"); do
        kill -STOP "$spare" # so that nobody is taken until all are there
    done
    for _ in {1..60}; do
        exec {each}<>"/dev/tcp/$HOST/$PORT"
        held+=("$each")
    done
    for spare in $(named "shmaild: spare"); do
        kill -CONT "$spare"
    done
    for each in "${held[@]}"; do
        tell "$each" NOOP
        told "$each" OK
    done
    has_named "shmaild: child" 60
    hang_up "${held[@]}"
    eventually has_named "shmaild: child" 0
    eventually has_named "shmaild: spare" 2
}

is_stopped() { # pid
    [[ $(<"/proc/$1/stat") == *") T "* ]]
}

@test "a spare that is stopped is passed over" {
    local which stopped first second
    start_server --spare 2
    for which in head tail; do # whichever of the two is woken first
        eventually has_attached spare 2
        stopped=$(named "shmaild: spare" | "$which" -n 1)
        kill -STOP "$stopped"
        eventually is_stopped "$stopped"
        exec {first}<>"/dev/tcp/$HOST/$PORT" {second}<>"/dev/tcp/$HOST/$PORT"
        tell "$first" NOOP
        tell "$second" NOOP
        told "$first" OK
        told "$second" OK
        exec {first}>&- {second}>&-
        kill -CONT "$stopped"
    done
}

expect_nothing_of_spares() { # pid
    local descriptor
    for descriptor in "/proc/$1/fd/"*; do
        run readlink "$descriptor"
        refute_output --partial anon_inode
        refute_output --partial pipe:
    done
    expect_no_memory_of_others "$1"
}

expect_no_memory_of_others() { # pid
    run grep ' rw-s .*/dev/zero' "/proc/$1/maps"
    assert_output ""
}

has_one_socket() { # pid
    [ "$(readlink "/proc/$1/fd/"* | grep -c '^socket:')" -eq 1 ]
}

# The second one is of another source, where the first has its share: the parent accepts it, and has its process made.
@test "no other process has what a spare has: what listens, what wakes for it, and its memory" {
    local pid other
    start_server --spare 1 -c 2 --per-source 1 -d journal -l "unix:$PWD/socket"
    eventually has_named "shmaild: spare" 1
    expect_no_memory_of_others "$(named "shmaild: spare")"
    dial one
    eventually has_named "shmaild: child" 1
    mkfifo requests
    SHMAIL_SERVER=unix:$PWD/socket shmail <requests >replies 2>/dev/null 3>&- &
    exec {other}>requests
    echo noop >&"$other"
    eventually has_named "shmaild: child" 2
    for pid in $(named "shmaild: child"); do
        expect_nothing_of_spares "$pid"
        has_one_socket "$pid"
    done
    expect_nothing_of_spares "$(named "shmaild: keeper")"
    exec {one}>&- {other}>&-
    wait "$!"
}

@test "spares take what comes to any listener" {
    start_server --spare 3 -l "unix:$PWD/socket"
    for _ in {1..10}; do
        eventually has_named "shmaild: spare" 3
        run -0 ask NOOP
        assert_output OK
        SHMAIL_SERVER=unix:$PWD/socket shmail noop
    done
}

@test "TERM ends spares with the rest" {
    start_server --spare 2
    eventually has_named "shmaild: spare" 2
    spare=$(named "shmaild: spare")
    stop_server
    for spare in $spare; do
        is_gone "$spare"
    done
}

@test "spares are no more than the connections that may still come" {
    local first second third
    start_server --spare 4 --slots 2 -c 2 --per-source 2
    eventually has_named "shmaild: spare" 2 # no more than there may be connections
    dial first
    dial second
    exec {third}<>"/dev/tcp/$HOST/$PORT"
    tell "$third" NOOP
    run ! read -r -t 0.3 -u "$third"
    has_named "shmaild: spare" 0 # none is made that could not be used
    exec {first}>&-
    told "$third" OK
    exec {second}>&- {third}>&-
}

@test "a signal for a spare does not make it a process that serves without its parent's knowledge" {
    local number spare
    start_server --spare 1
    for number in HUP TERM; do
        eventually has_named "shmaild: spare" 1
        spare=$(named "shmaild: spare")
        kill -"$number" "$spare"
        eventually is_gone "$spare"
        eventually has_named "shmaild: spare" 1
        run ask NOOP
        assert_output OK
    done
}

@test "what ends a spare that waits does nothing to one that serves" {
    start_server --spare 1
    dial one
    eventually has_named "shmaild: child" 1
    for _ in {1..20}; do
        kill -HUP "$(named "shmaild: child")"
        tell "$one" NOOP
        told "$one" OK
    done
    exec {one}>&-
}

# So many connections, each with a request, while the maker is stopped and there are spares for two.
begin_rush() { # how many
    local each
    eventually has_named "shmaild: spare" 2
    kill -STOP "$(maker)"
    held=()
    while [ "${#held[@]}" -lt "$1" ]; do
        exec {each}<>"/dev/tcp/$HOST/$PORT"
        tell "$each" NOOP
        held+=("$each")
    done
    eventually has_named "shmaild: child" 2
    has_named "shmaild: spare" 0
}

hang_up() {
    local each
    for each in "${held[@]}"; do
        exec {each}>&-
    done
    held=()
}

@test "in a rush the maker takes connections itself, and then there are spares again" {
    local each tracer
    command -v strace >/dev/null || skip "strace is not installed"
    strace -o /dev/null true 2>/dev/null || skip "strace may trace nobody here"
    start_server -c 100 --per-source 100 --spare 2
    begin_rush 20
    strace -p "$(maker)" -o trace -e trace=accept4 2>said &
    tracer=$!
    eventually grep -q attached said
    kill -CONT "$(maker)"
    for each in "${held[@]}"; do
        told "$each" OK
    done
    eventually has_named "shmaild: spare" 2
    kill "$tracer"
    wait "$tracer" || true
    [ "$(grep -c '^accept4.* = [0-9]' trace)" -ge 10 ] # the others are those of its spares
    hang_up
    eventually has_children 2
    kill -STOP "$(maker)" # and those serve who comes
    run ask NOOP
    assert_output OK
    kill -CONT "$(maker)"
}

@test "one who waits alone makes no rush: he is served, and there are spares at once" {
    local tracer
    command -v strace >/dev/null || skip "strace is not installed"
    strace -o /dev/null true 2>/dev/null || skip "strace may trace nobody here"
    start_server --spare 2
    begin_rush 3
    strace -p "$(maker)" -o trace -e trace=accept4,clone,ppoll 2>said &
    tracer=$!
    eventually grep -q attached said
    kill -CONT "$(maker)"
    told "${held[2]}" OK
    eventually has_named "shmaild: spare" 2
    kill "$tracer"
    wait "$tracer" || true
    # From his connection on: his process and two spares, before the maker sleeps.
    run awk '/^accept4.* = [0-9]/ { taken = 1 }
        taken && /^clone/ { made++ }
        taken && /^ppoll.*, NULL, NULL,/ { exit }
        END { print made }' trace
    assert_output 3
    hang_up
}

@test "nor are there more than there may be, or less, after a rush" {
    local each answered=0
    start_server -c 6 --per-source 6 --spare 2
    for _ in 1 2 3; do
        begin_rush 12
        kill -CONT "$(maker)"
        for each in "${held[@]:0:6}"; do
            told "$each" OK
        done
        answered=6
        sleep 0.2
        for each in "${held[@]:6}"; do
            ! read -r -t 0.01 -u "$each" || answered=$((answered + 1))
        done
        [ "$answered" -eq 6 ]
        has_children 6
        hang_up
        eventually has_children 2
    done
}
