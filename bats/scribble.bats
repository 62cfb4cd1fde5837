# A process that crashes may have written anywhere: the store is checked before anybody works on it again.

bats_require_minimum_version 1.5.0
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
    [ -z "${SHMAIL_PID-}" ] || kill -CONT "$SHMAIL_PID" 2>/dev/null || :
    stop_server || :
    remove_segment
    rm -f "/dev/shm/shmail-$SHMAIL_NAME.damaged-"*
}

@test "a child that dies of a fault leads to a check, and others are served again" {
    local signal
    start_server --crypt-cost 1
    ask "REGISTER alice secret"
    for signal in SEGV BUS ABRT FPE ILL; do
        : >"$BATS_FILE_TMPDIR/shmaild.log"
        exec {held}<>"/dev/tcp/$HOST/$PORT"
        echo NOOP >&"$held"
        read -r -u "$held"
        kill "-$signal" "$(child_of_server)"
        wait_for_log "the post office is sound"
        exec {held}>&-
        run ask "LOGIN alice secret"
        assert_output --partial "OK "
        run shmailctl -n "$SHMAIL_NAME" check
        assert_output clean
    done
}

@test "while the first connection is there its parent sees that another process has made the store suspect" {
    local held
    start_server --crypt-cost 1 -d "$BATS_FILE_TMPDIR/journal"
    sleep 0.3 # until it is asleep
    exec {held}<>"/dev/tcp/$HOST/$PORT"
    echo "REGISTER alice secret" >&"$held"
    read -r -u "$held"
    sleep 0.3
    tool_scribble "$SHMAIL_NAME" mailbox
    wait_for_log "was rebuilt from its journal"
    exec {held}>&-
}

# It is not attached, and works on no table.
@test "a parent that dies of a fault makes nothing suspect, and who is connected goes on" {
    local held
    [[ $SHMAIL_BUILD != *sanitize ]] || skip "a sanitizer handles faults itself, and tells nobody else"
    start_server --crypt-cost 1
    exec {held}<>"/dev/tcp/$HOST/$PORT"
    echo NOOP >&"$held"
    read -r -t 10 -u "$held"
    kill -SEGV "$SHMAIL_PID"
    wait "$SHMAIL_PID" || :
    echo NOOP >&"$held"
    read -r -t 10 -u "$held" REPLY
    [ "$REPLY" = OK ]
    exec {held}>&-
    run --separate-stderr shmaild -i -n "$SHMAIL_NAME" <<<NOOP
    assert_output OK
    [ -z "$stderr" ]
}

# A process without a parent that serves: option... It is $inetd, and reads what is written to $requests.
begin_inetd() {
    mkfifo "$BATS_TEST_TMPDIR/requests"
    shmaild -i -n "$SHMAIL_NAME" "$@" <"$BATS_TEST_TMPDIR/requests" >"$BATS_TEST_TMPDIR/replies" 2>&1 3>&- &
    inetd=$!
    exec {requests}>"$BATS_TEST_TMPDIR/requests"
    echo NOOP >&"$requests"
    eventually grep -q OK "$BATS_TEST_TMPDIR/replies"
}

@test "a crash while all slots are taken is looked after when one is free" {
    local first inetd requests
    start_server --crypt-cost 1 --slots 2 -c 2 --spare 1
    ask "REGISTER alice secret"
    exec {first}<>"/dev/tcp/$HOST/$PORT"
    echo NOOP >&"$first"
    read -r -t 10 -u "$first"
    begin_inetd
    eventually has_named "shmaild: spare" 1 # which has no slot
    kill -SEGV "$(named "shmaild: spare")"
    wait_for_log "the post office cannot be checked"
    exec {first}>&- {requests}>&-
    wait_for_log "the post office is sound"
    run ask "LOGIN alice secret"
    assert_output --partial "OK "
}

