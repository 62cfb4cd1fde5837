# shmailctl on a journal: proves it, prints it, and mends what can be mended without dropping anything in silence.

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
    refute_output --partial '$y$'
}

@test "damage is named by the check, refused by the server, and repaired" {
    damage
    run -1 shmailctl -d "$directory" check
    assert_output --partial "its checksum is wrong"
    run ! start_server -d "$directory"
    assert_output --partial "damaged"
    run -1 shmailctl -d "$directory" repair
    assert_line --partial "lost: journal.0"
    [ -e "$directory"/journal.0.damaged-* ]
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
