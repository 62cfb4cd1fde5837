# maker.bats: the process that accepts and forks those which serve, and what its death costs: nothing to whom it
# has made, and to who waits.
# shellcheck shell=bash
# shellcheck disable=SC2030,SC2031 # each test is a process of its own
# shellcheck disable=SC2154 # output is run's

bats_require_minimum_version 1.5.0
load helper
load office

setup() {
    cd "$BATS_TEST_TMPDIR" || return 1
    log=$BATS_FILE_TMPDIR/shmaild.log
    : >"$log"
}

@test "a connection that waits for a maker that is killed is served by the next one" {
    local first second third
    start_server
    for _ in {1..10}; do
        kill -STOP "$(maker)"
        exec {first}<>"/dev/tcp/$HOST/$PORT" {second}<>"/dev/tcp/$HOST/$PORT" {third}<>"/dev/tcp/$HOST/$PORT"
        tell "$first" NOOP
        tell "$second" NOOP
        run ! read -r -t 0.05 -u "$first"
        kill -KILL "$(maker)"
        tell "$third" NOOP
        told "$first" OK
        told "$second" OK
        told "$third" OK
        exec {first}>&- {second}>&- {third}>&-
    done
    grep -q 'child [0-9]* was ended by signal 9' "$log"
    eventually has_children 0
}

@test "spares that a killed maker still owes are made by the next one" {
    start_server --spare 3
    eventually has_children 3
    kill -STOP "$(maker)"
    dial first
    dial second
    kill -KILL "$(maker)"
    eventually has_children 5
    exec {first}>&- {second}>&-
    eventually has_children 3
}

@test "the maker counts: those that it has not made yet are connections, too" {
    local first second third
    start_server -c 2 --per-source 2
    kill -STOP "$(maker)"
    exec {first}<>"/dev/tcp/$HOST/$PORT" {second}<>"/dev/tcp/$HOST/$PORT" {third}<>"/dev/tcp/$HOST/$PORT"
    tell "$third" NOOP
    kill -CONT "$(maker)"
    tell "$first" NOOP
    told "$first" OK
    tell "$second" NOOP
    told "$second" OK
    run ! read -r -t 0.2 -u "$third"
    exec {first}>&-
    told "$third" OK
    exec {second}>&- {third}>&-
}

# It holds 256 orders.
@test "more than the maker has room for wait, and nothing is said of it" {
    local each held=()
    where_the_parent_accepts start_server -c 300 --per-source 300
    eventually has_maker
    kill -STOP "$(maker)"
    for _ in {1..280}; do
        exec {each}<>"/dev/tcp/$HOST/$PORT"
        held+=("$each")
    done
    tell "$each" NOOP
    run ! read -r -t 0.3 -u "$each"
    kill -CONT "$(maker)"
    told "$each" OK
    for each in "${held[@]::279}"; do
        tell "$each" NOOP
        told "$each" OK
        exec {each}>&-
    done
    run ! grep cannot "$log"
    eventually has_children 1
}

@test "TERM while the maker is stopped ends everything" {
    local first
    start_server
    kill -STOP "$(maker)"
    exec {first}<>"/dev/tcp/$HOST/$PORT"
    tell "$first" NOOP
    stop_server
    run ! read -r -t 1 -u "$first"
    exec {first}>&-
}

@test "the maker ends with a server that is killed, and what it has made goes on" {
    local serving process
    start_server
    dial serving
    process=$(maker)
    kill_server
    is_gone() { ! kill -0 "$process" 2>/dev/null; }
    eventually is_gone
    tell "$serving" NOOP
    told "$serving" OK
    exec {serving}>&-
}

@test "the maker lives in the sandbox and holds no connection, and what it makes no listener" {
    local first second child
    [[ $SHMAIL_BUILD != *sanitize ]] || skip "built with sanitizers, and so without a sandbox"
    start_server
    dial first
    [ "$(sed -n 's/^Seccomp:[[:space:]]*//p' "/proc/$(maker)/status")" = 2 ]
    eventually has_children 1
    child=$(children)
    # Its channel to the parent and the listener; the connection.
    sockets() { find "/proc/$1/fd" -lname 'socket:*' | wc -l; }
    [ "$(sockets "$(maker)")" -eq 2 ]
    [ "$(sockets "${child% }")" -eq 1 ]
    kill -KILL "$(maker)" # whose filter is still asked for
    dial second
    eventually has_children 2
    for child in $(maker) $(children); do
        run find "/proc/$child/fd" -lname '*seccomp*' # who asks could answer
        assert_output ""
    done
    exec {first}>&- {second}>&-
}

