# Listeners for proxies: whose address counts, and what happens to who sends no header.
# shellcheck shell=bash
# shellcheck disable=SC2154 # output is run's

bats_require_minimum_version 1.5.0
load helper
load office

# One connection to the address for proxies: what it says, byte for byte, and the reply.
through() { # printf's arguments
    # shellcheck disable=SC2059
    printf "$@" | timeout 20 nc -N 127.0.0.1 "${SHMAIL_BOUND##*:}"
}

V2='\r\n\r\n\0\r\nQUIT\n'

@test "the address in a PROXY header is the peer's, of either version" {
    start_server -v --crypt-cost 1 -l proxy:inet:127.0.0.1:0
    enrol alice
    run through 'PROXY TCP4 192.0.2.7 192.0.2.1 4711 25\r\nLOGIN alice wrong\n'
    assert_output KO
    grep -q '192\.0\.2\.7:4711: wrong password for alice' "$log"
    run through "$V2"'\x21\x11\0\x0c\xc0\0\2\x08\xc0\0\2\1\x12\x67\0\x19LOGIN alice wrong\n'
    assert_output KO
    grep -q '192\.0\.2\.8:4711: wrong password for alice' "$log"
    run through 'PROXY TCP6 2001:db8::7 2001:db8::1 4711 25\r\nLOGIN alice wrong\n'
    assert_output KO
    grep -q '\[2001:db8::7\]:4711: wrong password for alice' "$log"
    run through 'PROXY TCP4 192.0.2.7 192.0.2.1 4711 25\r\n\0\0\0\5\0\0\0\4null'
    assert_output ""
    # A check by the proxy itself: its own address stays.
    run through "$V2"'\x20\0\0\0NOOP\n'
    assert_output OK
    run through 'PROXY UNKNOWN\r\nNOOP\n'
    assert_output OK
}

