# Descriptors, processes, memory, slots and readers that run out beside a journal: each request gets its answer or
# waits, nobody dies, and when the pressure goes the post office and its journal are sound.
# shellcheck shell=bash
# shellcheck disable=SC2030,SC2031 # each test is a process of its own
# shellcheck disable=SC2154 # output is run's, log is setup's, one and others are dial's

bats_require_minimum_version 1.5.0
load helper
load office

place= # of a test's own, beside what bats gives

# The rest is office.bash's.
eval "office_$(declare -f teardown)"
teardown() {
    local result=0
    office_teardown || result=$?
    [ -z "$place" ] || rm -rf "$place"
    return "$result"
}

serve() { # [server option]...
    start_server --crypt-cost 1 --accounts 100 -d journal --journal-size 1M "$@"
    cookie=$(enrol alice)
}

# What was acknowledged is there after a reboot too.
expect_kept() { # how many messages; how many processes were killed by the test
    run grep -c signal "$log"
    assert_output "${2-0}"
    run ask "SEND alice last $cookie" "COUNT alice $cookie"
    assert_output --regexp "^OK [0-9]+"$'\n'"COUNTED $(($1 + 1))$"
    expect_deserted_but_keeper
    stop_server
    remove_segment
    run -0 shmailctl -d journal check
    assert_output clean
    start_server --crypt-cost 1 -d journal
    cookie=$(ask "LOGIN alice secret" | cut -d' ' -f2)
    run ask "COUNT alice $cookie"
    assert_output "COUNTED $(($1 + 1))"
}

only_the_keeper_is_left() {
    [ "$(ctl ps | tail -n +2 | cut -f 4 | sort | paste -sd ' ')" = "ctl keeper" ]
}

expect_deserted_but_keeper() {
    eventually only_the_keeper_is_left || { ctl ps; return 1; }
    expect_sound
}

@test "out of descriptors" {
    local cookie one two
    where_the_parent_accepts serve --slots 16
    dial one
    eventually has_children 2 # with the keeper
    prlimit --pid "$SHMAIL_PID" --nofile=3:1024
    exec {two}<>"/dev/tcp/$HOST/$PORT"
    tell "$two" "SEND alice waits $cookie"
    eventually grep -q "cannot accept a connection" "$log"
    tell "$one" "SEND alice goes $cookie"
    told "$one" "OK 1"
    prlimit --pid "$SHMAIL_PID" --nofile=1024:1024
    told "$two" "OK 2"
    exec {one}>&- {two}>&-
    expect_kept 2
}

limit_maker() { # descriptors
    local user group as=()
    if [ "$EUID" -eq 0 ]; then # whose rights over others do not go so far
        read -r _ user _ <<<"$(grep ^Uid: "/proc/$(maker)/status")"
        read -r _ group _ <<<"$(grep ^Gid: "/proc/$(maker)/status")"
        as=(setpriv --reuid "$user" --regid "$group" --clear-groups)
    fi
    "${as[@]}" prlimit --pid "$(maker)" --nofile="$1:$1"
}

@test "out of descriptors the maker leaves it to the parent to accept" {
    local cookie one
    serve --slots 16
    dial one
    limit_maker 3
    run ask "SEND alice goes $cookie"
    assert_output "OK 1"
    exec {one}>&-
    expect_kept 1
}

# As many as it may take are there while its limit is lowered, so that it finds out when it waits for more.
@test "out of descriptors to wait with, too" {
    local one
    start_server -c 1 --per-source 1
    dial one
    eventually grep -q "all 1 connections (-c) are in use" "$log"
    limit_maker 1
    exec {one}>&-
    for _ in 1 2 3; do
        run ask NOOP
        assert_output OK
    done
}

# Those that wait for the maker hold all descriptors, and another maker needs two.
@test "out of descriptors when the maker has died" {
    local cookie client waiting=()
    where_the_parent_accepts serve --slots 64
    eventually has_maker
    prlimit --pid "$SHMAIL_PID" --nofile=24:1024
    kill -STOP "$found"
    for _ in {1..30}; do
        exec {client}<>"/dev/tcp/$HOST/$PORT"
        waiting+=("$client")
    done
    eventually grep -q "cannot accept a connection" "$log"
    kill -KILL "$found"
    for client in "${waiting[@]}"; do
        exec {client}>&-
    done
    run ask "SEND alice goes $cookie"
    assert_output "OK 1"
    prlimit --pid "$SHMAIL_PID" --nofile=1024:1024
    expect_kept 1 1
}

