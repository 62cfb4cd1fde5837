# bench_run.bats: what make bench prints, keeps and leaves behind, on the few rows that are quick. Whether a target
# is reached is no matter of these tests: the machine is busy.
# shellcheck disable=SC2154 # status, stderr and output are set by run

load helper
load office
bats_require_minimum_version 1.5.0

setup() {
    bench=$(cd -- "$BATS_TEST_DIRNAME/../tests/bench" && pwd)
    cd "$BATS_TEST_TMPDIR" || return 1
}

teardown() {
    [ -z "${stray:-}" ] || kill "$stray" 2>/dev/null || :
}

@test "a row tells both figures, the ratio within its spread, and the verdict by its target" {
    run -0 "$bench/run.py" "$SHMAIL_BUILD" --keep kept --quick count-64 idle
    line=' +[0-9]+-[0-9]+ ns'
    [ "$(nproc)" -gt 1 ] || line=
    assert_line --regexp "^count-64 +echo +[0-9.kM]+ +[0-9.kM]+ +[0-9.]+ +[0-9.]+ +[0-9.]+ +>= 0.95 +(reached|missed)$line\$"
    assert_line --regexp '^idle +private pages +[0-9.k]+ KB .*<= 150 KB +(reached|missed)$'
    run -0 python3 - kept/results/*.jsonl <<'END'
import json, sys
run, *rows = map(json.loads, open(sys.argv[1]))
assert all(run[name] for name in ("date", "commit", "processor", "kernel", "compiler")), run
assert [row["row"] for row in rows] == ["count-64", "idle"], rows
for row in rows:
    ratio = row["ratio"]
    assert 0 < ratio["min"] <= ratio["median"] <= ratio["max"], row
    reached = ratio["median"] <= row["bound"] if row["at_most"] else ratio["median"] >= row["bound"]
    assert row["verdict"] == ("reached" if reached else "missed"), row
if "line_ns" in rows[0]:
    assert 0 < rows[0]["line_ns"]["min"] <= rows[0]["line_ns"]["max"], rows
assert rows[0]["rounds"] == 5 and "line_ns" not in rows[1], rows
assert rows[0]["medians"]["echo"]["p50"] <= rows[0]["medians"]["echo"]["p999"], rows
END
}

@test "a row is measured also where the time of a line is not to be had" {
    one=$(python3 -c 'import os; print(min(os.sched_getaffinity(0)))')
    run -0 taskset -c "$one" "$SHMAIL_BUILD/tests/bench/limit_line"
    assert_output '{"ns": null}'
    run -0 taskset -c "$one" "$bench/run.py" "$SHMAIL_BUILD" --keep kept --quick count-64
    assert_line --regexp '^count-64 +echo .*(reached|missed)$'
    mkdir build build/tests build/tests/bench
    ln -s "$SHMAIL_BUILD"/* build 2>/dev/null || :
    ln -s "$SHMAIL_BUILD"/tests/bench/* build/tests/bench
    rm build/tests/bench/limit_line
    run -0 "$bench/run.py" build --keep kept --quick count-64
    assert_line --regexp '^count-64 +echo .*(reached|missed)$'
}

@test "what a row needs and is not there is said, and the rest is measured" {
    mkdir programs
    ln -s "$(python3 -c 'import sys; print(sys.executable)')" programs/python3
    ln -s "$(command -v taskset)" "$(command -v git)" programs
    PATH=$PWD/programs run -0 python3 "$bench/run.py" "$SHMAIL_BUILD" --keep kept --quick count-1
    assert_line --regexp '^count-1 +echo .*(reached|missed)$'
    refute_line --regexp ' ns$' # as one processor works
    assert_line --regexp '^count-1 +redis .*not measured: no redis-server here \(package redis-server'
    assert_line --partial '1 not measured'
}

@test "a server that does not start fails the run, whose other rows are kept" {
    mkdir build
    ln -s "$SHMAIL_BUILD"/* build
    rm build/shmaild
    # shellcheck disable=SC2016
    printf '%s\n' '#!/bin/sh' '[ "$1" != -e ] || { echo broken >&2; exit 1; }' >build/shmaild
    chmod +x build/shmaild
    run -1 "$bench/run.py" build --keep kept --quick count-64 memory-100
    assert_line --regexp '^count-64 +FAILED: .*shmaild does not start: broken'
    assert_line --regexp '^memory-100 .*(reached|missed)$'
}

# A server that a run has started on its post office with this number.
has_server() { # process number
    grep -qsa "[b]ench-$1-$2" /proc/[0-9]*/cmdline # which is not in its own
}

has_none() { # process
    ! has_server "$1" ''
}

@test "a run that is stopped leaves no process, post office or file" {
    python3 "$bench/run.py" "$SHMAIL_BUILD" --quick size-count >output 3>&- &
    stray=$!
    eventually has_server "$stray" 2 # the last that a quick run fills, and has served to its end
    [ -e "/dev/shm/shmail-bench-$stray-0" ]
    kill "$stray"
    ! wait "$stray" || false # it says that it was stopped
    eventually has_none "$stray" # a child ends a moment after its parent
    run ! compgen -G "/dev/shm/shmail-bench-$stray-*"
    run ! compgen -G "/var/tmp/shmail-bench-$stray-*"
}

@test "a kept run is drawn with all its panels" {
    command -v gnuplot >/dev/null || skip "no gnuplot here (package gnuplot-nox); make bench says so too"
    cat >run.jsonl <<'END'
{"date": "2026-11-25T12:00:00Z", "commit": "c0ffee", "processor": "a processor", "load": 0.5}
{"row": "count-16", "work": "", "subject": "shmaild", "against": "echo", "figure": "rate", "bound": 0.95, "at_most": false, "ratio": {"median": 0.9, "min": 0.8, "max": 1.1}, "verdict": "missed", "medians": {"echo": {"rate": 9, "p50": 8, "p90": 9, "p99": 20, "p999": 30, "max": 40}}}
{"row": "size-count", "work": "", "subject": "10 accounts", "against": "1 accounts", "figure": "rate", "bound": 0.9, "at_most": false, "ratio": {"median": 1, "min": 1, "max": 1}, "verdict": "reached", "medians": {"1,000 accounts": {"rate": 9}, "1,000,000 accounts": {"rate": 8}}}
END
    run -0 "$bench/picture.py" run.jsonl picture.svg
    for words in c0ffee 'load 0.5' 'count-16: echo' '0.900 (>= 0.95)' 'echo, 16 connections' 'size-count: 10 accounts : 1 accounts' \
        'microseconds for a request'; do
        grep -qF "$words" picture.svg
    done
}
