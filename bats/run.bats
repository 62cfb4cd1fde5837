# tests/run: what makes a file of tests fail, beside its tests.

bats_require_minimum_version 1.5.0

load helper

# A program whose one test passes, after it has done something.
program_that() {
    printf '#!/bin/sh\n%s\necho 1..1\necho ok 1 - quiet\n' "$1" >"$BATS_TEST_TMPDIR/program"
    chmod +x "$BATS_TEST_TMPDIR/program"
}

run_program() { # exit status of tests/run
    run "-$1" "$BATS_TEST_DIRNAME/../tests/run" "$BATS_TEST_TMPDIR/program"
}

@test "a report of a sanitizer makes a file fail, whatever its tests say" {
    local options
    for options in ASAN_OPTIONS UBSAN_OPTIONS; do
        program_that ':'
        run_program 0
        program_that "echo 'a read too far' >\"\${$options##*log_path=}.\$\$\""
        run_program 1
        assert_output --partial "a sanitizer has found something"
        assert_line "a read too far"
        program_that "echo '==2==Unable to get registers from thread 1.' >\"\${$options##*log_path=}.\$\$\""
        run_program 0
    done
}