@test "a crash of all who have a slot is looked after, too" {
    local first second
    start_server --crypt-cost 1 --slots 2 -c 2
    ask "REGISTER alice secret"
    exec {first}<>"/dev/tcp/$HOST/$PORT" {second}<>"/dev/tcp/$HOST/$PORT"
    echo NOOP >&"$first"
    read -r -t 10 -u "$first"
    echo NOOP >&"$second"
    read -r -t 10 -u "$second"
    # shellcheck disable=SC2046 # words they are
    kill -SEGV $(children)
    exec {first}>&- {second}>&-
    wait_for_log "the post office is sound"
    run ask "LOGIN alice secret"
    assert_output --partial "OK "
}

# Such a one dies of a fault: option...
crash_of_inetd() {
    local inetd requests
    begin_inetd "$@"
    kill -SEGV "$inetd"
    wait "$inetd" || :
    exec {requests}>&-
}

@test "without a parent: a crash of all who have a slot is looked after by who comes next" {
    [[ $SHMAIL_BUILD != *sanitize ]] || skip "a sanitizer handles faults itself, and tells nobody else"
    crash_of_inetd --slots 1 --crypt-cost 1
    run -0 shmailctl -n "$SHMAIL_NAME" ps
    run --separate-stderr shmaild -i -n "$SHMAIL_NAME" <<<"REGISTER alice secret"
    assert_output --partial "OK "
    [[ $stderr == *"the post office is sound"* ]]
}

@test "until the check is over each request gets a temporary error, and afterwards its answer" {
    local cookie held quitter message line word
    start_server --crypt-cost 1
    cookie=$(ask "REGISTER alice secret" | cut -d' ' -f2)
    exec {held}<>"/dev/tcp/$HOST/$PORT" {quitter}<>"/dev/tcp/$HOST/$PORT" {message}<>"/dev/tcp/$HOST/$PORT"
    eventually has_children 3
    echo NOOP >&"$held"
    read -r -t 10 -u "$held" line
    kill -STOP "$SHMAIL_PID" # so that nobody checks
    tool_scribble "$SHMAIL_NAME" nothing
    printf '%s\n' "SEND alice hello $cookie" "COUNT alice $cookie" >&"$held"
    for _ in 1 2; do
        read -r -t 10 -u "$held" line
        [ "$line" = KO ]
    done
    # What needs nothing of the store is not kept from anybody.
    printf '%s\n' WHY NOOP DUMP HELP >&"$held"
    for word in "OK the post office is being checked, try again" OK OK "OK REGISTER"; do
        read -r -t 10 -u "$held" line
        [[ $line == "$word"* ]]
    done
    echo QUIT >&"$quitter"
    run timeout 10 cat <&"$quitter"
    assert_success
    assert_output OK
    printf '\0\0\0\5\0\0\0\4null' >&"$message"
    run timeout 10 cat <&"$message"
    assert_success
    assert_output ""
    kill -CONT "$SHMAIL_PID"
    ask NOOP || :
    wait_for_log "the post office is sound"
    echo "SEND alice hello $cookie" >&"$held"
    read -r -t 10 -u "$held" line
    [ "$line" = "OK 1" ]
    exec {held}>&- {quitter}>&- {message}>&-
}

switches_of_server() {
    grep voluntary "/proc/$SHMAIL_PID/status"
}

is_asleep() { # for longer than who has just accepted
    local before
    before=$(switches_of_server)
    sleep 0.2
    [ "$(switches_of_server)" = "$before" ]
}

@test "who is connected is served again after the check, though nobody else comes" {
    local cookie held line
    start_server --crypt-cost 1
    cookie=$(ask "REGISTER alice secret" | cut -d' ' -f2)
    exec {held}<>"/dev/tcp/$HOST/$PORT"
    echo NOOP >&"$held"
    read -r -t 10 -u "$held" line
    eventually is_asleep
    tool_scribble "$SHMAIL_NAME" nothing # a process that is no child of the server's
    wait_for_log "the post office is sound"
    echo "COUNT alice $cookie" >&"$held"
    read -r -t 10 -u "$held" line
    [ "$line" = "COUNTED 0" ]
    exec {held}>&-
}

