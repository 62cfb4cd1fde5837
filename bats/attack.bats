# attack.bats: many, slow, silent and senseless connections. Whoever is in goes on as before, whoever comes from
# elsewhere gets in, and nothing is left of it. `make attack` does the same at full length.
# shellcheck shell=bash
# shellcheck disable=SC2030,SC2031 # each test is a process of its own
# shellcheck disable=SC2154 # output is run's

bats_require_minimum_version 1.5.0
load helper
load office

: "${SHMAIL_ATTACK:=100}" # per mille of the full length

# The server and its processes.
office_processes() {
    echo "$SHMAIL_PID"
    cat "/proc/$SHMAIL_PID/task/$SHMAIL_PID/children"
}

# Of all of them; who is not root sees those of the server alone.
descriptors() {
    local process
    for process in $(office_processes); do
        find "/proc/$process/fd" -mindepth 1 2>/dev/null || :
    done | wc -l
}

# A line for each of them: kB, and whose.
memories() {
    local process
    for process in $(office_processes); do
        printf '%s kB %s\n' "$(sed -n 's/^RssAnon:[[:space:]]*\([0-9]*\).*/\1/p' "/proc/$process/status")" \
            "$(cat "/proc/$process/comm")"
    done
}

memory() { # kB of all of them
    memories | awk '{ sum += $1 } END { print sum }'
}

blocks() {
    ctl stat | grep '^blocks'
}

# What there is before and must be there again after: descriptors, processes, memory, blocks.
remember() { # processes that stay: 0
    processes=${1-0}
    run -0 ask NOOP # what is made once is made
    eventually has_children "$processes"
    before=$(descriptors) kilobytes=$(memory) segment=$(blocks)
}

expect_flat() {
    eventually has_children "$processes"
    [ "$(descriptors)" -eq "$before" ]
    [ "$(memory)" -le "$((kilobytes + ${allowed:-512}))" ]
    [ "$(blocks)" = "$segment" ]
    run ! grep "was ended by signal ${1-}" "$log"
}

expect_nothing_left() {
    expect_flat
    expect_deserted
}

attack() { # kind, number
    local limit=58
    [ "$SHMAIL_ATTACK" -lt 1000 ] || limit=7200
    run timeout "$limit" "$SHMAIL_BUILD/tests/tool_attack" "$PORT" "$1" "$2"
    echo "# figures: $output" >&3
    assert_success
}

@test "silent, slow and half-closed connections keep nobody out, however many, and leave nothing" {
    start_server -c 256
    remember
    attack flood $((10 * SHMAIL_ATTACK))
    expect_nothing_left
    # However many were closed, the log has a line or two about it.
    [ "$(grep -c 'closed: its source has 192 connections already' "$log")" -le 30 ]
}

half_open() { # in a network of its own
    "$SHMAIL_BUILD/tests/tool_attack" 0 network 0
    start_server -c 256
    "$SHMAIL_BUILD/tests/tool_attack" "$PORT" half-open "$1"
    stop_server
}

@test "handshakes that nobody finishes keep nobody out, however many" {
    unshare -n true || skip "a network of its own needs root"
    run timeout 58 unshare -n bash -ec "$(declare -f); half_open $((10 * SHMAIL_ATTACK))"
    echo "# figures: ${output//$'\n'/; }" >&3
    assert_success
    run -0 cat "$log"
    refute_output --partial 'closed:' # none of them came as far as the server
}

@test "a client that is gone before it is served breaks nothing" {
    start_server
    remember
    kill -STOP "$(maker)"
    attack gone 100
    kill -CONT "$(maker)"
    run -0 ask NOOP # they came before
    assert_output OK
    expect_nothing_left
}

@test "a client that is gone before it is served still counts as its source" {
    start_server --crypt-cost 1 --registrations 3
    kill -STOP "$(maker)"
    python3 - "$HOST" "$PORT" <<'END'
import socket, struct, sys
for number in range(5):
    client = socket.create_connection((sys.argv[1], int(sys.argv[2])))
    client.sendall(b"REGISTER gone%d secret\n" % number)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # reset
    client.close()
END
    kill -CONT "$(maker)"
    run ask "REGISTER late secret" WHY
    assert_output --partial "KO"
    run -0 ctl account list
    [ "${#lines[@]}" -le 4 ]
    expect_deserted
}

@test "who comes again as soon as a connection has ended is not one too many" {
    [[ $SHMAIL_BUILD != *sanitize ]] || skip "a sanitizer looks for leaks when a connection has ended"
    start_server -c 64 --per-source 16
    run -0 shmail-bench -c 12 -r 1 -n 2000 -D 8 -m NOOP "$HOST" "$PORT"
    run -0 shmail-bench -c 16 -r 1 -n 2000 -D 8 -m NOOP "$HOST" "$PORT"
    run ! grep -q 'its source has' "$log"
}

@test "connections that send garbage are ended, however many, and leave nothing" {
    start_server
    remember
    attack garbage "$SHMAIL_ATTACK"
    expect_nothing_left
}

@test "a reader that never reads holds one process of small size for a while, and leaves nothing" {
    start_server --write-timeout 1
    remember
    attack deaf 1000000
    expect_nothing_left
}

# With a journal, one that stays connected, and processes that are killed.
@test "connections of every kind come and go, and leave nothing" {
    local round rounds=1 each=2000 witness
    local allowed=2560 # the keeper's malloc(3) keeps what it has gathered for a checkpoint, a megabyte or two
    [ "$SHMAIL_ATTACK" -lt 1000 ] || rounds=10 each=100000
    start_server --crypt-cost 1 -d "$BATS_TEST_TMPDIR/journal" --sync 1 -t 86400
    "$SHMAIL_BUILD/tests/tool_churn" "$PORT" "$SHMAIL_PID" 500
    dial witness
    remember 2
    for ((round = 1; round <= rounds; round++)); do
        run "$SHMAIL_BUILD/tests/tool_churn" "$PORT" "$SHMAIL_PID" "$each"
        echo "# figures: $output" >&3
        assert_success
        eventually has_children 2 || { ctl ps; return 1; }
        echo "# figures: then $(descriptors) descriptors; $({
            memories
            ctl stat | grep -E '^(processes|blocks|accounts)'
        } | tr '\t\n' ' ;')" >&3
        expect_flat '[^9]'
    done
    [ "$(exchange "$witness" NOOP)" = OK ]
    exec {witness}>&-
    eventually has_children 1
    expect_deserted
}
