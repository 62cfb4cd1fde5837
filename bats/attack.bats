# attack.bats: many, slow, silent and senseless connections. Whoever is in goes on as before, whoever comes from
# elsewhere gets in, and nothing is left of it. `make attack` does the same at full length.
# shellcheck shell=bash
# shellcheck disable=SC2030,SC2031 # each test is a process of its own
# shellcheck disable=SC2154 # output is run's

bats_require_minimum_version 1.5.0
load helper
load office

: "${SHMAIL_ATTACK:=100}" # per mille of the full length

descriptors() {
    find "/proc/$SHMAIL_PID/fd" -mindepth 1 | wc -l
}

memory() { # kB of the server
    sed -n 's/^RssAnon:[[:space:]]*\([0-9]*\).*/\1/p' "/proc/$SHMAIL_PID/status"
}

blocks() {
    ctl stat | grep '^blocks'
}

# What there is before and must be there again after: descriptors, processes, memory, blocks.
remember() {
    run -0 ask NOOP # what is made once is made
    eventually has_children 0
    before=$(descriptors) kilobytes=$(memory) segment=$(blocks)
}

expect_flat() {
    eventually has_children 0
    [ "$(descriptors)" -eq "$before" ]
    [ "$(memory)" -le "$((kilobytes + 512))" ]
    [ "$(blocks)" = "$segment" ]
    run ! grep 'was ended by signal' "$log"
    expect_deserted
}

attack() { # kind, number
    local limit=58
    [ "$SHMAIL_ATTACK" -lt 1000 ] || limit=7200
    run timeout "$limit" "$SHMAIL_BUILD/tests/tool_attack" "$PORT" "$1" "$2"
    echo "# figures: $output" >&3
    assert_success
}

@test "10,000 silent, slow and half-closed connections keep nobody out, and leave nothing" {
    start_server -c 256
    remember
    attack flood $((10 * SHMAIL_ATTACK))
    expect_flat
    # However many were closed, the log has a line or two about it.
    [ "$(grep -c 'closed: its source has 192 connections already' "$log")" -le 30 ]
}

@test "1,000 connections that send garbage are ended, and leave nothing" {
    start_server
    remember
    attack garbage "$SHMAIL_ATTACK"
    expect_flat
}

@test "a reader that never reads holds one process of small size for a while, and leaves nothing" {
    start_server --write-timeout 1
    remember
    attack deaf 1000000
    expect_flat
}

@test "connections come and go, and leave nothing" {
    start_server
    remember
    attack churn $((1000 * SHMAIL_ATTACK / (SHMAIL_ATTACK < 1000 ? 50 : 1)))
    expect_flat
}