# Until the limits could be reached: those are the parent's.
@test "the maker needs no parent for who comes, up to the share of one source" {
    local held=() each
    start_server -c 8 --per-source 6
    dial each # by now the maker is ready
    tell "$each" NOOP
    told "$each" OK
    held+=("$each")
    eventually has_children 1
    sleep 0.1
    kill -STOP "$SHMAIL_PID"
    for _ in {1..5}; do
        dial each
        tell "$each" NOOP
        told "$each" OK
        held+=("$each")
    done
    exec {each}<>"/dev/tcp/$HOST/$PORT"
    tell "$each" NOOP
    run ! read -r -t 0.3 -u "$each"
    kill -CONT "$SHMAIL_PID"
    run ! read -r -t 1 -u "$each"
    eventually grep -q "closed: its source has 6 connections already" "$log"
    exec {each}>&-
    hang_up "${held[@]}"
}

@test "whom the maker has taken is signalled with the others, and waited for, and counts" {
    local first second
    start_server -c 2 --per-source 2
    dial first
    dial second
    tell "$first" NOOP
    told "$first" OK
    tell "$second" NOOP
    told "$second" OK
    eventually grep -q "all 2 connections (-c) are in use" "$log"
    eventually has_children 2
    stop_server
    run ! read -r -t 1 -u "$first"
    run ! read -r -t 1 -u "$second"
    exec {first}>&- {second}>&-
}

# A wait looks for its client's end once a second of its own accord.
expect_ends_seen() {
    local cookie
    cookie=$(enrol alice)
    python3 - "$HOST" "$PORT" "$SHMAIL_PID" "WAIT alice 1 50 $cookie" <<'PYTHON'
import os, pathlib, socket, struct, sys, time

host, port, server, wait = sys.argv[1:]

def children():
    return set(pathlib.Path(f"/proc/{server}/task/{server}/children").read_text().split())

def state(child):
    try:
        return pathlib.Path(f"/proc/{child}/stat").read_text().rsplit(")")[1].split()[0]
    except OSError:
        return "Z"

for _ in range(5):
    before = children()
    client = socket.create_connection((host, int(port)), 5)
    client.sendall((f"NOOP\n{wait}\n").encode())
    assert client.recv(10) == b"OK\n"
    while not children() - before:
        pass
    child, = children() - before
    time.sleep(0.4)  # in which it could find out that it is signalled nothing
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    begin = time.monotonic()
    while state(child) != "Z":
        assert time.monotonic() < begin + 0.5
PYTHON
}

@test "a client that waits for mail and is reset is seen to be gone at once" {
    start_server --crypt-cost 1
    expect_ends_seen
}

@test "where nobody can be asked for what the sandbox forbids, too: then the parent accepts" {
    where_the_parent_accepts start_server --crypt-cost 1 --spare 2
    eventually grep -q "no spares are kept" "$log"
    expect_ends_seen
    dial connection
    kill -STOP "$SHMAIL_PID"
    exec {late}<>"/dev/tcp/$HOST/$PORT"
    tell "$late" NOOP
    run ! read -r -t 0.3 -u "$late"
    kill -CONT "$SHMAIL_PID"
    told "$late" OK
    exec {late}>&- {connection}>&-
}

@test "where the parent has no descriptor for what it is asked by, too" {
    local last before
    start_server --crypt-cost 1
    [[ $SHMAIL_BUILD != *sanitize ]] || skip "built with sanitizers, and so without a sandbox"
    is_asked() { [ -n "$(find "/proc/$SHMAIL_PID/fd" -lname '*seccomp*')" ]; }
    eventually is_asked
    has_maker
    last=$(find "/proc/$SHMAIL_PID/fd" -printf '%f\n' | sort -n | tail -1)
    prlimit --pid "$SHMAIL_PID" --nofile="$last:1024"
    before=$found
    kill -KILL "$before"
    is_another() { has_maker && [ "$found" != "$before" ]; }
    eventually is_another
    sleep 0.2
    prlimit --pid "$SHMAIL_PID" --nofile=1024:1024
    expect_ends_seen
}