@test "a process that is there since a time that cannot be is listed, without it" {
    start_server --crypt-cost 1
    kill -STOP "$SHMAIL_PID" # so that nobody checks
    tool_scribble "$SHMAIL_NAME" since
    run shmailctl -n "$SHMAIL_NAME" ps
    assert_success
    [ "$(awk -F'\t' '$7 == "scribbler" { print $3 }' <<<"$output")" = - ]
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
    start_server --crypt-cost 1 --spare 2 -d "$BATS_FILE_TMPDIR/journal"
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
    # The server has what its new spares wait at, and no more what the old ones did.
    [ "$(find "/proc/$SHMAIL_PID/fd" -lname '*eventpoll*' | wc -l)" -eq 1 ]
}

# The connection of a server that was killed serves on, and so does one of inetd, which is stopped: none of them is a
# child of the server that rebuilds.
@test "a damaged post office is rebuilt though processes of others are attached, which end" {
    local cookie held inetd requests line
    start_server --crypt-cost 1 -d "$BATS_FILE_TMPDIR/journal"
    cookie=$(ask "REGISTER alice secret" | cut -d' ' -f2)
    ask "SEND alice first $cookie"
    exec {held}<>"/dev/tcp/$HOST/$PORT"
    echo NOOP >&"$held"
    read -r -t 10 -u "$held" line
    kill -KILL "$SHMAIL_PID"
    forget_server
    begin_inetd -d "$BATS_FILE_TMPDIR/journal"
    kill -STOP "$inetd"
    start_server --crypt-cost 1 -d "$BATS_FILE_TMPDIR/journal"
    tool_scribble "$SHMAIL_NAME" mailbox
    ask NOOP || :
    wait_for_log "was rebuilt from its journal"
    wait_for_log "process $inetd had the damaged post office open, and was ended"
    run wait "$inetd"
    assert_failure 137
    run timeout 10 cat <&"$held"
    assert_success
    assert_output ""
    cookie=$(ask "LOGIN alice secret" | cut -d' ' -f2)
    run ask "COUNT alice $cookie"
    assert_output "COUNTED 1"
    exec {held}>&- {requests}>&-
}

@test "where such a process cannot be ended the server says which, and changes nothing" {
    local inetd requests status=0 journal=$BATS_FILE_TMPDIR/journal
    [ "$EUID" -eq 0 ] || skip "needs root, to become another user"
    [[ $SHMAIL_BUILD != *sanitize ]] || skip "built with sanitizers, and so without a sandbox"
    start_server --crypt-cost 1 -d "$journal" --run-as-root
    ask "REGISTER alice secret"
    begin_inetd -u nobody -d "$journal"
    tool_scribble "$SHMAIL_NAME" mailbox
    ask NOOP || :
    wait_for_log "process $inetd has it open, and cannot be ended: Operation not permitted"
    wait "$SHMAIL_PID" || status=$?
    [ "$status" -eq 69 ]
    forget_server
    run ls "/dev/shm/shmail-$SHMAIL_NAME.damaged-"*
    assert_failure
    exec {requests}>&-
    wait "$inetd" || :
    start_server --crypt-cost 1 -d "$journal"
    ask NOOP || :
    wait_for_log "was rebuilt from its journal"
}

# As one that was forked by a killed server and is no more attached: it lingers for its client, and is told by nothing
# but the lock on the directory.
@test "a rebuild waits for who has the journal open and leaves by himself" {
    local holder journal=$BATS_FILE_TMPDIR/journal
    start_server --crypt-cost 1 -d "$journal"
    ask "REGISTER alice secret"
    damage_while_held 2
    wait_for_log "was rebuilt from its journal"
    run -1 kill -0 "$holder"
}

# Somebody has the journal's directory for so long; holder is who.
damage_while_held() { # seconds
    flock -s "$BATS_FILE_TMPDIR/journal/lock" sleep "$1" 3>&- &
    holder=$!
    eventually has_child "$holder"
    tool_scribble "$SHMAIL_NAME" mailbox
    ask NOOP || :
}

