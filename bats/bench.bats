#!/usr/bin/env bats
# bench.bats: shmail-bench as people and scripts meet it: its figures, what it verifies, its options and how it
# ends.

load helper
bats_require_minimum_version 1.5.0

peers=tests/bench/bench-peers

setup_file() {
    start_server --crypt-cost 1 -l "unix:$BATS_FILE_TMPDIR/socket"
}

setup() {
    fakes=0 fake_processes=()
    cd "$BATS_TEST_TMPDIR" || return 1
}

# A server of the test's own at unix:$fake: a bash script for each connection.
fake_server() { # script
    fake=fake$((++fakes))
    echo "$1" >"$fake.script"
    socat -d -d "UNIX-LISTEN:$fake,fork" "EXEC:bash $fake.script" 2>"$fake.said" 3>&- &
    fake_processes+=($!)
    eventually grep -q "listening on" "$fake.said" # its path is there before
}

# The real server behind a connection that changes the replies.
lying_server() { # sed script
    fake_server "nc -N -U '$BATS_FILE_TMPDIR/socket' | sed -u '$1'"
}

teardown() {
    [ ${#fake_processes[@]} -eq 0 ] || kill "${fake_processes[@]}"
}

# A value of the JSON object on standard input.
member() { # expression
    python3 -c "import json, sys; print(json.load(sys.stdin)$1)"
}

@test "every verb of SMSP in one mix: each reply is as it must be" {
    for protocol in smsp smsp-nul; do
        run -0 --separate-stderr shmail-bench -P $protocol -c 4 -d 8 -n 4000 \
            -m COUNT=4,SEND=2,STORE,GETMSG,FETCH,LIST,DELMSG=3,NOOP
        [ -z "$stderr" ]
        assert_output --regexp 'all +4000 '
    done
}

@test "every verb of Message in one mix, over a unix socket, with more mailboxes than connections" {
    run -0 --separate-stderr shmail-bench -P message -c 4 -d 8 -n 4000 -a 100 -f 2 -m SEND=2,OPEN,MAILBOX,DEL=2,WAIT \
        "unix:$BATS_FILE_TMPDIR/socket"
    [ -z "$stderr" ]
    assert_output --regexp 'all +4000 '
}

@test "connections that share mailboxes, in two processes" {
    run -0 --separate-stderr shmail-bench -c 8 -d 8 -a 3 -p 2 -n 4000 -m COUNT=4,SEND=2,STORE,GETMSG,FETCH,LIST,DELMSG=3
    [ -z "$stderr" ]
    assert_output --regexp 'all +4000 '
}

@test "a connection for each request, in both protocols" {
    run -0 shmail-bench -c 4 -r 1 -n 200 -m COUNT,SEND
    run -0 shmail-bench -c 1 -r 1 -n 50
    run -0 shmail-bench -P message -c 4 -r 1 -n 200
}

@test "messages larger than any buffer" {
    run -0 shmail-bench -c 2 -d 2 -s 3000000 -n 20 -m GETMSG,FETCH,SEND
    run -0 shmail-bench -P message -c 2 -d 2 -s 3000000 -n 20 -m SEND,OPEN
}

@test "--json has what was measured and with what" {
    run -0 --separate-stderr shmail-bench --json -c 3 -d 2 -n 500 -m COUNT=3,SEND -s 50 -w 0.01 "$HOST" "$PORT"
    echo "$output" >json
    assert_equal "$(member "['requests']" <json)" 500
    assert_equal "$(member "['errors']" <json)" 0
    assert_equal "$(member "['mix']" <json)" COUNT=3,SEND=1
    assert_equal "$(member "['address']" <json)" "inet:$HOST:$PORT"
    run -0 python3 - json <<'EOF'
import json, sys
r = json.load(open(sys.argv[1]))
assert abs(r["rate"] * r["seconds"] - r["requests"]) < 1
l = r["latency_us"]
assert 0 < l["p50"] <= l["p90"] <= l["p99"] <= l["p999"] <= l["max"] <= r["seconds"] * 1e6 + 1, l
assert sum(v["requests"] for v in r["verbs"].values()) == 500
assert (r["connections"], r["depth"], r["size"], r["protocol"], r["warm_up"]) == (3, 2, 50, "smsp", 0.01)
EOF
}

@test "a verb that is given twice has its weights together" {
    run -0 --separate-stderr shmail-bench --json -n 100 -m COUNT,SEND,COUNT=2
    assert_equal "$(member "['mix']" <<<"$output")" COUNT=3,SEND=1
    assert_equal "$(grep -o '"COUNT"' <<<"$output" | wc -l)" 1
    run -64 shmail-bench -n 100 -m COUNT=1000000,COUNT
}

@test "figures that cannot be written are an error" {
    local form
    for form in "" --json; do
        run -74 bash -c "shmail-bench -n 10 $form >/dev/full"
        assert_output "shmail-bench: cannot write: No space left on device"
    done
    mkfifo nobody
    exec {both}<>nobody
    exec {end}>nobody {both}>&- # a pipe that nobody reads
    run -74 bash -c "trap '' PIPE; shmail-bench -n 10 >&$end"
    assert_output ""
}

@test "it measures for the time that is asked for" {
    run -0 --separate-stderr shmail-bench --json -c 2 -D 0.2
    seconds=$(member "['seconds']" <<<"$output")
    [[ $seconds == 0.[2-9]* || $seconds == [1-4].* ]] # others may keep the machine busy
}

@test "the same seed asks the same" {
    for run in 1 2 3; do
        shmail-bench --json -S $((run / 3)) -c 1 -n 1000 -m COUNT,SEND,NOOP | member "['verbs'].values()" |
            grep -o "'requests': [0-9]*" >"seed$run"
    done
    cmp seed1 seed2
    run ! cmp -s seed1 seed3
}

@test "its accounts are gone in the end, unless they are to be kept" {
    export SHMAIL_PASSWORD=secret
    run -0 shmail-bench -n 10 -c 2 -u gone
    run -1 shmail login gone0
    run -0 shmail-bench -n 10 -c 2 -u kept -k -m SEND
    run -0 shmail login kept1
}

@test "a later run goes on with what an earlier one has kept" {
    mix=COUNT=2,SEND=3,GETMSG,FETCH,DELMSG
    run -0 shmail-bench -n 300 -c 3 -u later -k -m $mix
    run -0 shmail-bench -n 300 -c 3 -u later -k -e -m $mix -d 8
    run -0 shmail-bench -n 2000 -c 3 -u later -k -e -m DELMSG # until all are empty
    run -0 shmail-bench -n 300 -c 3 -u later -k -e -m $mix
    run -0 shmail-bench -n 300 -c 3 -a 2 -u later -k -e -m $mix
    run -1 shmail-bench -n 300 -c 3 -u later -k -e -m $mix -s 70
    assert_output --partial 'expected a message of this program, of 70 bytes'
}

@test "mail that is put there before is there" {
    run -0 shmail-bench -c 2 -u full -k -f 5 -n 10
    run -0 env SHMAIL_USER=full1 SHMAIL_PASSWORD=shmail-bench shmail count
    assert_output 5
}

@test "--depth is how many requests are under way, not fewer and not more" {
    # shellcheck disable=SC2016 # a script
    fake_server 'while mapfile -n 8 -t lines && [ ${#lines[@]} -eq 8 ]; do
        if read -r -t 0; then echo too many; fi
        printf "%s\n" "${lines[@]}"
    done'
    run -0 "$SHMAIL_BUILD/$peers" -P echo -c 1 -d 8 -n 80 -t 5 "unix:$fake"
    run -75 "$SHMAIL_BUILD/$peers" -P echo -c 1 -d 7 -n 80 -t 0.5 "unix:$fake"
}

@test "--per-connection is how many requests each connection makes" {
    fake_server 'echo connected >>connections; cat'
    run -0 "$SHMAIL_BUILD/$peers" -P echo -c 1 -r 3 -n 10 -t 5 "unix:$fake"
    assert_equal "$(grep -c connected connections)" 4
}

@test "a wrong count is found, named, and the end" {
    lying_server '20s/^COUNTED 3$/COUNTED 4/'
    run -1 --separate-stderr shmail-bench --json -c 1 -f 3 -u count -n 100 -m COUNT "unix:$fake"
    assert_equal "$stderr" \
        'shmail-bench: wrong reply to COUNT count0: expected "COUNTED 3", got "COUNTED 4\x0a"'
    assert_equal "$(member "['requests']" <<<"$output")" 15
    assert_equal "$(member "['errors']" <<<"$output")" 1
}

@test "another message than the oldest, a lost one and an id that is used again are found" {
    lying_server '/^0000000000000002/s/2/3/'
    run -1 --separate-stderr shmail-bench -c 1 -n 100 -m SEND,GETMSG,DELMSG "unix:$fake"
    [[ $stderr == *"wrong reply to GETMSG"*"the text of message 3, 100 bytes, got \"0000000000000003"* ]]
    lying_server 's/^OK 20$/OK 19/'
    run -1 --separate-stderr shmail-bench -c 1 -n 100 -m SEND "unix:$fake"
    [[ $stderr == *"wrong reply to SEND"*'expected "OK 20", got "OK 19\x0a"' ]]
    lying_server '20s/.*/KO/'
    run -1 --separate-stderr shmail-bench -c 1 -n 100 -m SEND "unix:$fake"
    [[ $stderr == *"wrong reply to SEND"*'got "KO\x0a"' ]]
}

@test "a reply too many is found" {
    lying_server '10s/$/\nOK/'
    run -1 --separate-stderr shmail-bench -c 1 -n 100 -m NOOP "unix:$fake"
    [[ $stderr == *'got "OK\x0a"'* ]]
}

@test "a server that is not there, that closes, and that says nothing" {
    run -69 shmail-bench unix:nowhere
    assert_output "shmail-bench: cannot connect to unix:nowhere: No such file or directory"
    fake_server 'exit'
    run -69 shmail-bench -n 10 "unix:$fake"
    assert_output "shmail-bench: connection lost: the server closed it"
    fake_server 'cat >/dev/null'
    run -75 shmail-bench -c 3 -t 0.3 "unix:$fake"
    assert_output "shmail-bench: no answer for 0.3 s on 3 of 3 connections"
}

@test "a server that accepts nobody any more" {
    python3 - 3>&- <<'EOF' &
import signal, socket
server = socket.socket(socket.AF_UNIX)
server.bind("full")
server.listen(0)
held = []
try:
    while True:
        held.append(socket.socket(socket.AF_UNIX))
        held[-1].setblocking(False)
        held[-1].connect("full")
except BlockingIOError:
    open("ready", "w").close()
    signal.pause()
EOF
    fake_processes+=($!)
    eventually test -e ready
    for connections in 1 3; do
        run -75 shmail-bench -c $connections -t 0.3 unix:full
        assert_output "shmail-bench: no answer for 0.3 s on $connections of $connections connections"
    done
}

@test "wrong usage is named, and nothing is done" {
    while read -r words; do
        # shellcheck disable=SC2086 # several words
        run -64 shmail-bench $words
        assert_output --partial "shmail-bench --help tells more"
    done <<'EOF'
-m FOO
-m COUNT=0
-m COUNT,,SEND
-c 0
-d x
-D 0
-D 1.2345
-x
--depth
-P pop4
-e
-P message -e -u joe
-P message -c 4 -a 3
-p 17
-u a-b
-t 0
127.0.0.1 8887 twice
here
EOF
    run -64 shmail-bench -p 65
    assert_output "shmail-bench: -p 65: not a number from 1 to 64 (shmail-bench --help tells more)"
    run -64 shmail-bench --duration 0
    assert_output "shmail-bench: -D 0: not seconds from 0.001 to 86400, as 5 or 0.25 (shmail-bench --help tells more)"
    SHMAIL_PASSWORD="two words" run -64 shmail-bench
    assert_output --partial "SHMAIL_PASSWORD: more than a word, which a line cannot carry"
    run -64 shmail-bench -c 4 -u a-b
    assert_output "shmail-bench: -u a-b: no possible value (shmail-bench --help tells more)"
    run -0 shmail-bench --version
    assert_output --regexp '^shmail-bench [0-9.]+$'
}

@test "every option and verb that --help shows is in the manual page" {
    page=$(mandoc -T utf8 "$BATS_TEST_DIRNAME/../client/bench/shmail-bench.1" | col -b)
    shmail-bench --help | grep -oE '(^  |, )--?[A-Za-z-]+|^  [A-Z]+ ' | tr -d ' ,' >words
    [ "$(grep -c . words)" -gt 40 ]
    while read -r word; do
        [[ $page == *"$word"* ]] || { echo "no $word"; return 1; }
    done <words
}

@test "--help shows each protocol's own mix" {
    run -0 shmail-bench --help
    assert_line "Verbs of smsp (SMSP, requests in lines), COUNT without -m:"
    assert_line "Verbs of message (frames of JSON), SEND,OPEN without -m:"
}

@test "an interrupt ends it, with what was measured until then, and takes the accounts away" {
    lying_server '/^COUNTED/w replies'
    shmail-bench --json -c 1 -D 60 -u stopped "unix:$fake" >json 3>&- &
    bench=$!
    eventually has_lines replies 100
    kill -INT "$bench"
    status=0
    wait "$bench" || status=$?
    [ "$status" -eq 130 ]
    [ "$(member "['requests']" <json)" -ge 100 ]
    run -1 env SHMAIL_PASSWORD=shmail-bench shmail login stopped0
}

@test "so does one while the accounts are made" {
    lying_server '/^OK/w replies'
    shmail-bench -c 1 -a 5000 -u early "unix:$fake" 2>errors >figures 3>&- &
    bench=$!
    eventually has_lines replies 20
    kill -TERM "$bench"
    status=0
    wait "$bench" || status=$?
    [ "$status" -eq 143 ]
    [ ! -s errors ]
    [ ! -s figures ]
    run -1 env SHMAIL_PASSWORD=shmail-bench shmail login early4999
}

has_lines() { # file, how many
    [ -r "$1" ] && [ "$(wc -l <"$1")" -ge "$2" ]
}
