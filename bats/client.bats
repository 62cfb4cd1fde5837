#!/usr/bin/env bats
# client.bats: shmail as scripts meet it: sessions and single commands of both protocols, environment, exit codes
# and exact content.
# shellcheck disable=SC2154 # user is of client.bash

load helper
load client
bats_require_minimum_version 1.5.0

# --- single commands of SMSP

@test "register and login print just the cookie" {
    run --separate-stderr shmail register "$user" secret
    assert_success
    assert_output --regexp '^[^ ]+$'
    [ -z "$stderr" ]
    run --separate-stderr shmail login "$user" secret
    assert_success
    assert_output --regexp '^[^ ]+$'
}

@test "the cookie that login prints serves later commands" {
    become_user
    SHMAIL_COOKIE=$(shmail login)
    export SHMAIL_COOKIE
    unset SHMAIL_PASSWORD
    run shmail count
    assert_success
    assert_output 0
}

@test "with a cookie alone a line break in the content is content, and what follows it no request" {
    local content
    become_user
    SHMAIL_COOKIE=$(shmail login)
    export SHMAIL_COOKIE
    unset SHMAIL_PASSWORD
    content="two"$'\n'"NOOP"$'\n'"REGISTER mallory$user pw"
    run timeout 10 shmail send "$user" "$content"
    assert_success
    assert_output 1
    printf '%s\n' "$content" | timeout 10 shmail send "$user" -
    printf '%s\n' "$content" | timeout 10 shmail message -
    shmail store "$user"
    for id in 1 2 3; do
        shmail fetch "$id" >"$BATS_TEST_TMPDIR/$id"
    done
    printf %s "$content" | cmp - "$BATS_TEST_TMPDIR/1"
    printf '%s\n' "$content" | cmp - "$BATS_TEST_TMPDIR/2"
    printf '%s\n' "$content" | cmp - "$BATS_TEST_TMPDIR/3"
    run shmail login "mallory$user" pw
    assert_failure 1
}

@test "a cookie or name of the environment that is refused is said to be its" {
    become_user
    SHMAIL_COOKIE=$(shmail login)
    export SHMAIL_COOKIE
    shmail login >/dev/null
    for command in count "message x" "send $user x" get; do
        # shellcheck disable=SC2086
        run shmail $command
        assert_failure 1
        assert_output "shmail: KO: no such session, log in first (SHMAIL_COOKIE)"
    done
    run shmail <<<$'login\nlogout\nlogout'
    assert_output $'OK\nOK\nKO: log in first (login or register)'
    SHMAIL_COOKIE=$(unset SHMAIL_COOKIE; shmail login)
    run shmail send nobody x
    assert_failure 1
    assert_output "shmail: KO: no such account"
    run message mailbox
    assert_failure 1
    assert_output "shmail: Invalid name, expected something@something.something
shmail: SHMAIL_USER is not entered: $user"
}

@test "a login ends the cookie before it" {
    become_user
    SHMAIL_COOKIE=$(shmail login)
    shmail login >/dev/null
    SHMAIL_COOKIE=$SHMAIL_COOKIE run shmail count
    assert_failure 1
    assert_output --partial "KO: "
}

@test "user and password from the environment log in for each command" {
    become_user
    run shmail send "$user" hello there
    assert_success
    assert_output 1
    run shmail get
    assert_output "hello there"
    run shmail count
    assert_output 1
}

@test "message and store say nothing and deliver" {
    become_user
    run shmail message one two
    assert_success
    assert_output ""
    run shmail store "$user"
    assert_success
    assert_output ""
    run shmail get
    assert_output "one two"
}

@test "several words of content are joined by single spaces, and one word keeps its own" {
    become_user
    shmail send "$user" a b   c
    shmail send "$user" " a  b "
    [ "$(shmail fetch 1)" = "a b c" ]
    [ "$(shmail fetch 2)" = " a  b " ]
}

