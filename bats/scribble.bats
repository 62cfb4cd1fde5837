# A process that crashes may have written anywhere: the store is checked before anybody works on it again.

load helper

wait_for_log() {
    timeout 20 sh -c "until grep -q '$1' '$BATS_FILE_TMPDIR/shmaild.log'; do :; done"
}

child_of_server() {
    shmailctl -n "$SHMAIL_NAME" ps | awk -F'\t' '$4 == "smsp" { print $2; exit }'
}

setup_file() {
    export PATH=$SHMAIL_BUILD:$SHMAIL_BUILD/tests:$PATH
    export ASAN_OPTIONS=abort_on_error=1 # so that a sanitized child dies by a signal, too
}

setup() {
    rm -rf "$BATS_FILE_TMPDIR/journal" "$BATS_FILE_TMPDIR/shmaild.log"
}

teardown() {
    stop_server || :
    remove_segment
    rm -f "/dev/shm/shmail-$SHMAIL_NAME.damaged-"*
}

@test "a child that dies of a fault leads to a check, and others are served again" {
    start_server --crypt-cost 1
    ask "REGISTER alice secret"
    exec {held}<>"/dev/tcp/$HOST/$PORT"
    echo NOOP >&"$held"
    read -r -u "$held"
    kill -SEGV "$(child_of_server)"
    wait_for_log "the post office is sound"
    exec {held}>&-
    run ask "LOGIN alice secret"
    assert_output --partial "OK "
    run shmailctl -n "$SHMAIL_NAME" check
    assert_output clean
}

@test "a damaged post office without a journal ends the server, which says so, and is kept" {
    start_server --crypt-cost 1
    ask "REGISTER alice secret"
    tool_scribble "$SHMAIL_NAME" mailbox
    ask NOOP || :
    wait_for_log "is damaged and has no journal"
    [ -e "/dev/shm/shmail-$SHMAIL_NAME" ]
    run shmailctl -n "$SHMAIL_NAME" check
    assert_failure 1
    assert_output --partial "mailbox 1"
}

@test "a damaged post office with a journal is set aside and rebuilt" {
    start_server --crypt-cost 1 -d "$BATS_FILE_TMPDIR/journal"
    cookie=$(ask "REGISTER alice secret" | cut -d' ' -f2)
    ask "SEND alice first $cookie" "SEND alice second $cookie"
    tool_scribble "$SHMAIL_NAME" mailbox
    ask NOOP || :
    wait_for_log "was rebuilt from its journal"
    cookie=$(ask "LOGIN alice secret" | cut -d' ' -f2)
    run ask "COUNT alice $cookie" "GETMSG alice $cookie"
    assert_line "COUNTED 2"
    assert_line first
    run shmailctl -n "$SHMAIL_NAME" check
    assert_output clean
    run ls "/dev/shm/shmail-$SHMAIL_NAME.damaged-"*
    assert_success
}

@test "a false alarm costs nothing but a check" {
    start_server --crypt-cost 1
    ask "REGISTER alice secret"
    tool_scribble "$SHMAIL_NAME" nothing
    ask NOOP || :
    wait_for_log "the post office is sound"
    run ask "LOGIN alice secret"
    assert_output --partial "OK "
}
