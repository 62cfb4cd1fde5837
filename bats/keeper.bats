# keeper.bats: whatever becomes of the journal's keeper and of the parent, an orderly end and the time of --sync
# hold: what is lost then is the memory alone.
# shellcheck shell=bash
# shellcheck disable=SC2030,SC2031 # each test is a process of its own
# shellcheck disable=SC2154 # output is run's

bats_require_minimum_version 1.5.0
load helper
load office

common=(--crypt-cost 1 --accounts 100 --slots 16 --segment-size 16M -d journal)

serve() { # [option]...
    start_server "${common[@]}" "$@"
}

# A connection of no server, $inetd: what is written to $requests is answered to $replies. [option]...
join() {
    rm -f in out
    mkfifo in out
    shmaild -i -n "$SHMAIL_NAME" "${common[@]}" "$@" <in >out 2>>"$log" 3>&- &
    inetd=$!
    exec {requests}>in {replies}<out
    tell "$requests" NOOP
    told "$replies" OK
}

leave() {
    hang_up "$requests" "$replies"
    wait "$inetd"
}

has_keeper() {
    keeper=$(ctl ps | awk -F'\t' '$4 == "keeper" { print $2; exit }')
    [ -n "$keeper" ]
}

is_gone() { # pid
    ! ctl ps | cut -f 2 | grep -qx "$1"
}

send_ten() { # descriptor for requests, and for replies
    local i
    for i in {1..10}; do
        tell "$1" "SEND alice $i $cookie"
        told "$2" "OK $i"
    done
}

# The memory is gone, as after a power cut or a reboot.
expect_ten_from_the_journal() {
    remove_segment
    serve
    cookie=$(ask "LOGIN alice secret" | cut -d' ' -f2)
    run ask "COUNT alice $cookie"
    assert_output "COUNTED 10"
    stop_server
    remove_segment
    rm -r journal
}

@test "an orderly end writes what is owed, also where the keeper has ended before, or does not move" {
    local cookie way
    for way in TERM KILL STOP; do
        for sync in never 5; do
            serve --sync "$sync"
            eventually has_keeper
            cookie=$(enrol alice)
            dial connection
            kill "-$way" "$keeper"
            send_ten "$connection" "$connection"
            stop_server
            exec {connection}>&-
            expect_ten_from_the_journal
        done
    done
}

@test "when the parent is killed the keeper stays with the connections, and syncs in time" {
    local cookie child
    for sync in never 1; do
        serve --sync "$sync"
        eventually has_keeper
        cookie=$(enrol alice)
        dial connection
        eventually has_children 2
        child=$(children)
        kill -KILL "$SHMAIL_PID"
        wait "$SHMAIL_PID" || :
        send_ten "$connection" "$connection"
        sleep 1.7
        for process in $child "$keeper"; do
            kill -KILL "$process" 2>/dev/null || : # it was a helper's
        done
        exec {connection}>&-
        forget_server
        eventually is_deserted
        expect_ten_from_the_journal
    done
}

@test "a terminal that stops the server does not stop its keeper, which syncs in time" {
    local cookie
    set -m # as there, in a process group of its own
    serve --sync 1
    set +m
    eventually has_keeper
    cookie=$(enrol alice)
    dial connection
    send_ten "$connection" "$connection"
    kill -STOP -- "-$SHMAIL_PID"
    sleep 1.7
    kill -KILL -- "-$SHMAIL_PID" "$keeper"
    wait "$SHMAIL_PID" || :
    exec {connection}>&-
    forget_server
    eventually is_deserted
    expect_ten_from_the_journal
}

# A private server, $private, in a process group of its own.
serve_privately() {
    rm -f address
    set -m
    shmaild -e -1 -l inet:127.0.0.1:0 "${common[@]}" >address 2>>"$log" 3>&- &
    private=$!
    set +m
    eventually test -s address
}

@test "after a private server and its whole group were killed the next one starts at once" {
    local signal
    for signal in KILL QUIT TERM; do
        serve_privately
        kill "-$signal" -- "-$private"
        wait "$private" || :
    done
    serve_privately
    kill "$private"
    wait "$private"
}

@test "a keeper without a parent leaves when nobody needs it, and at once where there is a server" {
    local cookie first
    serve --sync 1
    eventually has_keeper
    dial connection
    kill -KILL "$SHMAIL_PID"
    wait "$SHMAIL_PID" || :
    sleep 0.5
    first=$keeper
    run -1 is_gone "$first"
    serve --sync 1
    eventually is_gone "$first"
    tell "$connection" NOOP
    told "$connection" OK
    eventually has_keeper
    [ "$keeper" != "$first" ]
    kill -KILL "$SHMAIL_PID"
    wait "$SHMAIL_PID" || :
    first=$keeper
    exec {connection}>&-
    eventually is_gone "$first"
    forget_server
    run -0 ctl check
}

@test "-i waits for the disk as it was told, whatever the post office was made with" {
    local inetd requests replies keeper cookie
    join --sync never
    tell "$requests" "REGISTER alice secret"
    read -r -t 10 -u "$replies" _ cookie
    leave
    eventually has_keeper
    kill -STOP "$keeper" # which would write all the same
    join
    send_ten "$requests" "$replies"
    kill -KILL "$inetd" "$keeper"
    hang_up "$requests" "$replies"
    eventually is_deserted
    expect_ten_from_the_journal
}

@test "a keeper that -i has started leaves for a server's, which syncs as often as that was told" {
    local inetd requests replies keeper first
    join --sync 600
    eventually has_keeper
    first=$keeper
    serve --sync 1
    eventually is_gone "$first"
    tell "$requests" NOOP
    told "$replies" OK
    eventually has_keeper
    leave
    run -1 is_gone "$keeper"
}

@test "a server that ends leaves a keeper with the connections of -i" {
    local inetd requests replies keeper first cookie
    for sync in never 1; do
        serve --sync "$sync"
        cookie=$(enrol alice)
        eventually has_keeper
        first=$keeper
        join --sync "$sync"
        stop_server
        eventually has_keeper
        [ "$keeper" != "$first" ]
        send_ten "$requests" "$replies"
        sleep 1.7
        kill -KILL "$inetd" "$keeper"
        hang_up "$requests" "$replies"
        eventually is_deserted
        expect_ten_from_the_journal
    done
}

@test "what shmailctl changes beside no server is in the journal when it ends, or it says that it is not" {
    for sync in never 5; do
        serve --sync "$sync"
        enrol alice
        stop_server
        ctl -d journal account passwd alice <<<changed
        ctl -d journal account add bob <<<hidden
        run ! bash -c "ulimit -f 1; shmailctl -n '$SHMAIL_NAME' -d journal account add carol <<<hidden"
        assert_output --partial "writing failed: File too large"
        assert_output --partial "the journal failed: the store is read-only until a restart"
        remove_segment
        serve
        run ask "LOGIN alice secret"
        assert_output KO
        run ask "LOGIN alice changed" "LOGIN bob hidden"
        assert_line --partial "OK "
        refute_line KO
        stop_server
        remove_segment
        rm -r journal
    done
}
