# SMSP through the real programs: dialogues over TCP, in both framings, and what goes wrong in them.
# shellcheck shell=bash
# shellcheck disable=SC2154 # output and lines are run's

bats_require_minimum_version 1.5.0
load helper

setup_file() {
    start_server --crypt-cost 1 -m 100000
}

setup() {
    cd "$BATS_TEST_TMPDIR" || return 1
}

# Registers a user and prints the cookie.
enrol() {
    local reply
    reply=$(ask "REGISTER $1 secret")
    [[ $reply =~ ^OK\ [A-Za-z0-9_-]{43}$ ]] || return 1
    echo "${reply#OK }"
}

# Opens a connection as descriptor $connection.
connect() {
    exec {connection}<>"/dev/tcp/$HOST/$PORT"
}

say() { # request [descriptor]
    printf '%s\n' "$1" >&"${2:-$connection}"
}

hear() { # reply [descriptor]
    local line
    read -r -t 10 line <&"${2:-$connection}"
    assert_equal "$line" "$1"
}

@test "a letter is written, stored, counted, read and deleted" {
    cookie=$(enrol Ann)
    run ask "MESSAGE Hello, Ann $cookie" "COUNT ann $cookie" "STORE ANN $cookie" "COUNT Ann $cookie" \
        "GETMSG Ann $cookie" "DELMSG Ann $cookie" "GETMSG Ann $cookie" "LOGOUT $cookie" "COUNT Ann $cookie"
    assert_output "OK
COUNTED 0
OK
COUNTED 1
Hello, Ann
OK
KO
OK
KO"
}

@test "a cookie holds over connections, until the next login" {
    first=$(enrol ben)
    run ask "COUNT ben $first"
    assert_output "COUNTED 0"
    second=$(ask "LOGIN ben secret")
    run ask "COUNT ben $first" "COUNT ben ${second#OK }"
    assert_output "KO
COUNTED 0"
}

@test "every verb of the extensions does what it says" {
    cookie=$(enrol cat)
    run ask "SEND cat one $cookie" "SEND CAT@mail.localhost two $cookie" "FETCH cat 2 $cookie" \
        "REMOVE cat 1 $cookie" "FETCH cat 1 $cookie" "WAIT cat 1 5 $cookie" "WAIT cat 2 0 $cookie" "WHY" \
        "PASSWD cat secret new" "UNREGISTER cat secret" "UNREGISTER cat new" "COUNT cat $cookie" \
        "NOOP" "QUIT" "NOOP"
    assert_output "OK 1
OK 2
OK 3
two
OK
KO
COUNTED 1
KO
OK the time is over
OK
KO
OK
KO
OK
OK"
}

@test "LIST tells each message on a line" {
    cookie=$(enrol dan)
    run ask "SEND dan first letter $cookie" "SEND dan second $cookie" "LIST dan $cookie"
    assert_line --index 2 "OK 2"
    assert_line --index 3 --regexp "^1 12 [0-9]{10} dan first letter$"
    assert_line --index 4 --regexp "^2 6 [0-9]{10} dan second$"
}

@test "HELP names the verbs" {
    run ask HELP
    assert_output "OK REGISTER LOGIN LOGOUT MESSAGE STORE COUNT GETMSG DELMSG DUMP\
 WHY SEND LIST FETCH REMOVE WAIT PASSWD UNREGISTER HELP NOOP QUIT"
}