# Root may make any number of processes, so then it is another user who has the server.
serve_as_another() { # [server option]...
    local real=$SHMAIL_BUILD program
    as=()
    [ "$EUID" -ne 0 ] || as=(setpriv --reuid 54321 --regid 54321 --clear-groups)
    place=$(mktemp -d /tmp/shmail-XXXXXX) # the folder of a run is its user's alone
    chmod 755 "$place"
    mkdir "$place/journal" "$place/real"
    cp "$real/shmaild" "$real/shmailctl" "$place/real"
    [ "$EUID" -ne 0 ] || chown -R 54321 "$place" # a build that counts its coverage does so beside the program
    for program in shmaild shmailctl; do
        printf '#!/bin/sh\ncd %s && exec %s real/%s "$@"\n' "$place" "${as[*]}" "$program" >"$place/$program"
    done
    chmod +x "$place"/shmail*
    "${as[@]}" "$place/real/shmailctl" -V || skip "that user may not run what is below /tmp"
    SHMAIL_BUILD=$place
    PATH=$place:$PATH
    serve --slots 16 "$@"
}

allow_processes() { # how many: to the server, and to the process that it has others made by
    local pid
    for pid in "$SHMAIL_PID" "$(maker)"; do
        "${as[@]}" prlimit --pid "$pid" --nproc="$1":
    done
}

@test "out of processes" {
    local cookie one two as
    serve_as_another
    dial one
    allow_processes 1
    exec {two}<>"/dev/tcp/$HOST/$PORT"
    tell "$two" "SEND alice waits $cookie"
    eventually grep -q "connections wait" "$log"
    tell "$one" "SEND alice goes $cookie"
    told "$one" "OK 1"
    allow_processes 10000
    told "$two" "OK 2"
    exec {one}>&- {two}>&-
    expect_kept 2
}

# Nothing that says so may need a descriptor.
@test "out of processes and of descriptors who has come waits, too" {
    local cookie one two held=() as
    serve_as_another
    dial one
    allow_processes 1
    "${as[@]}" prlimit --pid "$SHMAIL_PID" --nofile=3:1024
    for _ in 1 2 3; do
        exec {two}<>"/dev/tcp/$HOST/$PORT"
        tell "$two" "SEND alice waits $cookie"
        held+=("$two")
    done
    eventually grep -q "connections wait" "$log"
    sleep 0.5
    "${as[@]}" prlimit --pid "$SHMAIL_PID" --nofile=1024:1024
    allow_processes 10000
    for two in "${held[@]}"; do
        read -r -t 10 -u "$two"
        [[ $REPLY == "OK "[123] ]]
        exec {two}>&-
    done
    exec {one}>&-
    expect_kept 3
}

# The server, its maker, its keeper and four spares: as many as there may be.
@test "out of processes nobody waits beside a spare" {
    local cookie one two three four five six as
    [ "$EUID" -eq 0 ] || skip "needs root, to be somebody who has no other process"
    serve_as_another --spare 4
    eventually has_children 5
    allow_processes 7
    dial one
    dial two
    dial three
    dial four
    exec {five}<>"/dev/tcp/$HOST/$PORT" {six}<>"/dev/tcp/$HOST/$PORT"
    tell "$five" "SEND alice waits $cookie"
    eventually grep -q "cannot make a process.*; connections wait" "$log"
    exec {one}>&-
    told "$five" "OK 1"
    exec {two}>&-
    tell "$six" "SEND alice too $cookie"
    told "$six" "OK 2"
    allow_processes 10000
    exec {three}>&- {four}>&- {five}>&- {six}>&-
    eventually has_children 5
}

@test "out of processes for a maker, spares serve as long as there are any" {
    local cookie one two as
    [ "$EUID" -eq 0 ] || skip "needs root, to be somebody who has no other process"
    serve_as_another --spare 4
    eventually has_children 5
    allow_processes 6 # the server, its keeper and the spares
    kill -KILL "$(maker)"
    eventually grep -q "the process that makes others has ended" "$log"
    dial one
    dial two
    tell "$two" "SEND alice goes $cookie"
    told "$two" "OK 1"
    exec {one}>&- {two}>&-
    "${as[@]}" prlimit --pid "$SHMAIL_PID" --nproc=10000:
    expect_kept 1 1
}

has_keeper() {
    ctl ps 2>/dev/null | grep -q '	keeper	alive	'
}

@test "out of processes when the keeper has died: requests go on, and there is one again" {
    local cookie one as keeper
    serve_as_another
    eventually has_maker
    eventually has_children 1
    eventually has_keeper
    eventually has_children 1
    keeper=$(children)
    dial one
    allow_processes 1
    kill -KILL "$keeper"
    eventually grep -q "cannot make a process for the journal" "$log"
    tell "$one" "SEND alice goes $cookie" "SEND alice on $cookie"
    told "$one" "OK 1" "OK 2"
    "${as[@]}" prlimit --pid "$(maker)" --nproc=10000: # who serves can be made, a keeper cannot
    for _ in 1 2 3; do
        run ask "COUNT alice $cookie"
        assert_output "COUNTED 2"
    done
    allow_processes 10000
    eventually has_keeper
    exec {one}>&-
    [[ " $(children) " != *" $keeper "* ]]
    expect_kept 2 1
}

