# shmailctl on a journal and on a post office: proves it, prints it, and mends what can be mended without dropping
# anything in silence.

bats_require_minimum_version 1.5.0

load helper

setup() {
    directory=$BATS_TEST_TMPDIR/journal
    start_server -d "$directory" --journal-size 1M --crypt-cost 1
    local cookie i
    cookie=$(ask "REGISTER alice secret" | cut -d' ' -f2)
    for i in 1 2 3; do ask "SEND alice hello$i $cookie"; done
    stop_server
    remove_segment
}

teardown() {
    stop_server || :
    remove_segment
}

# Writes over a byte of the body of the second message.
damage() {
    local offset
    offset=$(shmailctl -d "$directory" journal | awk '$3 == "message" { print $1 }' | sed -n 2p)
    printf X | dd of="$directory/journal.0" bs=1 seek=$((offset + 90)) conv=notrunc status=none
}

@test "a sound journal is clean, and printed without a hash" {
    run -0 shmailctl -d "$directory" check
    assert_output clean
    run -0 shmailctl -d "$directory" journal --texts
    assert_output --partial hello2
    refute_output --partial "\$y\$"
}

@test "a start says that a journal may have been cut, and that its files are gone" {
    local log=$BATS_FILE_TMPDIR/shmaild.log
    : >"$log"
    truncate -s "$(shmailctl -d "$directory" journal | awk '$3 == "message" { print $1 }' | sed -n 3p)" "$directory/journal.0"
    start_server -d "$directory"
    grep -q "warning: journal directory $directory: journal.0 ends where its log does: it may have been cut" "$log"
    stop_server
    remove_segment
    run ! grep -q "begins anew" "$log"
    rm "$directory"/journal.?
    start_server -d "$directory"
    grep -q "warning: journal directory $directory: .* its files are gone or empty: the journal begins anew" "$log"
}

@test "damage is named by the check, refused by the server, and repaired" {
    damage
    run -1 shmailctl -d "$directory" check
    assert_output --partial "its checksum is wrong"
    run ! start_server -d "$directory"
    assert_output --partial "damaged"
    run -1 shmailctl -d "$directory" repair
    assert_line --partial "lost: journal.0"
    run -0 ls "$directory"
    assert_output --partial journal.0.damaged-
    run -0 shmailctl -d "$directory" check
    assert_output clean
    start_server -d "$directory" --crypt-cost 1
    run shmail -P smsp "$HOST" "$PORT" register bob secret
    assert_success
    export SHMAIL_USER=alice SHMAIL_PASSWORD=secret
    run shmail count
    assert_output 2
}

@test "a journal that is in use is left alone" {
    start_server -d "$directory"
    run -69 shmailctl -d "$directory" check
    assert_output --partial "in use"
    run -69 shmailctl -d "$directory" repair
}

# ---- a post office in memory ----

# With three messages of alice's and bob, and nobody attached.
leave_an_office() { # [server option]...
    local cookie i
    start_server --crypt-cost 1 "$@"
    cookie=$(ask "REGISTER alice secret" | cut -d' ' -f2)
    for i in 1 2 3; do ask "SEND alice letter$i $cookie"; done
    ask "REGISTER bob secret"
    stop_server
}

scribble() {
    "$SHMAIL_BUILD/tests/tool_scribble" "$SHMAIL_NAME" "$1" >/dev/null
}

expect_letters() { # how many, [server option]...
    local cookie count=$1
    shift
    run -0 shmailctl -n "$SHMAIL_NAME" check
    assert_output clean
    start_server --crypt-cost 1 "$@"
    cookie=$(ask "LOGIN alice secret" | cut -d' ' -f2)
    run ask "COUNT alice $cookie" "GETMSG alice $cookie"
    assert_line --index 0 "COUNTED $count"
    [ "$count" -eq 0 ] || assert_line --index 1 letter1
    run ask "LOGIN bob secret"
    assert_output --partial "OK "
}

