# maker.bats: the process that forks those which serve, and what its death costs: nothing.
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
    start_server -c 300 --per-source 300 --spare 8
    eventually has_children 8
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
    eventually has_children 9
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

@test "the maker lives in the sandbox and holds neither listener nor connection" {
    local first
    [[ $SHMAIL_BUILD != *sanitize ]] || skip "built with sanitizers, and so without a sandbox"
    start_server
    dial first
    [ "$(sed -n 's/^Seccomp:[[:space:]]*//p' "/proc/$(maker)/status")" = 2 ]
    # Its channel to the parent.
    [ "$(find "/proc/$(maker)/fd" -lname 'socket:*' | wc -l)" -eq 1 ]
    exec {first}>&-
}
