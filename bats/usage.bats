#!/usr/bin/env bats
# usage.bats: what shmail makes of its command line: options, which server, how many words, what it says of wrong
# use, and the exit status of each.
# shellcheck disable=SC2030,SC2031 # each test is a process of its own
# shellcheck disable=SC2154 # user is of client.bash

load helper
load client
bats_require_minimum_version 1.5.0

@test "wrong usage exits 64 and says why on standard error" {
    become_user
    for words in "-x" "--bogus" "-P nonsense" "-P" "-t 0" "-t x" "frobnicate" "127.0.0.1" "count 1 2" "send" \
        "send $user" "fetch" "wait 1" "passwd one" "-P message count" "-P message open"; do
        # shellcheck disable=SC2086
        run --separate-stderr shmail $words
        [ "$status" -eq 64 ] || fail "$words: $status"
        [ -z "$output" ]
        [[ $stderr == "shmail: "* ]] || fail "$words: $stderr"
    done
    run shmail del "1 2"
    assert_failure 64
    run shmail store ""
    assert_failure 64
}

@test "a number of seconds that is none is told the range" {
    run shmail -t 86401 noop
    assert_failure 64
    assert_output "shmail: not a number of seconds from 1 to 86400: 86401 (shmail --help tells more)"
}

@test "an unknown command that may be a host or an option is told how those are given" {
    local words
    for words in "localhost count" "localhost 0" "127.0.0.1 99999 count" "inet:127.0.0.1:8887 count"; do
        # shellcheck disable=SC2086
        run shmail $words
        assert_failure 64
        assert_output "shmail: unknown command: ${words%% *} (HOST and PORT, 1 to 65535, come before a command)"
    done
    run shmail 127.0.0.1 8887 --help
    assert_failure 64
    assert_output "shmail: unknown command: --help (options come before HOST, PORT and command)"
    run shmail 127.0.0.1 8887 a.b count
    assert_failure 64
    assert_output "shmail: unknown command: a.b (shmail --help tells more)"
    run shmail frobnicate it
    assert_failure 64
    assert_output "shmail: unknown command: frobnicate (shmail --help tells more)"
}

@test "an unknown option is named by its letter wherever it stands in its word" {
    run shmail -Zh
    assert_failure 64
    assert_output "shmail: unknown option: -Z (shmail --help tells more)"
    run shmail -t 5 --help=x
    assert_failure 64
    assert_output "shmail: unknown option: --help=x (shmail --help tells more)"
    run shmail-bench -kZj
    assert_failure 64
    assert_output "shmail-bench: unknown option: -Z (shmail-bench --help tells more)"
    run shmail-bench --keep=x
    assert_failure 64
    assert_output "shmail-bench: unknown option: --keep=x (shmail-bench --help tells more)"
}

@test "a command without a session says what to set and exits 64" {
    run shmail count </dev/null
    assert_failure 64
    assert_output --partial SHMAIL_USER
    SHMAIL_COOKIE=x run shmail count </dev/null
    assert_failure 64
    run shmail login </dev/null
    assert_failure 64
}

@test "the server comes from the line, else from SHMAIL_SERVER, over inet and unix" {
    SHMAIL_SERVER=inet:127.0.0.1:1 run shmail "$HOST" "$PORT" noop
    assert_success
    SHMAIL_SERVER=unix:$BATS_FILE_TMPDIR/socket run shmail noop
    assert_success
    SHMAIL_SERVER=nonsense run shmail noop
    assert_failure 64
    SHMAIL_SERVER=inet:127.0.0.1:0 run shmail noop
    assert_failure 64
    assert_output --partial "SHMAIL_SERVER"
    assert_output --partial "a port is a number from 1 to 65535"
}

@test "help and --help need no server" {
    export SHMAIL_SERVER=unix:/nonexistent/socket
    run shmail help
    assert_success
    assert_line --regexp '^ +send USER CONTENT '
    run shmail --help
    assert_success
    run shmail -V
    assert_success
    assert_output --regexp '^shmail [0-9]'
}