@test "every verb with too few and too many arguments is refused, and the connection goes on" {
    for verb in REGISTER LOGIN LOGOUT MESSAGE STORE COUNT GETMSG DELMSG SEND LIST FETCH REMOVE WAIT PASSWD \
        UNREGISTER; do
        run ask "$verb" "WHY"
        assert_line --index 0 KO
        assert_line --index 1 --regexp "^OK $verb takes <"
    done
    for verb in REGISTER LOGIN MESSAGE STORE COUNT GETMSG DELMSG SEND LIST FETCH REMOVE WAIT PASSWD UNREGISTER; do
        run ask "$verb " "WHY" # an empty argument, and no other
        assert_line --index 0 KO
        assert_line --index 1 --regexp "^OK $verb takes <"
    done
    for verb in REGISTER LOGIN LOGOUT STORE COUNT GETMSG DELMSG LIST FETCH REMOVE WAIT PASSWD UNREGISTER; do
        run ask "$verb 1 1 1 1 1" "WHY"
        assert_line --index 0 KO
        assert_line --index 1 --regexp "^OK $verb takes <"
    done
    for verb in DUMP WHY HELP NOOP QUIT; do
        run ask "$verb 1" "WHY" "$verb "
        assert_output "KO
OK $verb takes no argument
KO"
    done
}

@test "a bad cookie is refused by every verb, and MESSAGE says what to do" {
    cookie=$(enrol eve)
    run ask "MESSAGE hello wrong" "MESSAGE hello ${cookie%?}"
    assert_output "You should log in first.
You should log in first."
    for request in LOGOUT "STORE eve" "COUNT eve" "GETMSG eve" "DELMSG eve" "SEND eve hello" "LIST eve" \
        "FETCH eve 1" "REMOVE eve 1" "WAIT eve 0 0"; do
        run ask "$request wrong" "WHY"
        assert_output "KO
OK no such session, log in first"
    done
}

@test "an unknown recipient and an empty queue are refused, and the message stays" {
    cookie=$(enrol fay)
    run ask "STORE fay $cookie" "WHY" "MESSAGE kept $cookie" "STORE nobody $cookie" "WHY" \
        "STORE x@nowhere.org $cookie" "SEND nobody hello $cookie" "STORE fay $cookie" "GETMSG fay $cookie"
    assert_output "KO
OK no message is queued, send MESSAGE first
OK
KO
OK no such account
KO
KO
OK
kept"
}

@test "requests may end with CR LF" {
    run bash -c "printf 'NOOP\r\nHELO\r\nWHY\r\n' | nc -N $HOST $PORT"
    assert_output "OK
KO
OK no such verb, try HELP"
    refute_output --partial $'\r'
}

@test "in NUL framing a line break is content" {
    cookie=$(enrol gil)
    run ask_nul NOOP $'SEND gil two\nlines '"$cookie" "GETMSG gil $cookie" "FETCH gil 1 $cookie"
    assert_output "OK
OK 1
two
lines
OK 9
two
lines"
    run ask "GETMSG gil $cookie" "FETCH gil 1 $cookie"
    assert_output "two lines
OK 9
two
lines"
}

@test "a NUL in a line is refused, and so is an empty request" {
    run bash -c "printf 'NOOP\nNO\0OP\nWHY\n\nNOOP\n' | nc -N $HOST $PORT"
    assert_output "OK
KO
OK the line holds a NUL
KO
OK"
}

@test "an over-long request is refused, and the next one is answered" {
    cookie=$(enrol hal)
    {
        printf 'SEND hal '
        head -c 3000000 /dev/zero | tr '\0' x
        printf ' %s\nWHY\nCOUNT hal %s\n' "$cookie" "$cookie"
    } >requests
    run bash -c "nc -N $HOST $PORT <requests"
    assert_output "KO
OK the request is longer than 104096 bytes
COUNTED 0"
}

@test "content up to the limit is taken whole, and not one byte more" {
    cookie=$(enrol ida)
    head -c 100000 /dev/urandom | od -An -v -tx1 | tr -d '\n' | head -c 100000 >content
    {
        printf 'SEND ida %s %s\n' "$(cat content)" "$cookie"
        printf 'SEND ida %sx %s\n' "$(cat content)" "$cookie"
        printf 'WHY\nGETMSG ida %s\n' "$cookie"
    } >requests
    nc -N "$HOST" "$PORT" <requests >replies
    run head -n 3 replies
    assert_output "OK 1
KO
OK the content is longer than 100000 bytes"
    tail -n +4 replies | cmp - <(cat content; echo)
}