has_child() { # pid
    [ -n "$(<"/proc/$1/task/$1/children")" ]
}

@test "where he stays the server says so, and nothing is set aside" {
    local holder status=0 journal=$BATS_FILE_TMPDIR/journal
    start_server --crypt-cost 1 -d "$journal"
    ask "REGISTER alice secret"
    damage_while_held 30
    wait_for_log "cannot be rebuilt: a process that is not known has it"
    wait "$SHMAIL_PID" || status=$?
    [ "$status" -eq 69 ]
    forget_server
    run ls "/dev/shm/shmail-$SHMAIL_NAME.damaged-"*
    assert_failure
    kill "$(<"/proc/$holder/task/$holder/children")"
    start_server --crypt-cost 1 -d "$journal"
    ask NOOP || :
    wait_for_log "was rebuilt from its journal"
}

# By the byte that says so, for the moment in which such a one is not attached yet.
@test "who is just opening a damaged post office is ended, too" {
    local opener said status=0
    command -v python3 >/dev/null || skip "no python3 here"
    start_server --crypt-cost 1 -d "$BATS_FILE_TMPDIR/journal"
    ask "REGISTER alice secret"
    mkfifo "$BATS_TEST_TMPDIR/said"
    python3 -c '
import fcntl, os, sys, time
segment = open(sys.argv[1], "r+b")
fcntl.lockf(segment, fcntl.LOCK_SH, 1, os.fstat(segment.fileno()).st_size)
print("opened", flush=True)
time.sleep(60)
' "/dev/shm/shmail-$SHMAIL_NAME" >"$BATS_TEST_TMPDIR/said" 3>&- &
    opener=$!
    read -r said <"$BATS_TEST_TMPDIR/said"
    [ "$said" = opened ]
    tool_scribble "$SHMAIL_NAME" mailbox
    ask NOOP || :
    wait_for_log "process $opener had the damaged post office open, and was ended"
    wait_for_log "was rebuilt from its journal"
    wait "$opener" || status=$?
    [ "$status" -eq 137 ]
}

@test "whose name is another's by now sets nothing of that aside" {
    local status=0 other journal=$BATS_FILE_TMPDIR/journal
    local -x SHMAIL_USER=carol SHMAIL_PASSWORD=secret
    start_server --crypt-cost 1 -d "$journal"
    ask "REGISTER alice secret"
    mv "/dev/shm/shmail-$SHMAIL_NAME" "/dev/shm/shmail-$SHMAIL_NAME-moved"
    shmaild -n "$SHMAIL_NAME" --crypt-cost 1 -l "unix:$BATS_TEST_TMPDIR/socket" 3>&- &
    other=$!
    eventually test -S "$BATS_TEST_TMPDIR/socket"
    SHMAIL_SERVER=unix:$BATS_TEST_TMPDIR/socket run -0 shmail register
    tool_scribble "$SHMAIL_NAME-moved" mailbox
    ask NOOP || :
    wait "$SHMAIL_PID" || status=$?
    [ "$status" -eq 69 ]
    forget_server
    run ls "/dev/shm/shmail-$SHMAIL_NAME.damaged-"*
    assert_failure
    SHMAIL_SERVER=unix:$BATS_TEST_TMPDIR/socket run -0 shmail login
    rm "/dev/shm/shmail-$SHMAIL_NAME-moved"
    kill "$other"
    wait "$other"
}

@test "TERM ends a server that waits with its rebuild, too" {
    local worker status=0 start journal=$BATS_FILE_TMPDIR/journal
    start_server --crypt-cost 1 -d "$journal"
    ask "REGISTER alice secret"
    mv "$journal" "$BATS_TEST_TMPDIR"
    mkdir "$journal"
    exec {worker}>"$journal/lock"
    flock "$worker"
    tool_scribble "$SHMAIL_NAME" mailbox
    ask NOOP || :
    wait_for_log "waiting for the end of a start, a check or a repair there"
    start=$SECONDS
    kill "$SHMAIL_PID"
    wait "$SHMAIL_PID" || status=$?
    [ "$status" -eq 0 ]
    [ $((SECONDS - start)) -le 2 ]
    forget_server
    exec {worker}>&-
}

