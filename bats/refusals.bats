# What a server with a journal refuses: each time one line says what, where and what to do, and what was
# acknowledged before is there again as soon as that is done.
# shellcheck shell=bash
# shellcheck disable=SC2030,SC2031 # each test is a process of its own
# shellcheck disable=SC2154 # output and stderr are run's, log is setup's

bats_require_minimum_version 1.5.0
load helper
load office

readonly FULL="no disk space for the journal"

serve() {
    start_server --crypt-cost 1 --accounts 100 --slots 16 --segment-size 16M -d "$PWD/journal" --journal-size 1M
}

# A post office with two messages of alice's, whose server and memory are gone: the journal has them.
leave_a_journal() {
    serve
    cookie=$(enrol alice)
    run ask "SEND alice one $cookie"
    assert_output "OK 1"
    run ask "SEND alice two $cookie" # its record says that the one before was synced
    assert_output "OK 2"
    stop_server
    remove_segment
}

expect_both() {
    serve
    cookie=$(ask "LOGIN alice secret" | cut -d' ' -f2)
    run ask "COUNT alice $cookie" "GETMSG alice $cookie" "DELMSG alice $cookie" "GETMSG alice $cookie"
    assert_output $'COUNTED 2\none\nOK\ntwo'
    expect_sound
}

# The server ends with this status and one line that has these words.
expect_refused() { # status, words, [server option]...
    local status=$1 words=$2
    shift 2
    run "-$status" --separate-stderr timeout 20 "${as[@]}" shmaild -n "$SHMAIL_NAME" -l inet:127.0.0.1:0 \
        --crypt-cost 1 --accounts 100 --slots 16 --segment-size 16M "$@"
    [[ $stderr == *"$words"* ]] || { echo "not \"$words\" but: $stderr"; return 1; }
    [[ $stderr != *$'\n'* ]] || { echo "more than one line: $stderr"; return 1; }
}

byte_at() { # file, offset
    od -An -tu1 -j "$2" -N 1 "$1" | tr -d ' '
}