@test "a header may come byte by byte, and not a byte behind it is lost" {
    local header=$'PROXY TCP4 192.0.2.9 192.0.2.1 4711 25\r\nNOOP\n' i connection
    start_server -v --crypt-cost 1 -l proxy:inet:127.0.0.1:0
    exec {connection}<>"/dev/tcp/127.0.0.1/${SHMAIL_BOUND##*:}"
    for ((i = 0; i < ${#header}; i++)); do
        printf '%s' "${header:i:1}" >&"$connection"
    done
    told "$connection" OK
    run ctl ps
    assert_output --partial "192.0.2.9:4711"
}

@test "a byte out of band, past which nobody sees a header, closes the connection at once" {
    start_server --crypt-cost 1 -l "proxy:unix:$PWD/proxied"
    run -0 timeout 4 python3 - "$PWD/proxied" 3>&- <<'PYTHON'
import socket, sys
client = socket.socket(socket.AF_UNIX)
client.connect(sys.argv[1])
client.send(b"PROXY")
client.send(b"P", socket.MSG_OOB)
try:
    print(client.recv(1))
except ConnectionResetError:  # as there is something that nobody has read
    print("closed")
PYTHON
    assert_output closed
    grep -q 'closed: no PROXY header' "$log"
}

@test "who sends no header is closed without a word, and only there" {
    start_server --crypt-cost 1 -l proxy:inet:127.0.0.1:0
    run through 'NOOP\n'
    assert_output ""
    run through '\0\0\0\5\0\0\0\4null'
    assert_output ""
    run through 'PROXY TCP4 192.0.2.9 192.0.2.1 4711\r\nNOOP\n'
    assert_output ""
    run through ''
    assert_output ""
    grep -c 'closed: no PROXY header' "$log" | grep -qx 4
    grep -c 'no PROXY header: it was malformed$' "$log" | grep -qx 3
    grep -q 'no PROXY header: the connection ended before it was whole$' "$log"
    run bash -c "echo NOOP | $SHMAIL_BUILD/shmaild -i -e --proxy"
    assert_output --partial "no PROXY header: Socket operation on non-socket"
    run ask "NOOP"
    assert_output OK
    run ask $'PROXY TCP4 192.0.2.9 192.0.2.1 4711 25\r' NOOP
    assert_output $'KO\nOK'
    run ! grep -q '192\.0\.2\.9' "$log"
    expect_deserted
}

@test "who is turned away behind a proxy is told so as any other, and one without a header is not" {
    local one two three
    start_server --crypt-cost 1 --accounts 100 --slots 3 -l proxy:inet:127.0.0.1:0
    take_three_slots
    run through 'PROXY TCP4 192.0.2.7 192.0.2.1 4711 25\r\nNOOP\n'
    assert_output KO
    grep -q '192\.0\.2\.7:4711: turned away: no room for another process' "$log"
    through "$V2"'\x21\x11\0\x0c\xc0\0\2\x08\xc0\0\2\1\x12\x67\0\x19NOOP\0' >reply
    printf 'KO\0' | cmp - reply
    through 'PROXY TCP4 192.0.2.9 192.0.2.1 4711 25\r\n\0\0\0\0\0\0\0\4null' >reply
    grep -q 'no room for another process' reply
    run through 'NOOP\n'
    assert_output ""
    grep -q 'closed: no PROXY header: it was malformed$' "$log"
    hang_up "$one" "$two" "$three"
    expect_deserted
}

@test "a header that does not come is not waited for" {
    local connection start=$SECONDS
    start_server --crypt-cost 1 -l proxy:inet:127.0.0.1:0
    exec {connection}<>"/dev/tcp/127.0.0.1/${SHMAIL_BOUND##*:}"
    printf 'PROXY ' >&"$connection"
    run -1 read -r -t 30 -u "$connection"
    [ $((SECONDS - start)) -ge 4 ]
    grep -q 'closed: no PROXY header: it was late' "$log"
}

@test "clients behind one proxy are throttled each for himself" {
    start_server --crypt-cost 1 -l proxy:inet:127.0.0.1:0
    enrol alice
    run through 'PROXY TCP4 192.0.2.7 192.0.2.1 4711 25\r\n'"$(printf 'LOGIN alice wrong\\n%.0s' {1..12})"
    assert_output "$(printf 'KO\n%.0s' {1..12})"
    start=${EPOCHREALTIME/./}
    run through 'PROXY TCP4 192.0.2.8 192.0.2.1 4711 25\r\nLOGIN alice secret\n'
    [[ $output == "OK "* ]]
    run ask "LOGIN alice secret"
    [[ $output == "OK "* ]]
}

@test "behind a proxy nobody is local: DUMP prints nothing" {
    start_server --crypt-cost 1 -l proxy:inet:127.0.0.1:0
    run ask DUMP
    assert_output OK
    run ! grep -q 'MBX' "$log"
}

@test "the source in a header has its share of connections, and no more" {
    local a b c d name
    start_server --crypt-cost 1 -c 8 --per-source 2 --spare 2 -l proxy:inet:127.0.0.1:0
    for name in a b c d; do
        eval "exec {$name}<>/dev/tcp/127.0.0.1/${SHMAIL_BOUND##*:}"
    done
    tell "$a" $'PROXY TCP4 192.0.2.7 192.0.2.1 1 25\r' NOOP
    told "$a" OK
    tell "$b" $'PROXY TCP4 192.0.2.7 192.0.2.1 2 25\r' NOOP
    told "$b" OK
    tell "$c" $'PROXY TCP4 192.0.2.7 192.0.2.1 3 25\r' NOOP
    run -1 read -r -t 10 -u "$c"
    grep -q '192\.0\.2\.7:3: closed: its source has 2 connections already' "$log"
    tell "$d" $'PROXY TCP4 192.0.2.8 192.0.2.1 4 25\r' NOOP
    told "$d" OK
    run through 'PROXY TCP4 192.0.2.7 192.0.2.1 5 25\r\nNOOP\n'
    assert_output ""
    grep -c 'closed: its source has 2 connections already' "$log" | grep -qx 1 # in ten seconds
    tell "$a" QUIT
    told "$a" OK
}

@test "a source in a header that comes again is let in once its last process has ended" {
    local a b child
    start_server --crypt-cost 1 --per-source 1 -l proxy:inet:127.0.0.1:0
    exec {a}<>"/dev/tcp/127.0.0.1/${SHMAIL_BOUND##*:}"
    tell "$a" $'PROXY TCP4 192.0.2.7 192.0.2.1 1 25\r' NOOP
    told "$a" OK
    child=$(children | tr -d ' ')
    kill -STOP "$child"
    exec {a}>&-
    exec {b}<>"/dev/tcp/127.0.0.1/${SHMAIL_BOUND##*:}"
    tell "$b" $'PROXY TCP4 192.0.2.7 192.0.2.1 2 25\r' NOOP
    sleep 0.05 # it is looked for for four times as long
    kill -CONT "$child"
    told "$b" OK
    exec {b}>&-
}