@test "what is damaged again just after it was rebuilt ends the server, which says so, and is kept" {
    local status=0
    start_server --crypt-cost 1 -d "$BATS_FILE_TMPDIR/journal"
    ask "REGISTER alice secret"
    tool_scribble "$SHMAIL_NAME" mailbox
    ask NOOP || :
    wait_for_log "was rebuilt from its journal"
    run ask NOOP
    assert_output OK
    tool_scribble "$SHMAIL_NAME" mailbox
    ask NOOP || :
    wait_for_log "is damaged again, just after it was rebuilt"
    wait "$SHMAIL_PID" || status=$?
    [ "$status" -eq 65 ]
    forget_server
    [ -e "/dev/shm/shmail-$SHMAIL_NAME" ]
}

@test "where the journal goes on is checked as well, and no mail is lost by it" {
    local where
    start_server --crypt-cost 1 -d "$BATS_FILE_TMPDIR/journal"
    ask "REGISTER alice secret"
    for where in file epoch synced tail capacity places; do
        : >"$BATS_FILE_TMPDIR/shmaild.log"
        cookie=$(ask "LOGIN alice secret" | cut -d' ' -f2)
        run ask "SEND alice before-$where $cookie"
        assert_output --partial "OK "
        tool_scribble "$SHMAIL_NAME" "$where" || [ $? -eq 137 ] # the keeper may see it first, and all are ended
        ask NOOP || :
        wait_for_log "was rebuilt from its journal"
        cookie=$(ask "LOGIN alice secret" | cut -d' ' -f2)
        run ask "SEND alice after-$where $cookie"
        assert_output --partial "OK "
        stop_server # which would rebuild no second one so soon
        start_server --crypt-cost 1 -d "$BATS_FILE_TMPDIR/journal"
    done
    stop_server
    shmailctl rm "$SHMAIL_NAME"
    start_server --crypt-cost 1 -d "$BATS_FILE_TMPDIR/journal"
    cookie=$(ask "LOGIN alice secret" | cut -d' ' -f2)
    run ask "LIST alice $cookie"
    assert_line --index 0 "OK 12"
    for where in file epoch synced tail capacity places; do
        assert_output --regexp "before-$where.* alice after-$where"
    done
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

@test "without a parent: who comes next checks, and serves what is sound" {
    [[ $SHMAIL_BUILD != *sanitize ]] || skip "a sanitizer handles faults itself, and tells nobody else"
    run shmaild -i -n "$SHMAIL_NAME" --crypt-cost 1 <<<"REGISTER alice secret"
    assert_output --partial "OK "
    crash_of_inetd
    run --separate-stderr shmaild -i -n "$SHMAIL_NAME" <<<"LOGIN alice secret"
    assert_output --partial "OK "
    [[ $stderr == *"the post office is being checked"*"the post office is sound"* ]]
    run --separate-stderr shmaild -i -n "$SHMAIL_NAME" <<<NOOP
    assert_output OK
    [ -z "$stderr" ]
}

@test "without a parent: who comes next turns its client away from what is damaged, and says what to do" {
    shmaild -i -n "$SHMAIL_NAME" --crypt-cost 1 <<<"REGISTER alice secret"
    tool_scribble "$SHMAIL_NAME" mailbox
    run -65 --separate-stderr shmaild -i -n "$SHMAIL_NAME" <<<NOOP
    assert_output KO
    [[ $stderr == *"the post office is damaged: "*"mend it with 'shmailctl repair'"* ]]
    cd "$BATS_TEST_TMPDIR"
    run shmailctl -n "$SHMAIL_NAME" repair
    assert_line repaired
    run shmaild -i -n "$SHMAIL_NAME" <<<"LOGIN alice secret"
    assert_output --partial "OK "
}