put_byte() { # file, offset, number
    # shellcheck disable=SC2059
    printf "\\$(printf %o "$3")" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

as=()

@test "a directory that cannot be made, or is none" {
    expect_refused 71 "journal directory $PWD/there/is/none: it cannot be made: No such file" -d "$PWD/there/is/none"
    touch file
    expect_refused 71 "journal directory $PWD/file: it cannot be opened: Not a directory" -d "$PWD/file"
    [ ! -e "/dev/shm/shmail-$SHMAIL_NAME" ]
}

@test "a directory without permission" {
    local cookie
    leave_a_journal
    # root may do everything unless it is told not to
    [ "$EUID" -ne 0 ] || as=(setpriv "--bounding-set=-dac_override,-dac_read_search")
    chmod 0 journal
    expect_refused 71 "journal directory $PWD/journal: it cannot be opened: Permission denied" -d "$PWD/journal"
    chmod 400 journal
    run -69 "${as[@]}" shmailctl -d "$PWD/journal" repair
    assert_output --partial "journal directory $PWD/journal: its lock file cannot be opened: Permission denied"
    chmod 700 journal
    chmod 0 journal/journal.1
    expect_refused 71 "journal directory $PWD/journal: journal.1: Permission denied" -d "$PWD/journal"
    chmod 600 journal/journal.1
    chmod 777 journal
    expect_refused 69 "journal directory $PWD/journal belongs to somebody else or may be written by others" \
        -d "$PWD/journal"
    chmod 700 journal
    [ ! -e "/dev/shm/shmail-$SHMAIL_NAME" ]
    expect_both
}

@test "a directory that another post office has, until that one ends" {
    local cookie
    serve
    cookie=$(enrol alice)
    run ask "SEND alice one $cookie" "SEND alice two $cookie"
    run -69 --separate-stderr shmaild -n "$SHMAIL_NAME-2" -d "$PWD/journal" -l inet:127.0.0.1:0
    [[ $stderr == *"journal directory $PWD/journal is used by another post office: end its processes first"* ]]
    [ ! -e "/dev/shm/shmail-$SHMAIL_NAME-2" ]
    expect_refused 69 "post office $SHMAIL_NAME has a server already: stop that one" -d "$PWD/journal"
    run ask "COUNT alice $cookie"
    assert_output "COUNTED 2"
    stop_server
    run -0 bash -c "timeout 20 shmaild -i -n '$SHMAIL_NAME-2' -d '$PWD/journal' <<<NOOP"
    eventually flock -n journal/lock true # its keeper goes after it
    rm -f "/dev/shm/shmail-$SHMAIL_NAME-2"
    expect_refused 69 "post office $SHMAIL_NAME is out of date, remove it with 'shmailctl rm $SHMAIL_NAME'" -d "$PWD/journal"
    remove_segment
    expect_both
}

@test "a directory that is being checked or repaired, until that has ended" {
    local tool
    leave_a_journal
    flock journal/lock sleep 1 3>&- &
    tool=$!
    eventually is_locked journal/lock
    expect_both
    grep -q "journal directory $PWD/journal: waiting for the end of a start, a check or a repair there" "$log"
    wait "$tool"
    stop_server
    : >"$log"
    flock journal/lock sleep 1 3>&- & # and beside the memory
    tool=$!
    eventually is_locked journal/lock
    serve
    grep -q "waiting for the end of a start, a check" "$log"
    wait "$tool"
    expect_sound
}

is_locked() {
    ! flock -n "$1" true
}

@test "a journal that others might use is nobody's but the server's from the start on" {
    local owner=$EUID
    leave_a_journal
    chmod 666 journal/journal.0
    [ "$EUID" -ne 0 ] || { owner=4242 && chown 4242 journal/journal.0; }
    chmod 644 journal/journal.1
    chmod 640 journal/lock
    : >"$BATS_FILE_TMPDIR/shmaild.log"
    expect_both
    [ "$(stat -c %a-%u journal/*)" = "$(printf "600-$EUID\n%.0s" 1 2 3)" ]
    grep -q "others might use journal.0, of user $owner, mode 666: not from now on" "$BATS_FILE_TMPDIR/shmaild.log"
    grep -q "others might use journal.1, of user $EUID, mode 644: not from now on" "$BATS_FILE_TMPDIR/shmaild.log"
    grep -q "others might use lock, of user $EUID, mode 640: not from now on" "$BATS_FILE_TMPDIR/shmaild.log"
}

@test "a journal that cannot be kept from others is served, and the log says who has it" {
    local as=(setpriv "--bounding-set=-chown,-fowner")
    [ "$EUID" -eq 0 ] || skip "needs root, who may give a file away and then not take it back"
    leave_a_journal
    chmod 666 journal/journal.0
    chown 4242 journal/journal.0
    run -0 --separate-stderr timeout 20 "${as[@]}" shmaild -i --run-as-root -n "$SHMAIL_NAME" -d "$PWD/journal" \
        --crypt-cost 1 --accounts 100 --slots 16 --segment-size 16M <<<"LOGIN alice secret"
    assert_output --regexp "^OK "
    [[ $stderr == *"others might use journal.0, of user 4242, mode 666: Operation not permitted"* ]]
    expect_both
}

@test "a journal elsewhere, given from there as it was given here" {
    mkdir here there
    cd here
    run -0 bash -c "timeout 20 shmaild -i -n '$SHMAIL_NAME' -d journal --accounts 100 --slots 16 --segment-size 16M <<<NOOP"
    cd ../there
    expect_refused 69 "post office $SHMAIL_NAME has its journal in ${PWD%/*}/here/journal, not in journal: give -d ${PWD%/*}/here/journal" \
        -d journal
    run -69 shmailctl -n "$SHMAIL_NAME" -d journal account list
    assert_output --partial "not in journal: give -d ${PWD%/*}/here/journal"
    [ ! -e journal ]
    run -0 shmailctl -n "$SHMAIL_NAME" -d ../here/journal account list
}

@test "a post office with a journal is not served without it, nor one without a journal with one" {
    local cookie
    serve
    cookie=$(enrol alice)
    run ask "SEND alice one $cookie" "SEND alice two $cookie"
    stop_server
    expect_refused 69 "post office $SHMAIL_NAME has its journal in $PWD/journal: give -d $PWD/journal"
    expect_both
    stop_server
    remove_segment
    start_server --crypt-cost 1 --accounts 100 --slots 16 --segment-size 16M
    stop_server
    expect_refused 69 "post office $SHMAIL_NAME was made without a journal: start it without -d" -d "$PWD/journal"
}

@test "a header of another version, or damaged" {
    local cookie was
    leave_a_journal
    was=$(byte_at journal/journal.0 8)
    put_byte journal/journal.0 8 $((was ^ 3))
    expect_refused 69 "journal directory $PWD/journal, file journal.0, offset 0: the header is damaged, or of another version" \
        -d "$PWD/journal"
    [[ $stderr == *"then use the shmail that wrote it"* ]]
    put_byte journal/journal.0 8 "$was"
    expect_both
}

@test "a record that is damaged in the middle" {
    local cookie offset was before
    leave_a_journal
    offset=$(shmailctl -d journal journal | awk '$3 == "message" { print $1; exit }')
    was=$(byte_at journal/journal.0 $((offset + 86)))
    put_byte journal/journal.0 $((offset + 86)) $((was ^ 1))
    before=$(cat journal/journal.? | md5sum)
    expect_refused 69 "journal directory $PWD/journal, file journal.0, offset $offset: a record is damaged, and was acknowledged once; nothing was changed" \
        -d "$PWD/journal"
    [[ $stderr == *"mend it with 'shmailctl -d $PWD/journal repair'"* ]]
    [ "$(cat journal/journal.? | md5sum)" = "$before" ]
    [ ! -e "/dev/shm/shmail-$SHMAIL_NAME" ]
    put_byte journal/journal.0 $((offset + 86)) "$was"
    expect_both
}

@test "a segment of another layout, or whose header is damaged" {
    local cookie was offset words object=/dev/shm/shmail-$SHMAIL_NAME
    serve
    cookie=$(enrol alice)
    run ask "SEND alice one $cookie" "SEND alice two $cookie"
    stop_server
    while IFS=. read -r offset words; do
        was=$(byte_at "$object" "$offset")
        put_byte "$object" "$offset" $((was ^ 16))
        expect_refused 69 "$SHMAIL_NAME$words" -d "$PWD/journal"
        [[ $stderr == *"remove it with 'shmailctl rm $SHMAIL_NAME'"* ]]
        put_byte "$object" "$offset" "$was"
    done <<'END'
0. is no post office of shmail
8. is of another version
24.: its header is damaged, so nothing can be found in it
44.: its header is damaged, so nothing can be found in it
END
    expect_both
}

@test "a write that fails: read-only until a restart, and all that was acknowledged is there" {
    local cookie letters
    serve
    cookie=$(enrol alice)
    letters=$(enrol bob)
    run ask "SEND alice one $cookie" "SEND alice two $cookie"
    # Whatever lies beyond is an error to whoever is forked from here on, so also to the next maker's processes.
    prlimit --pid "$SHMAIL_PID" --fsize=8192
    kill -KILL "$(maker)"
    run ask "SEND alice $(printf '%010000d' 0) $cookie"
    assert_output ""
    grep "journal $PWD/journal: writing failed: File too large; the store is read-only: mend the disk" "$log"
    run ask "SEND bob three $letters" WHY "COUNT bob $letters"
    assert_output $'KO\nOK the journal failed: the store is read-only until a restart\nCOUNTED 0'
    stop_server
    serve
    run ask "SEND alice four $cookie"
    assert_output --regexp '^OK [34]$'
    stop_server
    remove_segment
    serve
    cookie=$(ask "LOGIN alice secret" | cut -d' ' -f2)
    run ask "GETMSG alice $cookie" "DELMSG alice $cookie" "GETMSG alice $cookie"
    assert_output $'one\nOK\ntwo'
    expect_sound
}

# Commands from here on see a disk of so many bytes at $PWD/disk.
make_disk() { # size
    unshare -rm mount -t tmpfs none /mnt 2>/dev/null || skip "no file system may be mounted here"
    local ready
    mkdir disk bin
    coproc HOLDER { exec unshare -rm sh -c "mount -t tmpfs -o size=$1 none disk && echo ready && exec cat"; }
    read -r -t 10 ready <&"${HOLDER[0]}"
    [ "$ready" = ready ]
    as=(nsenter -t "$HOLDER_PID" -U -m --preserve-credentials)
    real=$SHMAIL_BUILD
    printf '#!/bin/sh\nexec %s %s "$@"\n' "${as[*]}" "$real/shmaild" >bin/shmaild
    chmod +x bin/shmaild
}

serve_there() {
    SHMAIL_BUILD=$PWD/bin start_server --crypt-cost 1 --accounts 100 --slots 16 --segment-size 16M \
        -d "$PWD/disk/journal" --journal-size 1M --run-as-root # there is no other user
}

@test "a disk that is full at the start" {
    make_disk 3m
    expect_refused 71 "journal directory $PWD/disk/journal cannot be written: No space left on device; nothing is lost: see to that and start again" \
        -d "$PWD/disk/journal" --journal-size 4M
    [ ! -e "/dev/shm/shmail-$SHMAIL_NAME" ]
    "${as[@]}" rm -r "$PWD/disk/journal"
    serve_there
    run ask "REGISTER alice secret"
    assert_output --partial "OK "
}

@test "a disk that fills while the server serves: an answer, deletions go on, and nothing is lost" {
    local cookie body count replies
    make_disk 3m
    serve_there
    cookie=$(enrol alice)
    body=$(printf '%01000d' 0)
    replies=$(for _ in {1..4000}; do echo "SEND alice $body $cookie"; done | timeout 30 nc -N "$HOST" "$PORT")
    count=$(grep -c '^OK' <<<"$replies")
    [ "$count" -gt 500 ]
    [ "$(grep -c '^KO' <<<"$replies")" -eq $((4000 - count)) ]
    run ask "SEND alice $body $cookie" WHY "COUNT alice $cookie" "GETMSG alice $cookie"
    assert_output "KO
OK $FULL
COUNTED $count
$body"
    expect_sound
    stop_server
    remove_segment
    serve_there
    cookie=$(ask "LOGIN alice secret" | cut -d' ' -f2)
    run ask "COUNT alice $cookie"
    assert_output "COUNTED $count"
    replies=$(for _ in {1..100}; do echo "DELMSG alice $cookie"; done | timeout 30 nc -N "$HOST" "$PORT")
    [ "$(grep -c '^OK' <<<"$replies")" -eq 100 ]
    "${as[@]}" mount -o remount,size=9m "$PWD/disk"
    sends() { [[ $(ask "SEND alice again $cookie") == "OK "* ]]; }
    eventually sends # the keeper has seen that there is room
    run ask "COUNT alice $cookie"
    assert_output "COUNTED $((count - 99))"
    expect_sound
    stop_server
    run "${as[@]}" "$real/shmailctl" -d "$PWD/disk/journal" check
    assert_output clean
}

# The log has grown over several sizes of a file, and the state with it: it must find room in the other file.
@test "a disk that is full of a log that has grown: deletions never stop, and then there is room again" {
    local cookie body count deleted replies
    make_disk 5m
    serve_there
    cookie=$(enrol alice)
    body=$(printf '%0500d' 0)
    replies=$(yes "SEND alice $body $cookie" | head -n 8000 | timeout 50 nc -N "$HOST" "$PORT")
    count=$(grep -c '^OK' <<<"$replies")
    [ "$(grep -c '^KO' <<<"$replies")" -eq $((8000 - count)) ]
    [ "$count" -gt 2500 ]
    run ask "SEND alice $body $cookie" WHY
    assert_output $'KO\nOK '"$FULL"
    deleted=$((count - 1000))
    replies=$(yes "DELMSG alice $cookie" | head -n "$deleted" | timeout 50 nc -N "$HOST" "$PORT")
    assert_equal "$(sort <<<"$replies" | uniq -c | tr -s ' ')" " $deleted OK"
    replies=$(yes "SEND alice $body $cookie" | head -n 1000 | timeout 50 nc -N "$HOST" "$PORT")
    [ "$(grep -c '^OK' <<<"$replies")" -eq 1000 ]
    run ask "COUNT alice $cookie"
    assert_output "COUNTED 2000"
    expect_sound
    stop_server
    remove_segment
    serve_there
    cookie=$(ask "LOGIN alice secret" | cut -d' ' -f2)
    run ask "COUNT alice $cookie" "DELMSG alice $cookie" "SEND alice $body $cookie"
    assert_output $'COUNTED 2000\nOK\nOK '"$((count + 1001))"
    expect_sound
    stop_server
    run "${as[@]}" "$real/shmailctl" -d "$PWD/disk/journal" check
    assert_output clean
}

# Flags of an open file as the system has them: O_NOFOLLOW stays with who opened it by name.
flags_of() { # pid, path
    local link
    for link in "/proc/$1/fd/"*; do
        [ "$(readlink "$link")" = "$2" ] && sed -n 's/^flags:[[:space:]]*//p' "/proc/$1/fdinfo/${link##*/}"
    done
}

keeper_is_there() {
    local child
    for child in $(children); do
        ! is_named "$child" "shmaild: keeper" || { keeper=$child && return; }
    done
    return 1
}

@test "the keeper opens the journal for itself: a lost write is told once to each open file" {
    local keeper='' file
    start_server -d "$PWD/journal"
    eventually keeper_is_there
    for file in journal.0 journal.1; do
        [ -n "$(flags_of "$SHMAIL_PID" "$PWD/journal/$file")" ]
        [ -n "$(flags_of "$keeper" "$PWD/journal/$file")" ]
        [ "$(flags_of "$SHMAIL_PID" "$PWD/journal/$file")" != "$(flags_of "$keeper" "$PWD/journal/$file")" ]
    done
}