@test "list prints id, bytes, time, sender and subject, separated by tabs" {
    become_user
    shmail send "$user" first words
    shmail send "$user" x
    run shmail list
    assert_success
    assert_line --index 0 --regexp "^1"$'\t'"11"$'\t'"[0-9]+"$'\t'"$user"$'\t'"first words$"
    assert_line --index 1 --regexp "^2"$'\t'"1"$'\t'"[0-9]+"$'\t'"$user"$'\t'"x$"
}

@test "del removes the oldest message, and with an id that one" {
    become_user
    for text in a b c; do shmail send "$user" "$text"; done
    shmail del
    shmail del 3
    run shmail list
    assert_output --regexp "^2"$'\t'
    run shmail del 3
    assert_failure 1
}

@test "content from standard input arrives byte for byte" {
    become_user
    printf 'line\n\r\n \xff\x1b[0m\tend\n\n' >"$BATS_TEST_TMPDIR/content"
    shmail send "$user" - <"$BATS_TEST_TMPDIR/content"
    shmail fetch 1 | cmp - "$BATS_TEST_TMPDIR/content"
    shmail message - <"$BATS_TEST_TMPDIR/content"
    shmail store "$user"
    shmail fetch 2 | cmp - "$BATS_TEST_TMPDIR/content"
}

@test "a message as large as the limit comes back whole" {
    become_user
    head -c $((10 << 20)) /dev/zero | tr '\0' x >"$BATS_TEST_TMPDIR/content"
    shmail send "$user" - <"$BATS_TEST_TMPDIR/content"
    shmail fetch 1 | cmp - "$BATS_TEST_TMPDIR/content"
    run shmail send "$user" - < <(cat "$BATS_TEST_TMPDIR/content" "$BATS_TEST_TMPDIR/content")
    assert_failure 1
    assert_output --partial "KO: "
}

@test "content with a NUL byte is refused by a clear error and not sent" {
    become_user
    run shmail send "$user" - < <(printf 'a\0b')
    assert_failure 1
    assert_output --partial "NUL"
    run shmail count
    assert_output 0
}

@test "get tells a message that reads KO from an empty mailbox" {
    become_user
    run --separate-stderr shmail get
    assert_failure 1
    assert_output ""
    [[ $stderr == "shmail: KO: "* ]]
    shmail send "$user" KO
    run --separate-stderr shmail get
    assert_success
    assert_output KO
}

@test "wait prints the count, and exits 75 when the time is over" {
    become_user
    shmail send "$user" x
    run shmail wait 1 10
    assert_success
    assert_output 1
    run shmail wait 2 0
    assert_failure 75
    run shmail wait 2 x
    assert_failure 64
    run shmail wait 9223372036854775807 0
    assert_failure 75
    run shmail wait 9223372036854775808 0
    assert_failure 64
    assert_output --partial "a count of at most 9223372036854775807, and at most 86400 seconds"
}

@test "wait ends when the message comes" {
    become_user
    SHMAIL_COOKIE=$(shmail login)
    export SHMAIL_COOKIE
    shmail wait 1 30 >"$BATS_TEST_TMPDIR/count" 3>&- &
    waiter=$!
    shmail send "$user" x
    wait "$waiter"
    [ "$(cat "$BATS_TEST_TMPDIR/count")" = 1 ]
}

@test "a wait with a bad cookie is a refusal, not a timeout" {
    become_user
    SHMAIL_COOKIE=bad run shmail wait 1 0
    assert_failure 1
    assert_output --partial "KO: "
}

@test "logout, passwd and unregister do what they say" {
    become_user
    SHMAIL_COOKIE=$(shmail login)
    SHMAIL_COOKIE=$SHMAIL_COOKIE shmail logout
    SHMAIL_COOKIE=$SHMAIL_COOKIE run shmail count
    assert_failure 1
    shmail passwd secret fresh
    run shmail count
    assert_failure 1
    SHMAIL_PASSWORD=fresh run shmail count
    assert_success
    SHMAIL_PASSWORD=fresh shmail unregister
    SHMAIL_PASSWORD=fresh run shmail login
    assert_failure 1
}

@test "noop, dump, why, quit and help succeed" {
    for command in noop dump why quit help; do
        run shmail "$command"
        assert_success
    done
}