@test "no server exits 69" {
    SHMAIL_SERVER=unix:/nonexistent/socket run shmail noop
    assert_failure 69
    assert_output --partial "cannot connect"
}

# Its one process serves somebody else.
@test "who is turned away is told so in one line, and exits 69" {
    local words held socat away=$SHMAIL_NAME-away
    local line="shmail: the server turned this connection away: it said KO and closed it; try again later"
    cd "$BATS_TEST_TMPDIR"
    timeout 50 socat -d -d UNIX-LISTEN:away,fork,backlog=64 "EXEC:$SHMAIL_BUILD/shmaild -i -n $away" 2>socat.log 3>&- &
    socat=$!
    eventually grep -q "listening on" socat.log
    mkfifo requests
    shmaild -i -n "$away" --slots 1 --crypt-cost 1 <requests >replies 2>shmaild.log 3>&- &
    exec {held}>requests
    echo NOOP >&"$held"
    eventually grep -q OK replies

    export SHMAIL_SERVER=unix:away SHMAIL_USER=$user SHMAIL_PASSWORD=secret
    for words in noop count register "login $user x" "wait 1 0" get why quit; do
        # shellcheck disable=SC2086 # its words
        run shmail $words
        assert_failure 69
        assert_output "$line"
    done
    export SHMAIL_COOKIE=c
    for words in count get "wait 1 0" "send $user x" "fetch 1"; do
        # shellcheck disable=SC2086 # its words
        run shmail $words
        assert_failure 69
        assert_output "$line"
    done
    run shmail send "$user" $'two\nlines'
    assert_failure 69
    assert_output "$line"
    run shmail <<<$'count\ncount'
    assert_failure 69
    assert_output "$line"
    SHMAIL_USER=$user@mail.ru run message mailbox
    assert_failure 1
    assert_line --index 0 "shmail: no room for another process"
    kill "$socat"
    hang_up "$held"
}

@test "a refusal whose reason is lost with the connection exits 69" {
    export SHMAIL_USER=$user SHMAIL_PASSWORD=secret
    # shellcheck disable=SC2016 # the script's own
    local words script='for reply in "OK c" KO; do read -r -d "" request && printf "$reply\0"; done'
    for words in count "wait 1 0" get "send $user x"; do
        fake_server "$script"
        # shellcheck disable=SC2086 # its words
        SHMAIL_SERVER=unix:$fake run shmail $words
        assert_failure 69
        assert_output "shmail: connection lost: the server closed it"
    done
    fake_server "$script"
    SHMAIL_SERVER=unix:$fake run shmail <<<$'count\ncount'
    assert_failure 69
    assert_output "shmail: connection lost: the server closed it"
}

@test "a server without an answer exits 75 after -t seconds" {
    kill -STOP "$(maker)"
    run shmail -t 1 noop
    kill -CONT "$(maker)"
    assert_failure 75
}

# It reads when its socket is full, and less than makes the client's ready again.
@test "a server that takes little in -t seconds is not given up" {
    python3 - "$SHMAIL_BUILD/shmail" "$BATS_TEST_TMPDIR" <<'PYTHON'
import fcntl, socket, struct, subprocess, sys, termios, time

shmail, directory = sys.argv[1:]
one, _ = socket.socketpair()
content = b"x" * (one.send(bytes(10000000), socket.MSG_DONTWAIT) + 1000)
with open(directory + "/content", "wb") as file:
    file.write(content)
listener = socket.socket(socket.AF_UNIX)
listener.bind(directory + "/socket")
listener.listen()
cookie = b"c" * 43
request = b"SEND bob " + content + b" " + cookie + b"\0"

def unread(end):
    return struct.unpack("i", fcntl.ioctl(end, termios.FIONREAD, bytes(4)))[0]

client = subprocess.Popen([shmail, "-t", "1", "send", "bob", "-"], stdin=open(directory + "/content"),
                          stdout=subprocess.PIPE, env={"SHMAIL_SERVER": "unix:" + directory + "/socket",
                                                       "SHMAIL_USER": "alice", "SHMAIL_COOKIE": cookie.decode()})
server, _ = listener.accept()
seen = 0
while seen == 0 or seen < unread(server):
    seen = unread(server)
    time.sleep(0.1)
came = server.recv(65536)
while unread(server) < len(request) - len(came) and client.poll() is None:
    time.sleep(0.01)
while len(came) < len(request):
    more = server.recv(65536)
    assert more, "the client has given up"
    came += more
assert came == request
server.sendall(b"OK 1\0")
assert client.communicate(timeout=10) == (b"1\n", None)
assert client.returncode == 0
PYTHON
}

