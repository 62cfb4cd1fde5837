#!/usr/bin/env bats
# bench.bats: shmail-bench as people and scripts meet it: its figures, what it verifies, its options and how it ends.

load helper
bats_require_minimum_version 1.5.0

setup_file() {
    start_server --crypt-cost 1 -l "unix:$BATS_FILE_TMPDIR/socket"
}

@test "every verb of SMSP in one mix, each reply as it must be" {
    run -0 --separate-stderr shmail-bench -c 4 -d 8 -n 4000 -m COUNT=4,SEND=2,STORE,GETMSG,FETCH,DELMSG,NOOP
    [ -z "$stderr" ]
    assert_output --regexp 'all +4000 '
}