@test "a password given as - is a line of standard input" {
    shmail register "$user" - <<<secret >/dev/null
    run shmail login "$user" secret
    assert_success
    run shmail login "$user" - <<<wrong
    assert_failure 1
}

# --- usage, server and exit codes

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

@test "content without a session is left where it is" {
    local command
    for command in "send $user -" "message -" "-P message send $user@mail.ru header -"; do
        run bash -c "echo kept | { shmail $command; echo \$?; cat; }"
        assert_line --index 0 --partial "set SHMAIL_USER"
        assert_line --index 1 64
        assert_line --index 2 kept
    done
    run shmail <<<"send $user -"$'\n'noop
    assert_failure 1
    assert_output "KO: log in first (login or register)"
}

@test "the server comes from the line, else from SHMAIL_SERVER, over inet and unix" {
    SHMAIL_SERVER=inet:127.0.0.1:1 run shmail "$HOST" "$PORT" noop
    assert_success
    SHMAIL_SERVER=unix:$BATS_FILE_TMPDIR/socket run shmail noop
    assert_success
    SHMAIL_SERVER=nonsense run shmail noop
    assert_failure 64
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

@test "a server without an answer exits 75 after -t seconds" {
    kill -STOP "$SHMAIL_PID"
    run shmail -t 1 noop
    kill -CONT "$SHMAIL_PID"
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

@test "a full output exits 1 with a message, a closed pipe ends quietly" {
    become_user
    shmail send "$user" x
    run bash -c 'shmail count >/dev/full'
    assert_failure 1
    assert_output --partial "standard output"
    head -c 1000000 /dev/zero | tr '\0' x | shmail send "$user" -
    run --separate-stderr bash -c 'shmail fetch 2 | head -c 1'
    assert_output x
    [ -z "$stderr" ]
}

@test "a closed standard input or output is an error, and never the socket" {
    become_user
    run bash -c 'shmail count <&-'
    assert_success
    assert_output 0
    run bash -c 'shmail count >&-'
    assert_failure 1
    run bash -c 'shmail <&-'
    assert_failure 1
    run bash -c 'shmail login "$SHMAIL_USER" - <&-'
    assert_failure 64
    assert_output "shmail: standard input: Bad file descriptor"
    SHMAIL_USER=$user@mail.ru run bash -c 'shmail -P message send "$SHMAIL_USER" <&-'
    assert_failure 64
    assert_output "shmail: standard input: Bad file descriptor"
}

@test "a password holds a line break, on a new connection too, and it begins no request" {
    local password="one"$'\n'"NOOP"
    run shmail register "$user" "$password"
    assert_success
    SHMAIL_USER=$user SHMAIL_PASSWORD=$password run shmail count
    assert_success
    assert_output 0
    run --separate-stderr shmail login "$user" one
    assert_failure 1
    SHMAIL_USER=$user run shmail passwd "$password" "two"$'\n'
    assert_success
    run shmail unregister "$user" "two"$'\n'
    assert_success
}

@test "a password that is no single word is not shown" {
    run shmail login "$user" "two words"
    assert_failure 64
    assert_output "shmail: login: argument 2 is empty or holds a space"
    run shmail passwd "two words" new
    assert_failure 64
    refute_output --partial words
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

# --- sessions of SMSP

@test "a session on a pipe shows no prompt and remembers the cookie" {
    run --separate-stderr shmail <<END
register $user secret
send $user hello   there
count
get
del
count
END
    assert_success
    assert_output "OK
OK 1
1
hello   there
OK
0"
    [ -z "$stderr" ]
}

@test "a session shows the reason of each KO, goes on, and exits as the last failure" {
    run --separate-stderr shmail <<END
count
register $user secret

send nobody-here x
frobnicate
get
noop
END
    assert_failure 1
    assert_line --index 0 --partial "KO: log in first"
    assert_line --index 1 "OK"
    assert_line --index 2 --regexp '^KO: .+'
    assert_line --index 3 --regexp '^KO: .+'
    assert_line --index 4 "OK"
    [[ $stderr == "shmail: unknown command: frobnicate"* ]]
}

@test "a session uses the environment until logout" {
    become_user
    run shmail <<END
count
logout
count
END
    assert_failure 1
    assert_line --index 0 0
    assert_line --index 1 OK
    assert_line --index 2 --partial "log in first"
}

@test "content - takes the rest of a session's input" {
    become_user
    printf 'send %s -\none\ncount\n' "$user" | shmail
    run shmail fetch 1
    assert_output "one
count"
}

@test "the last line of a session may lack its end" {
    run shmail < <(printf noop)
    assert_success
    assert_output OK
}

# --- Message

@test "a session of Message is as the seed shows it" {
    become_mailbox
    run message <<END
entry test$user@email.tu
send $user@mail.ru
test header
some text
send test$user@email.tu
hello
world
mailbox
quit
END
    assert_success
    assert_output "Success.
Success.
Success.
Mailbox
id : 1
source : test$user@email.tu
destination : test$user@email.tu
header : hello
text : world"
}

@test "Message errors are printed as they come, and the session goes on" {
    run message <<END
mailbox
entry $user@mail.ru
open 7
send nobody$user@mail.ru
a
b
wait 1 0
END
    assert_failure 75
    assert_output "Log in first
Success.
Mail with such index does not exist
Invalid destination address
Timed out"
}

@test "in a script the header and text of a Message that cannot be sent are no commands" {
    become_mailbox
    SHMAIL_USER='no address' run message <<END
send $SHMAIL_USER
entry $SHMAIL_USER
entry $SHMAIL_USER
mailbox
END
    assert_failure 1
    refute_output --partial Success
    refute_output --partial "unknown command"
}

@test "single commands of Message enter by SHMAIL_USER and print plainly" {
    become_mailbox
    run message send "$SHMAIL_USER" Subject some text
    assert_success
    assert_output ""
    run message send "$SHMAIL_USER" <<<$'from\ninput'
    assert_success
    run message open 1
    assert_output "id : 1
source : $SHMAIL_USER
destination : $SHMAIL_USER
header : Subject
text : some text"
    run message del 1
    assert_success
    assert_output ""
    run message mailbox
    assert_line --index 0 Mailbox
    assert_line --index 1 "id : 2"
    assert_line --index 5 "text : input"
    run --separate-stderr message open 1
    assert_failure 1
    assert_output ""
    [ "$stderr" = "shmail: Mail with such index does not exist" ]
}

@test "wait in Message exits 0 or 75" {
    become_mailbox
    message send "$SHMAIL_USER" a b
    run message wait 1 10
    assert_success
    assert_output ""
    run message wait 4294967295 0
    assert_failure 75
    run message wait 4294967296 0
    assert_failure 64
    assert_output --partial "a count of at most 4294967295, and at most 86400 seconds"
}

@test "Message text from standard input keeps lines, quotes and characters" {
    become_mailbox
    printf '"quoted" \\ \303\251 \360\237\223\256\nsecond\ttab' |
        message send "$SHMAIL_USER" head -
    run message open 1
    assert_line --index 4 $'text : "quoted" \\ \303\251 \360\237\223\256'
    assert_line --index 5 $'second\ttab'
    run message send "$SHMAIL_USER" head - < <(printf '\377')
    assert_failure 1
    assert_output --partial "UTF-8"
}

@test "mail crosses from one protocol to the other" {
    become_user
    SHMAIL_USER=$user@mail.localhost message send "$user@mail.localhost" Subject body
    run shmail get
    assert_output "Subject
body"
    shmail send "$user" from smsp
    SHMAIL_USER=$user@mail.localhost run message open 2
    assert_line --index 3 "header : "
    assert_line --index 4 "text : from smsp"
}

@test "an account with a password is entered only with it" {
    become_user
    export SHMAIL_USER=$user@mail.localhost
    run message mailbox
    assert_success
    SHMAIL_PASSWORD=wrong run message mailbox
    assert_failure 1
    unset SHMAIL_PASSWORD
    run message entry "$SHMAIL_USER" - <<<secret
    assert_success
}
