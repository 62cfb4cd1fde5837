# What a request costs in instructions: counted under callgrind and held against tests/bench/instructions.tsv,
# so that a dearer request fails here, however noisy the machine is.
# shellcheck disable=SC2154 # status and output are set by run

bats_require_minimum_version 1.5.0
load helper

bench=$(cd -- "$BATS_TEST_DIRNAME/../tests/bench" && pwd)

setup_file() {
    export BATS_TEST_TIMEOUT=280 # valgrind is slow where the machine is busy
}

# Counts into the file, for all verbs or those that are given; skips where these programs cannot be counted.
count_instructions() { # file [verb...]
    local file=$1
    shift
    run --separate-stderr python3 "$bench/instructions.py" "$SHMAIL_BUILD" "$@"
    [ "$status" -ne 75 ] || skip "${stderr:-}"
    assert_success
    printf '%s\n' "$output" >"$file"
}

@test "no verb takes 5 % more instructions than are recorded" {
    count_instructions "$BATS_TEST_TMPDIR/measured"
    run python3 "$bench/compare_instructions.py" "$bench/instructions.tsv" "$BATS_TEST_TMPDIR/measured"
    [ "$status" -ne 75 ] || skip "$output"
    sed -nE '/^recorded with|better:/s/^/# figures: /p' <<<"$output" >&3
    assert_success
}

@test "the count is the same at other addresses, in another environment" {
    count_instructions "$BATS_TEST_TMPDIR/first" COUNT SEND
    local fixed=()
    ! setarch "$(uname -m)" -R true 2>/dev/null || fixed=(setarch "$(uname -m)" -R)
    NOISE=$(printf '%9999s' noise) "${fixed[@]}" python3 "$bench/instructions.py" "$SHMAIL_BUILD" COUNT SEND \
        >"$BATS_TEST_TMPDIR/second"
    # But for the cookies, which are drawn by lot, and for what is done by the clock.
    run awk '/^#/ { next } NR == FNR { first[$1] = $2; next }
        { change = $2 - first[$1]; if (change < 0) change = -change
          if (change > first[$1] / 100) { print $1, first[$1], $2; failed = 1 } } END { exit failed }' \
        "$BATS_TEST_TMPDIR/first" "$BATS_TEST_TMPDIR/second"
    assert_success
}

@test "a verb that takes 6 % more fails, one that takes 6 % less asks for a new record" {
    printf '%s\t%s\n' '# set of options' -O2 '# compiler' cc COUNT 1000 SEND 1000 >"$BATS_TEST_TMPDIR/recorded"
    sed 's/^SEND.*/SEND\t1060/' "$BATS_TEST_TMPDIR/recorded" >"$BATS_TEST_TMPDIR/more"
    sed 's/^SEND.*/SEND\t940/' "$BATS_TEST_TMPDIR/recorded" >"$BATS_TEST_TMPDIR/less"
    run -1 python3 "$bench/compare_instructions.py" "$BATS_TEST_TMPDIR/recorded" "$BATS_TEST_TMPDIR/more"
    assert_line --regexp '^SEND .*FAILED: more than 5 % more$'
    refute_line --regexp '^COUNT .*FAILED'
    run -0 python3 "$bench/compare_instructions.py" "$BATS_TEST_TMPDIR/recorded" "$BATS_TEST_TMPDIR/less"
    assert_line --regexp '^SEND .*better: make bench-instructions-record$'
}

@test "another compiler widens the margin and says so, other options are not compared" {
    printf '%s\t%s\n' '# set of options' -O2 '# compiler' cc COUNT 1000 >"$BATS_TEST_TMPDIR/recorded"
    printf '%s\t%s\n' '# set of options' -O2 '# compiler' dd COUNT 1200 >"$BATS_TEST_TMPDIR/compiler"
    printf '%s\t%s\n' '# set of options' -O0 '# compiler' cc COUNT 3000 >"$BATS_TEST_TMPDIR/options"
    run -0 python3 "$bench/compare_instructions.py" "$BATS_TEST_TMPDIR/recorded" "$BATS_TEST_TMPDIR/compiler"
    assert_line "recorded with another compiler: cc; here: dd"
    sed -i 's/1200/1260/' "$BATS_TEST_TMPDIR/compiler"
    run -1 python3 "$bench/compare_instructions.py" "$BATS_TEST_TMPDIR/recorded" "$BATS_TEST_TMPDIR/compiler"
    run -75 python3 "$bench/compare_instructions.py" "$BATS_TEST_TMPDIR/recorded" "$BATS_TEST_TMPDIR/options"
    assert_line --partial "not compared"
}

@test "a verb of which there is no record fails" {
    printf '%s\t%s\n' '# set of options' -O2 COUNT 1000 >"$BATS_TEST_TMPDIR/recorded"
    printf '%s\t%s\n' '# set of options' -O2 COUNT 1000 PEEK 10 >"$BATS_TEST_TMPDIR/measured"
    run -1 python3 "$bench/compare_instructions.py" "$BATS_TEST_TMPDIR/recorded" "$BATS_TEST_TMPDIR/measured"
    assert_line --regexp '^PEEK .*not in both tables'
}
