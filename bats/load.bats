# Many clients at once, in both protocols and on each other's mail: tool_load says what must hold.
# shellcheck shell=bash
# shellcheck disable=SC2154 # output is run's

bats_require_minimum_version 1.5.0
load helper
load office

@test "64 clients in mixed protocols: what is acknowledged is delivered once, in order and intact" {
    start_server --crypt-cost 1
    load_with "$SHMAIL_SERVER" 64 100000
    assert_output --partial "; 0 connections lost"
    expect_deserted
}

@test "over a unix socket it is the same" {
    start_server --crypt-cost 1 -l "unix:$PWD/socket"
    load_with "unix:$PWD/socket" 16 10000
    assert_output --partial "; 0 connections lost"
    expect_deserted
}

# 64 replies on a connection: then its process has looked how many serve.
chat() {
    local i
    for ((i = 0; i < 64; i++)); do
        [ "$(exchange "$1" NOOP)" = OK ] || return 1
    done
}

@test "a process waits its turn while more serve than there are processors" {
    start_server
    local first descriptor others=()
    dial first
    local child
    read -r child <<<"$(children)"
    chat "$first"
    run -0 chrt -p "$child"
    assert_output --partial SCHED_OTHER
    for ((i = 0; i < $(nproc); i++)); do
        dial descriptor
        others+=("$descriptor")
    done
    chat "$first"
    run -0 chrt -p "$child"
    assert_output --partial SCHED_BATCH
    for descriptor in "${others[@]}"; do
        exec {descriptor}>&-
    done
    eventually has_children 1
    chat "$first"
    run -0 chrt -p "$child"
    assert_output --partial SCHED_OTHER
}

@test "a process follows its client to the processor, while more serve than there are processors" {
    local last first descriptor child
    [ "$(nproc)" -gt 1 ] || skip "there is one processor"
    command -v strace >/dev/null || skip "strace is not installed"
    strace -o /dev/null true 2>/dev/null || skip "strace may trace nobody here"
    start_server
    dial first
    read -r child <<<"$(children)"
    for ((i = 0; i < $(nproc); i++)); do
        dial descriptor
    done
    strace -p "$child" -o trace -e trace=sched_setaffinity,sendmsg 2>said &
    local tracer=$!
    eventually grep -q attached said
    last=$(taskset -cp "$BASHPID" | grep -o "[0-9]*$")
    taskset -cp "$last" "$BASHPID" >/dev/null
    chat "$first"
    chat "$first"
    chat "$first"
    kill "$tracer"
    wait "$tracer" || true
    run -0 grep -c sched_setaffinity trace
    assert_output 4 # there, and free to go: after 64 replies and after 128, not after 192
    run -0 grep -m 1 sched_setaffinity trace
    assert_output --partial "[$last]"
}

policy_of() {
    chrt -p "$1" | sed -n "s/.*policy: //p"
}

@test "who accepts waits its turn, and neither a connection that lasts nor the keeper" {
    start_server -d "$PWD/journal"
    local connection process
    dial connection
    tell "$connection" NOOP
    told "$connection" OK
    eventually has_children 2 # with the keeper
    for process in "$SHMAIL_PID" "$(maker)"; do
        [ "$(policy_of "$process")" = SCHED_BATCH ]
    done
    for process in $(children); do
        [ "$(policy_of "$process")" = SCHED_OTHER ]
    done
    exec {connection}>&-
}

@test "so does a spare" {
    start_server --spare 1
    eventually has_named "shmaild: spare" 1
    [ "$(policy_of "$(named "shmaild: spare")")" = SCHED_BATCH ]
}

@test "a server that was given a policy keeps it" {
    chrt -i 0 shmaild -e -1 -l inet:127.0.0.1:0 >address 2>log &
    SHMAIL_PID=$!
    eventually test -s address
    eventually has_maker
    [ "$(policy_of "$SHMAIL_PID")" = SCHED_IDLE ]
    [ "$(policy_of "$(maker)")" = SCHED_IDLE ]
    kill "$SHMAIL_PID"
    wait "$SHMAIL_PID"
}