@test "out of processes when the post office has to be checked: a temporary error until it is" {
    local cookie one two as before
    [[ $SHMAIL_BUILD != *sanitize ]] || skip "a sanitizer handles faults itself, and tells nobody else"
    serve_as_another
    dial one
    eventually has_children 2
    before=$(children)
    dial two
    allow_processes 1
    # shellcheck disable=SC2046 # one
    kill -SEGV $(comm -13 <(tr ' ' '\n' <<<"$before" | sort) <(children | tr ' ' '\n' | sort))
    eventually grep -q "cannot make a process to check the post office" "$log"
    tell "$one" "SEND alice refused $cookie" WHY
    told "$one" KO
    run grep -c "is sound" "$log"
    assert_output 0
    allow_processes 10000
    eventually grep -q "the post office is sound" "$log"
    exec {one}>&- {two}>&-
    run ask "SEND alice goes $cookie"
    assert_output "OK 1"
    expect_kept 1 1
}

@test "out of slots" {
    local cookie one other requests
    serve --slots 3 # one is the keeper's
    dial one
    mkfifo requests
    "$SHMAIL_BUILD/shmaild" -i -n "$SHMAIL_NAME" -d journal <requests >replies 2>/dev/null 3>&- &
    other=$!
    exec {requests}>requests
    tell "$requests" NOOP
    eventually grep -q OK replies
    run ask "SEND alice refused $cookie"
    refute_output --partial OK
    eventually grep -q "turned away: no room for another process" "$log"
    tell "$one" "SEND alice goes $cookie"
    told "$one" "OK 1"
    exec {one}>&- {requests}>&-
    wait "$other"
    eventually only_the_keeper_is_left
    expect_kept 1
}

@test "the keeper's slot is taken from no connection" {
    local cookie one two three
    serve --slots 3
    dial one
    dial two
    exec {three}<>"/dev/tcp/$HOST/$PORT"
    tell "$three" "SEND alice waits $cookie"
    run ! read -r -t 0.3 -u "$three"
    exec {one}>&-
    told "$three" "OK 1"
    exec {two}>&- {three}>&-
    eventually only_the_keeper_is_left
    expect_kept 1
}

@test "a keeper that ends of its own accord is followed after a moment, not at once" {
    local cookie keeper
    serve
    eventually has_maker
    eventually has_keeper
    eventually has_children 1
    keeper=$(children)
    keeper=${keeper// /}
    kill -TERM "$keeper"
    is_gone() { [ ! -e "/proc/$keeper" ]; }
    eventually is_gone
    sleep 0.3
    [ -z "$(children)" ]
    eventually has_keeper
    expect_kept 0
}

@test "out of processes under inetd: what is asked is answered, and that there is no keeper is said" {
    [ "$EUID" -eq 0 ] || skip "needs root, to be somebody who has no other process"
    place=$(mktemp -d /tmp/shmail-XXXXXX) # the folder of a run is its user's alone
    chmod 755 "$place"
    mkdir "$place/journal"
    cp "$SHMAIL_BUILD/shmaild" "$place"
    chown -R 54322 "$place"
    cd "$place"
    # Itself, and the one between it and the keeper.
    run -0 --separate-stderr setpriv --reuid 54322 --regid 54322 --clear-groups prlimit --nproc=2 \
        ./shmaild -i -n "$SHMAIL_NAME" -d journal <<<"REGISTER alice secret"
    assert_output --regexp "^OK [A-Za-z0-9_-]+$"
    # shellcheck disable=SC2154 # stderr is run's
    [[ $stderr == *"the journal has no keeper: "* ]]
}

@test "out of the segment" {
    local cookie body count
    serve --slots 16 --segment-size 3M
    body=$(printf '%010000d' 0)
    replies=$(for _ in {1..200}; do echo "SEND alice $body $cookie"; done | timeout 30 nc -N "$HOST" "$PORT")
    count=$(grep -c '^OK' <<<"$replies")
    [ "$count" -gt 10 ]
    [ "$(grep -c '^KO' <<<"$replies")" -eq $((200 - count)) ]
    for _ in {1..20}; do echo "DELMSG alice $cookie"; done | timeout 30 nc -N "$HOST" "$PORT" >replies
    [ "$(grep -c OK replies)" -eq 20 ]
    expect_kept $((count - 20))
}

@test "a client that never reads" {
    local cookie body reader
    serve --slots 16
    body=$(printf '%0900000d' 0)
    run ask "SEND alice $body $cookie"
    assert_output "OK 1"
    dial reader
    for _ in {1..20}; do
        echo "FETCH alice 1 $cookie"
    done >&"$reader"
    run -0 read -r -t 10 -u "$reader" # the first of 18 MB, which nobody reads
    run ask "SEND alice two $cookie" "SEND alice three $cookie" "REMOVE alice 1 $cookie" "COUNT alice $cookie"
    assert_output $'OK 2\nOK 3\nOK\nCOUNTED 2'
    exec {reader}>&-
    expect_kept 2
}