@test "a maker that is stopped does not keep the address from the next server" {
    local address
    start_server
    address=$SHMAIL_SERVER
    kill -STOP "$(maker)"
    kill_server
    start_server -l "$address"
    run ask NOOP
    assert_output OK
}

# On a busy machine the system takes a second for them, in which nothing ends: so an orphan would have the address.
@test "the server itself asks for huge pages, before it forks" {
    [[ $SHMAIL_BUILD != *sanitize ]] || skip "built with sanitizers, which look for leaks by the means that strace has taken"
    strace -o /dev/null true 2>/dev/null || skip "strace is not installed, or may trace nobody here"
    mkdir bin
    printf '#!/bin/sh\nexec strace -D -f -o trace -e trace=madvise,clone,clone3,fork "%s/shmaild" "$@"\n' \
        "$SHMAIL_BUILD" >bin/shmaild
    chmod +x bin/shmaild
    SHMAIL_BUILD=$PWD/bin start_server
    run ask NOOP # by whom the maker has made, when it has all
    assert_output OK
    local forks line
    run grep -n -E -m 1 '(clone3?|fork)\(' trace
    refute_output ""
    forks=${output%%:*}
    run sed -n -E '/MADV_COLLAPSE|0x19 /=' trace
    refute_output ""
    for line in "${lines[@]}"; do
        [ "$line" -lt "$forks" ]
    done
}

@test "without its parent a process waits for mail as ever" {
    local client cookie
    start_server --crypt-cost 1
    cookie=$(enrol alice)
    dial client
    kill_server
    tell "$client" "WAIT alice 0 50 $cookie" "WAIT alice 1 1 $cookie"
    told "$client" "COUNTED 0" KO
    exec {client}>&-
}

# Kilobytes that a process has of its own in whichever mapping it has most.
own_memory() { # pid
    awk '$1 == "Private_Dirty:" && $2 > most { most = $2 } END { print most + 0 }' "/proc/$1/smaps"
}

@test "all that a short connection writes to lies in one page" {
    local cookie one two child page
    [[ $SHMAIL_BUILD != *sanitize ]] || skip "built with sanitizers, and so on the stack of the maker"
    [[ $SHMAIL_BUILD != *coverage ]] || skip "built to count, which is to write"
    readelf --debug-dump=info "$SHMAIL_BUILD/shmaild" | grep -q 'DW_AT_producer.* -O3 .*-fltrans' ||
        skip "built in another way, which may need a larger stack"
    start_server --crypt-cost 1
    cookie=$(enrol alice)
    eventually has_children 0
    kill -STOP "$(maker)" # a request that is there first is read at once, and errno not written to
    exec {one}<>"/dev/tcp/$HOST/$PORT" {two}<>"/dev/tcp/$HOST/$PORT"
    tell "$one" "COUNT alice $cookie"
    tell "$two" "COUNT alice $cookie" # what the first has not copied is also this one's
    kill -CONT "$(maker)"
    told "$one" "COUNTED 0"
    told "$two" "COUNTED 0"
    page=$(($(getconf PAGESIZE) / 1024))
    eventually has_children 2
    for child in $(children); do
        [ "$(own_memory "$child")" -eq "$page" ]
    done
    exec {one}>&- {two}>&-
}

@test "what the maker makes is shown with the server's arguments, and has no other stack than its own" {
    local child
    start_server
    dial child
    for child in $(children) $(maker); do
        cmp "/proc/$SHMAIL_PID/cmdline" "/proc/$child/cmdline"
        [ "$(id -u)" -ne 0 ] || cmp "/proc/$SHMAIL_PID/environ" "/proc/$child/environ"
    done
    [[ $SHMAIL_BUILD != *sanitize ]] || skip "built with sanitizers, and so on the stack of the maker"
    run "$SHMAIL_BUILD/tests/test_stack" "what is forked has no stack, and shows its arguments"
    [[ $output != *SKIP* ]] || skip "this system copies the stack: ${output#*SKIP }"
    for child in $(children); do
        run ! grep -F '[stack]' "/proc/$child/maps"
    done
}