@test "a damaged post office is mended, and the old one kept" {
    cd "$BATS_TEST_TMPDIR"
    leave_an_office
    run -0 shmailctl -n "$SHMAIL_NAME" repair
    assert_output "nothing to repair"
    scribble mailbox
    run -1 shmailctl -n "$SHMAIL_NAME" check
    run -1 shmailctl -n "$SHMAIL_NAME" repair
    assert_line "lost: alice: 10 messages were counted, and 3 are there"
    assert_line --partial "note: the old segment is kept as $SHMAIL_NAME.damaged-"
    assert_line repaired
    run -1 shmailctl -n "$(basename /dev/shm/shmail-"$SHMAIL_NAME".damaged-* | cut -d- -f2-)" check
    expect_letters 3
    rm "/dev/shm/shmail-$SHMAIL_NAME.damaged-"*
}

@test "what nothing refers to any more is exported, with all that is known of it" {
    cd "$BATS_TEST_TMPDIR"
    leave_an_office
    scribble index
    run -1 shmailctl -n "$SHMAIL_NAME" repair
    [ "$(grep -c '^exported: block .* for alice has no place: nothing refers to it; it is export-' <<<"$output")" -eq 3 ]
    run cat "export-$SHMAIL_NAME-"*/*.mail
    assert_line "From: alice"
    assert_line "To: alice"
    assert_line "Id: 2"
    assert_output --regexp $'\n\nletter1.*\n\nletter2.*\n\nletter3$'
    expect_letters 0
    rm "/dev/shm/shmail-$SHMAIL_NAME.damaged-"*
}

@test "what cannot be exported is named, and nothing is changed" {
    cd "$BATS_TEST_TMPDIR"
    leave_an_office
    scribble index
    mkdir gone
    # shellcheck disable=SC2016 # the shell that is started expands it
    run -73 --separate-stderr sh -c 'cd gone && rmdir ../gone && exec shmailctl -n "$1" repair' sh "$SHMAIL_NAME"
    # shellcheck disable=SC2154 # stderr is run's
    [[ $stderr == "shmailctl: export-$SHMAIL_NAME-"*" cannot be written: No such file or directory" ]]
    run -1 shmailctl -n "$SHMAIL_NAME" repair
    [ "$(find "export-$SHMAIL_NAME-"* -type f | wc -l)" -eq 3 ]
    expect_letters 0
    rm "/dev/shm/shmail-$SHMAIL_NAME.damaged-"*
}

@test "a limit of the size of files is said, and leaves nothing behind" {
    cd "$BATS_TEST_TMPDIR"
    damage
    leave_an_office
    scribble index
    for option in "-d journal" "-n $SHMAIL_NAME"; do
        run -69 bash -c "ulimit -f 1; echo \$\$ >pid; exec shmailctl $option repair"
        assert_line "shmailctl: cannot create a segment of 68719476736 bytes: File too large"
        [ ! -e "/dev/shm/shmail-.repair-$(<pid)-1" ]
    done
    run -1 shmailctl -n "$SHMAIL_NAME" repair
    assert_line repaired
    rm "/dev/shm/shmail-$SHMAIL_NAME.damaged-"*
}

@test "with a journal nothing is lost of a damaged post office" {
    cd "$BATS_TEST_TMPDIR"
    rm -r journal
    leave_an_office -d "$directory" --journal-size 1M
    scribble index
    run -0 shmailctl -n "$SHMAIL_NAME" repair
    assert_line repaired
    run ls
    refute_output --partial export-
    expect_letters 3 -d "$directory"
    stop_server
    run -0 shmailctl -d "$directory" check
    assert_output clean
    rm "/dev/shm/shmail-$SHMAIL_NAME.damaged-"*
}

@test "a post office whose journal was removed under its server gets a new one, with all its mail" {
    cd "$BATS_TEST_TMPDIR"
    rm -r journal
    leave_an_office -d "$directory" --journal-size 1M
    start_server -d "$directory"
    rm -r journal
    cookie=$(ask "LOGIN alice secret" | cut -d' ' -f2)
    run ask "SEND alice late $cookie"
    assert_output --regexp "^OK [0-9]+$"
    stop_server
    run -69 shmaild -i -n "$SHMAIL_NAME" -d "$directory" <<<NOOP
    assert_output --partial "with 'shmailctl -n $SHMAIL_NAME -d DIR repair'"
    run -69 shmailctl -n "$SHMAIL_NAME" repair
    assert_output --partial "; say with -d where the journal is now"
    run -64 shmailctl -n "$SHMAIL_NAME" -d "$directory" check
    assert_output "shmailctl: give -n or -d, not both; see 'shmailctl --help'"
    run -0 shmailctl -n "$SHMAIL_NAME" -d "$directory" repair
    assert_line "damage: there is no journal in $directory: one begins with what is in memory"
    assert_line repaired
    run -0 shmailctl -n "$SHMAIL_NAME" repair
    assert_output "nothing to repair"
    rm "/dev/shm/shmail-$SHMAIL_NAME.damaged-"*
    remove_segment
    start_server -d "$directory" # which reads it
    stop_server
    expect_letters 4 -d "$directory"
}

@test "a journal whose lock file was lost or cut is refused by a start, and repaired with all mail" {
    local loss kept
    cd "$BATS_TEST_TMPDIR"
    rm -r journal
    leave_an_office -d "$directory" --journal-size 1M
    for loss in "rm" "truncate -s 0" "truncate -s 7"; do
        $loss "$directory/lock"
        run -69 shmaild -i -n "$SHMAIL_NAME" -d "$directory" <<<NOOP
        assert_output --partial "have what is in memory written into a new one with"
        run -69 shmailctl -n "$SHMAIL_NAME" -d "$directory.new" repair
        assert_output --partial ": repair it without -d"
        run -0 shmailctl -n "$SHMAIL_NAME" repair
        assert_line "damage: the lock file in $directory does not say whose the journal is"
        assert_line --regexp "^note: the old journal\.0 is kept as $directory/journal\.0\.damaged-[0-9TZ]+$"
        assert_line --regexp "^note: the old journal\.1 is kept as $directory/journal\.1\.damaged-[0-9TZ]+$"
        assert_line repaired
        for kept in "${lines[@]}"; do
            [[ $kept != *" kept as $directory/"* ]] || rm "${kept##* }"
        done
        [ "$(echo "$directory"/*)" = "$directory/journal.0 $directory/journal.1 $directory/lock" ]
        rm "/dev/shm/shmail-$SHMAIL_NAME.damaged-"*
        expect_letters 3 -d "$directory"
        stop_server
    done
}

@test "a refused repair leaves nothing where there is no journal, and says how one begins there" {
    cd "$BATS_TEST_TMPDIR"
    mkdir -m 700 empty
    run -69 shmailctl -d empty repair
    assert_output --partial "there is neither a journal.0 nor a journal.1"
    rm -r journal
    leave_an_office -d "$directory" --journal-size 1M
    run -69 shmailctl -n "$SHMAIL_NAME" -d empty repair
    assert_output --partial "has its journal in $directory: repair it without -d"
    rm "$directory"/*
    run -69 shmailctl -n "$SHMAIL_NAME" repair
    assert_output --partial "there is no journal in $directory: say with -d where that is now, or name that directory"
    [ -z "$(find empty "$directory" -mindepth 1)" ]
    run -0 shmailctl -n "$SHMAIL_NAME" -d "$directory" repair
    assert_line repaired
    rm "/dev/shm/shmail-$SHMAIL_NAME.damaged-"*
    expect_letters 3 -d "$directory"
}

@test "a repair is refused while somebody is attached, and where nothing can be found" {
    cd "$BATS_TEST_TMPDIR"
    run -69 shmailctl -n "$SHMAIL_NAME" repair
    assert_output --partial "cannot open the shared memory of post office $SHMAIL_NAME"
    run -69 shmailctl -n "$SHMAIL_NAME" account list
    assert_output --partial "No such file or directory; shmaild makes it when it starts"
    leave_an_office
    start_server
    run -69 shmailctl -n "$SHMAIL_NAME" repair
    assert_output --regexp "process [0-9]+ (serves|is attached to) post office $SHMAIL_NAME: end it first"
    stop_server
    scribble header
    run -69 shmailctl -n "$SHMAIL_NAME" repair
    assert_output --partial "its header is damaged, so nothing can be found in it"
    [ -e "/dev/shm/shmail-$SHMAIL_NAME" ]
}