@test "passwd without words and a terminal says which password is missing" {
    become_user
    run shmail passwd </dev/null
    assert_failure 64
    assert_output "shmail: no new password: give it behind the old one, or use - to read it"
    unset SHMAIL_PASSWORD
    run shmail passwd </dev/null
    assert_failure 64
    assert_output "shmail: no password: give one, set SHMAIL_PASSWORD, or use - to read it"
}

@test "a password that is no single word is not shown" {
    run shmail login "$user" "two words"
    assert_failure 64
    assert_output "shmail: login: argument 2 is empty or holds a space"
    run shmail passwd "two words" new
    assert_failure 64
    refute_output --partial words
}

@test "a cookie or user of the environment that is no single word is refused, and shifts no word" {
    local cookie bad
    become_user
    cookie=$(shmail login)
    unset SHMAIL_PASSWORD
    for bad in "OK $cookie" " $cookie" "$cookie "; do
        SHMAIL_COOKIE=$bad run shmail send "$user" the body
        assert_failure 64
        assert_output "shmail: the cookie in SHMAIL_COOKIE is empty or holds a space, which SMSP cannot carry"
        SHMAIL_COOKIE=$bad run shmail message queued
        assert_failure 64
        SHMAIL_COOKIE=$bad run shmail <<<"send $user the body"
        assert_failure 64
        assert_output --partial SHMAIL_COOKIE
        SHMAIL_COOKIE=$bad run bash -c 'shmail send "$SHMAIL_USER" - || cat' <<<kept
        assert_line --index 1 kept
        SHMAIL_COOKIE=$bad run shmail <<<$'count\nlogin '"$user"$' secret\ncount'
        assert_failure 64
        assert_line --index 2 0
        cookie=$(SHMAIL_PASSWORD=secret shmail login)
    done
    export SHMAIL_COOKIE=$cookie
    run shmail count
    assert_output 0
    run shmail store "$user"
    assert_failure 1
    assert_output "shmail: KO: no message is queued, send MESSAGE first"
    SHMAIL_USER="$user 1" run shmail count
    assert_failure 64
    assert_output "shmail: the user in SHMAIL_USER is empty or holds a space, which SMSP cannot carry"
    SHMAIL_COOKIE='' SHMAIL_USER="$user x" SHMAIL_PASSWORD=y run shmail count
    assert_failure 64
    assert_output --partial SHMAIL_USER
}

@test "too few or too many words are told without a server" {
    local nobody=unix:$BATS_TEST_TMPDIR/nobody
    SHMAIL_SERVER=$nobody run shmail fetch 1 2 3
    assert_failure 64
    assert_output "shmail: usage: fetch ID"
    SHMAIL_SERVER=$nobody run message del
    assert_failure 64
    SHMAIL_SERVER=$nobody run shmail send alice many words are one content
    assert_failure 69
}

@test "a command of the Message protocol without a user is a wrong use" {
    local command
    for command in mailbox "open 0" "del 0" "send a@mail.ru h t" "wait 1 0"; do
        # shellcheck disable=SC2086 # its words
        run message $command
        assert_failure 64
        assert_output --partial "set SHMAIL_USER"
    done
}