@test "thousands of requests in one write are answered in order" {
    cookie=$(enrol jan)
    awk -v cookie="$cookie" 'BEGIN {
        for (i = 1; i <= 5000; i++) {
            printf "MESSAGE %d %s\nSTORE jan %s\nCOUNT jan %s\n", i, cookie, cookie, cookie >"requests"
            printf "OK\nOK\nCOUNTED %d\n", i >"expected"
        }
        for (i = 1; i <= 5000; i++) {
            printf "GETMSG jan %s\nDELMSG jan %s\n", cookie, cookie >"requests"
            printf "%d\nOK\n", i >"expected"
        }
    }'
    timeout 30 nc -N "$HOST" "$PORT" <requests >replies
    cmp replies expected
}

@test "a request without its end is not carried out" {
    run bash -c "printf 'NOOP\nREGISTER kim secret' | nc -N $HOST $PORT"
    assert_output OK
    run ask "LOGIN kim secret"
    assert_output KO
}

# Writes 500 messages from one user to another, and prints how often each reply came.
exchange() { # from cookie to
    awk -v from="$1" -v cookie="$2" -v to="$3" 'BEGIN {
        for (i = 1; i <= 500; i++) printf "MESSAGE %s %d %s\nSTORE %s %s\n", from, i, cookie, to, cookie
    }' | timeout 30 nc -N "$HOST" "$PORT" | sort | uniq -c
}

# Reads them all, and fails where they are not what exchange wrote, in its order.
expect_mail() { # user cookie from
    awk -v user="$1" -v cookie="$2" 'BEGIN {
        for (i = 1; i <= 500; i++) printf "GETMSG %s %s\nDELMSG %s %s\n", user, cookie, user, cookie
    }' | timeout 30 nc -N "$HOST" "$PORT" >"$1.mail"
    awk -v from="$3" 'BEGIN { for (i = 1; i <= 500; i++) printf "%s %d\nOK\n", from, i }' | cmp - "$1.mail"
}

@test "two users' messages never mix" {
    one=$(enrol lea)
    two=$(enrol max)
    exchange lea "$one" max >lea.replies &
    writer=$!
    run exchange max "$two" lea
    assert_output --regexp "^ *1000 OK$"
    wait "$writer"
    run cat lea.replies
    assert_output --regexp "^ *1000 OK$"
    expect_mail max "$two" lea
    expect_mail lea "$one" max
}

@test "WAIT wakes when mail comes, after the replies before it" {
    cookie=$(enrol nia)
    connect
    say "NOOP
WAIT nia 2 60 $cookie
NOOP"
    hear OK
    run ask "SEND nia one $cookie" "SEND nia two $cookie"
    assert_output "OK 1
OK 2"
    hear "COUNTED 2"
    hear OK
}

@test "a waiting client does not keep the server from ending, nor a cookie from outliving it" {
    cookie=$(enrol ola)
    connect
    say "SEND ola kept $cookie
WAIT ola 5 3600 $cookie"
    hear "OK 1"
    SECONDS=0
    stop_server
    ((SECONDS <= 5))
    run read -r -t 10 line <&"$connection"
    assert_failure
    start_server --crypt-cost 1 -m 100000
    run ask "GETMSG ola $cookie" "LOGIN ola wrong"
    assert_output "kept
KO"
}

@test "DUMP prints queues and mailboxes on standard error, and no secret" {
    cookie=$(enrol pia)
    run ask "MESSAGE still queued $cookie" "SEND pia delivered $cookie" "DUMP"
    assert_output "OK
OK 1
OK"
    run cat "$BATS_FILE_TMPDIR/shmaild.log"
    assert_line "IMQ pia: from pia, 12 bytes: still queued"
    assert_line "MBX pia: 1 message"
    assert_line "MBX pia: 1 from pia, 9 bytes: delivered"
    refute_output --partial "$cookie"
    refute_output --partial secret
    refute_output --partial "\$y\$"
}

@test "a first byte of no protocol ends the connection" {
    run bash -c "printf '\x16\x03\x01' | timeout 10 nc $HOST $PORT"
    assert_success
    assert_output ""
}
