# share.bats: how many connections there may be at once, in all and of one source: who waits, who is turned away,
# and what a server does that is out of descriptors.
# shellcheck shell=bash
# shellcheck disable=SC2030,SC2031 # each test is a process of its own
# shellcheck disable=SC2154 # log is setup's, connection is dial's

bats_require_minimum_version 1.5.0
load helper
load office

@test "where one source may have all connections, further ones wait" {
    local n held=()
    start_server -c 4 --per-source 4
    for n in {0..5}; do
        exec {connection}<>"/dev/tcp/$HOST/$PORT"
        held+=("$connection")
        tell "$connection" NOOP
    done
    for n in {0..3}; do
        told "${held[n]}" OK
    done
    run ! read -r -t 0.3 -u "${held[4]}"
    hang_up "${held[0]}" "${held[1]}"
    told "${held[4]}" OK
    told "${held[5]}" OK
    hang_up "${held[@]:2}"
}

@test "a connection that only waits for its client to close has given its slot back" {
    start_server --slots 1 -c 1
    dial connection
    tell "$connection" QUIT
    told "$connection" OK
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
        tell "$requests" NOOP
        eventually grep -q OK "replies$n"
    done
    run socat - "UNIX-CONNECT:$BATS_TEST_TMPDIR/socket" <<<NOOP
    refute_output --partial OK
    eventually grep -q ": unix:uid=$UID,pid=[0-9]*: closed: its source has 3 connections already" "$log"
    hang_up "${held[@]}"
    wait "${clients[@]}"
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
    eventually has_children 0
}

@test "who is one too many when the server ends is not let in by that" {
    local second
    start_server --per-source 1
    dial connection
    tell "$connection" NOOP
    told "$connection" OK
    exec {second}<>"/dev/tcp/$HOST/$PORT"
    stop_server
    run ! grep -q "cannot ask for a process" "$log"
    exec {connection}>&- {second}>&-
}

@test "-c 1 lets the second connection wait until the first has gone" {
    local first second
    start_server -c 1
    dial connection
    first=$connection
    exec {second}<>"/dev/tcp/$HOST/$PORT"
    tell "$second" NOOP
    run ! read -r -t 0.3 -u "$second"
    tell "$first" NOOP
    told "$first" OK
    exec {first}>&-
    told "$second" OK
    exec {second}>&-
}

@test "out of descriptors the server waits, and goes on when there are some" {
    where_the_parent_accepts start_server
    eventually has_maker
    prlimit --pid "$SHMAIL_PID" --nofile=3:1024
    exec {connection}<>"/dev/tcp/$HOST/$PORT"
    tell "$connection" NOOP
    eventually grep -q "cannot accept a connection" "$log"
    prlimit --pid "$SHMAIL_PID" --nofile=1024:1024
    told "$connection" OK
    run grep -c "cannot accept" "$log"
    assert_output 1
    exec {connection}>&-
}

ticks() { # of a processor that the server has used, each 10 ms
    awk '{ sub(/.*\) /, ""); print $12 + $13 }' "/proc/$SHMAIL_PID/stat"
}

@test "with fewer descriptors than it waits for the server neither spins nor is deaf" {
    local begin
    start_server
    dial connection
    prlimit --pid "$SHMAIL_PID" --nofile=1:1024
    exec {connection}>&-
    dial connection
    begin=$(ticks)
    sleep 1
    [ "$(($(ticks) - begin))" -lt 30 ]
    tell "$connection" NOOP
    told "$connection" OK
    # A sanitizer wants a file at the end.
    [[ $SHMAIL_BUILD != *sanitize ]] || prlimit --pid "$SHMAIL_PID" --nofile=1024:1024
    begin=$SECONDS
    stop_server
    [ "$((SECONDS - begin))" -lt 3 ]
    exec {connection}>&-
}

@test "out of descriptors nobody waits for connections of who has his share already" {
    local held=() more=() each descriptors
    start_server --per-source 3 -c 16
    for _ in {1..3}; do
        dial connection
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
