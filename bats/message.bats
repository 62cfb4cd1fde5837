# The Message protocol through the real server: the seed's dialogue, every command and error, mail to and from SMSP,
# names that are entered, and frames that are none.
# shellcheck shell=bash
# shellcheck disable=SC2154 # a, b: connect sets them; output, lines: run's

bats_require_minimum_version 1.5.0
load helper
load frame

setup_file() {
    start_server --crypt-cost 1 -l "unix:$BATS_FILE_TMPDIR/socket"
}

setup() {
    name=user$BATS_TEST_NUMBER
    me=$name@mail.ru
}

# Sends standard input over one connection and shows the replies.
pour() {
    timeout 20 nc -N "$HOST" "$PORT" | show_frames
}

# The same with frames that are given as type, body, type, body, ...
exchange() {
    while [ $# -gt 0 ]; do
        frame "$1" "$2"
        shift 2
    done | pour
}

# The same with a server of its own, inetd style, with further options.
serve_once() {
    shmaild -i -e --crypt-cost 1 "$@" | show_frames
}

mail() { # id source destination header text
    printf '{"id": %s, "source": "%s", "destination": "%s", "header": "%s", "text": "%s"}' "$@"
}

@test "the dialogue of the seed" {
    connect a
    connect b
    say "$a" 0 '{"name": "test1@mail.ru"}'
    hear "$a" '0 "OK"'
    say "$b" 0 '{"name": "test2@email.tu"}'
    hear "$b" '0 "OK"'
    say "$b" 1 '{"to": "test1@mail.ru", "header": "test header", "text": "some text"}'
    hear "$b" '0 "OK"'
    say "$a" 1 '{"to": "test2@email.ru", "header": "header", "text": "hello"}'
    hear "$a" '-2 "Invalid destination address"'
    say "$a" 1 '{"to": "test2@email.tu", "header": "hello", "text": "world"}'
    hear "$a" '0 "OK"'
    say "$b" 2 null
    hear "$b" "2 [$(mail 1 test1@mail.ru test2@email.tu hello world)]"
    say "$b" 5 null
    hear_end "$b"
    say "$a" 2 null
    hear "$a" "2 [$(mail 1 test2@email.tu test1@mail.ru 'test header' 'some text')]"
    say "$a" 5 null
    hear_end "$a"
}

@test "the shell session of the manual page" {
    session() {
        {
            printf '\0\0\0\0\0\0\0\31{"name": "test3@mail.ru"}'
            printf '\0\0\0\2\0\0\0\4null'
            printf '\0\0\0\5\0\0\0\4null'
        } | nc -N "$HOST" "$PORT" | od -An -v -tx1 | tr -d ' \n'
    }
    run session
    assert_output "0000000000000004224f4b2200000002000000025b5d"
}

@test "every command" {
    run exchange 0 "{\"name\": \"$me\"}" 2 null \
        1 "{\"to\": \"$me\", \"header\": \"h1\", \"text\": \"t1\"}" \
        1 "{\"text\": \"t2\", \"to\": \"$me\", \"header\": \"h2\"}" \
        2 null 3 '{"index": "2"}' 4 '{"index": 1}' 2 null 6 '{"count": 1, "timeout": 5}' 5 null 2 null
    assert_output - <<END
0 "OK"
2 []
0 "OK"
0 "OK"
2 [$(mail 1 "$me" "$me" h1 t1), $(mail 2 "$me" "$me" h2 t2)]
3 $(mail 2 "$me" "$me" h2 t2)
0 "OK"
2 [$(mail 2 "$me" "$me" h2 t2)]
0 "OK"
END
}

@test "every refusal of a command" {
    run exchange 2 null 3 '{"index": "1"}' 4 '{"index": "1"}' 6 '{"count": 1, "timeout": 0}' \
        1 "{\"to\": \"$me\", \"header\": \"\", \"text\": \"\"}" 0 '{"name": "nobody"}' \
        0 "{\"name\": \"$me\", \"password\": \"\"}" 0 "{\"name\": \"$me\"}" 3 '{"index": "1"}' 4 '{"index": "x"}' \
        1 '{"to": "nobody@mail.ru", "header": "", "text": ""}' 6 '{"count": 1, "timeout": 0}' \
        6 '{"count": 1, "timeout": 100000}' 9 null 2 null
    assert_output - <<'END'
-2 "Log in first"
-2 "Log in first"
-2 "Log in first"
-2 "Log in first"
-2 "Log in first"
-2 "Invalid name, expected something@something.something"
-2 "A password has 1 to 256 bytes and no space"
0 "OK"
-2 "Mail with such index does not exist"
-2 "Mail with such index does not exist"
-2 "Invalid destination address"
-2 "Timed out"
-2 "Member timeout must be a whole number from 0 to 86400"
-2 "Unknown command type 9"
2 []
END
}

@test "bodies that are wrong leave the connection in step" {
    run exchange 0 '' 0 '{"name"' 0 null 0 '{}' 0 '{"name": 1}' 0 $'{"name": "\xff"}' \
        0 '{"name": "a@b.c", "name": "a@b.c"}' 0 '{"name": "\ud800"}' 0 "{\"name\": \"$me\"}" \
        1 "{\"to\": \"$me\", \"header\": \"\\u0000\", \"text\": \"\"}" 1 "{\"to\": \"$me\", \"header\": \"\"}" 2 null
    assert_output - <<'END'
-2 "Malformed JSON: no value at byte 0"
-2 "Malformed JSON: no ':' behind a key at byte 7"
-2 "The body must be an object"
-2 "Member name is missing"
-2 "Member name must be a string"
-2 "Malformed JSON: not UTF-8 at byte 10"
-2 "Malformed JSON: duplicate key at byte 18"
-2 "Malformed JSON: lone surrogate at byte 10"
0 "OK"
-2 "Member header contains U+0000"
-2 "Member text is missing"
2 []
END
}

@test "a body over its limit is passed over, a length that can be none ends the connection" {
    run pour < <(
        frame_header 0 7157
        head -c 7157 /dev/zero
        frame 0 "{\"name\": \"$me\"}"
        frame_header 0 62944757
        head -c 62944757 /dev/zero
        frame 9 null
        frame_header 0 -1
        frame 9 null
    )
    assert_output - <<'END'
-2 "A body of 7157 bytes is over the limit of 7156 bytes"
0 "OK"
-2 "A body of 62944757 bytes is over the limit of 62944756 bytes"
-2 "Unknown command type 9"
-2 "A body of 4294967295 bytes is over the limit of 62944756 bytes, closing"
END
}

@test "the message limit is the server's, and a text at it may come in escapes" {
    talk() {
        frame 0 '{"name": "a@b.c"}'
        frame 1 "{\"to\": \"a@b.c\", \"header\": \"\", \"text\": \"$1\"}"
        frame 2 null
    }
    run serve_once -m 8 < <(talk '\u0061\u0062\u0063\u0064\u0065\u0066\u00e9')
    assert_output - <<END
0 "OK"
0 "OK"
2 [$(mail 1 a@b.c a@b.c '' abcdefé)]
END
    run serve_once -m 8 < <(talk abcdefgé)
    assert_output - <<'END'
0 "OK"
-2 "Member text is over the limit of 8 bytes"
2 []
END
}

@test "a frame that ends early is an error" {
    run pour < <(frame 0 '{}' | head -c 9)
    assert_output '-2 "The connection ended inside a frame"'
}

@test "a frame may come byte by byte" {
    local frame hex
    connect a
    frame=$(frame 0 "{\"name\": \"$me\"}" | od -An -v -tx1)
    for hex in $frame; do
        # shellcheck disable=SC2059 # the format is the byte
        printf "\\x$hex" >&"$a"
    done
    hear "$a" '0 "OK"'
}

@test "hundreds of requests in one go are answered in order" {
    local requests=() expected=() i
    for ((i = 1; i <= 300; i++)); do
        requests+=(1 "{\"to\": \"$me\", \"header\": \"\", \"text\": \"$i\"}" 3 "{\"index\": $i}")
        expected+=('0 "OK"' "3 $(mail "$i" "$me" "$me" '' "$i")")
    done
    run exchange 0 "{\"name\": \"$me\"}" "${requests[@]}"
    assert_output "$(printf '%s\n' '0 "OK"' "${expected[@]}")"
}

@test "the characters of the world come back" {
    run exchange 0 '{"name": "почта@пример.рф"}' \
        1 '{"to": "\u043f\u043e\u0447\u0442\u0430@пример.рф", "header": "Привет \ud83d\ude00", "text": "\"\\\n\u0001é"}' 2 null
    assert_output - <<END
0 "OK"
0 "OK"
2 [$(mail 1 почта@пример.рф почта@пример.рф 'Привет 😀' '\"\\\n\u0001é')]
END
}

@test "mail of SMSP opens in Message" {
    local cookie
    cookie=$(ask "REGISTER $name secret")
    cookie=${cookie#OK }
    exchange 0 "{\"name\": \"$me\"}"
    run ask "SEND $me one \"two\" $cookie" "MESSAGE three $cookie" "STORE $me $cookie"
    assert_output $'OK 1\nOK\nOK'
    ask $'SEND '"$me"$' \xff\xe2\x82 '"$cookie"
    run exchange 0 "{\"name\": \"$me\"}" 2 null 3 '{"index": 2}'
    assert_output - <<END
0 "OK"
2 [$(mail 1 "$name@mail.localhost" "$me" '' 'one \"two\"'), $(mail 2 "$name@mail.localhost" "$me" '' three), $(
        mail 3 "$name@mail.localhost" "$me" '' '��')]
3 $(mail 2 "$name@mail.localhost" "$me" '' three)
END
}

@test "mail of Message opens in SMSP" {
    local cookie
    cookie=$(ask "REGISTER $name secret")
    cookie=${cookie#OK }
    run exchange 0 "{\"name\": \"$me\"}" \
        1 "{\"to\": \"$name@mail.localhost\", \"header\": \"hello\", \"text\": \"wide\\nworld\"}" \
        1 "{\"to\": \"${name^^}@mail.localhost\", \"header\": \"\", \"text\": \"again\"}"
    assert_output $'0 "OK"\n0 "OK"\n0 "OK"'
    run ask "COUNT $name $cookie" "GETMSG $name $cookie" "FETCH $name 1 $cookie" "LIST $name $cookie"
    assert_line --index 0 'COUNTED 2'
    assert_line --index 1 'hello wide world'
    assert_line --index 2 'OK 16'
    assert_line --index 3 'hello'
    assert_line --index 4 'wide'
    assert_line --index 5 'world'
    assert_line --index 6 'OK 2'
    assert_line --index 7 --regexp "^1 16 [0-9]+ $me hello\$"
    assert_line --index 8 --regexp "^2 5 [0-9]+ $me again\$"
}

@test "an account of SMSP is one of Message, with its password" {
    ask "REGISTER $name secret"
    run exchange 0 "{\"name\": \"$name@mail.localhost\"}" \
        0 "{\"name\": \"$name@mail.localhost\", \"password\": \"Secret\"}" \
        0 "{\"name\": \"$name@mail.localhost\", \"password\": \"secret\"}" \
        0 "{\"name\": \"$me\", \"password\": \"word\"}" 0 "{\"name\": \"$me\"}"
    assert_output - <<'END'
-2 "A password is required"
-2 "Wrong name or password"
0 "OK"
0 "OK"
-2 "A password is required"
END
}

@test "where a password is required it makes the account on first use" {
    run --separate-stderr serve_once --require-password < <(
        frame 0 '{"name": "a@b.c"}'
        frame 0 '{"name": "a@b.c", "password": "hidden-first"}'
        frame 0 '{"name": "a@b.c", "password": "hidden-second"}'
    )
    assert_output - <<'END'
-2 "A password is required"
0 "OK"
-2 "Wrong name or password"
END
}

@test "-v names the peer whose request is refused" {
    run --separate-stderr serve_once -v --require-password < <(frame 0 '{"name": "a@b.c"}')
    assert_output '-2 "A password is required"'
    grep -qx "shmaild: stdin: message: entry: A password is required" <<<"$stderr"
}

@test "a name is entered on one connection, and free when that is closed, has quit or was killed" {
    local before children child
    connect a
    connect b
    say "$a" 0 "{\"name\": \"$me\"}"
    hear "$a" '0 "OK"'
    say "$b" 0 "{\"name\": \"$me\"}"
    hear "$b" '-2 "Such user is already logged in"'
    hang_up "$a"
    say "$b" 0 "{\"name\": \"$me\"}"
    hear "$b" '0 "OK"'

    say "$b" 5 null
    hear_end "$b"
    before=$(cat "/proc/$SHMAIL_PID/task/$SHMAIL_PID/children")
    connect a
    say "$a" 0 "{\"name\": \"$me\"}"
    hear "$a" '0 "OK"'
    children=$(cat "/proc/$SHMAIL_PID/task/$SHMAIL_PID/children")
    for child in $children; do
        [[ " $before " == *" $child "* ]] || kill -KILL "$child"
    done
    hear_end "$a"
    connect b
    say "$b" 0 "{\"name\": \"$me\"}"
    hear "$b" '0 "OK"'
}

@test "wait wakes when mail of either protocol comes" {
    local cookie
    cookie=$(ask "REGISTER $name secret")
    cookie=${cookie#OK }
    connect a
    say "$a" 0 "{\"name\": \"$me\"}"
    hear "$a" '0 "OK"'
    say "$a" 6 '{"count": 1, "timeout": 50}'
    ask "SEND $me first $cookie"
    hear "$a" '0 "OK"'
    say "$a" 6 '{"count": "2", "timeout": "50"}'
    exchange 0 '{"name": "sender@mail.ru"}' 1 "{\"to\": \"$me\", \"header\": \"\", \"text\": \"second\"}"
    hear "$a" '0 "OK"'
}

@test "a name is free when its client is gone in the middle of a wait" {
    connect a
    connect b
    say "$a" 0 "{\"name\": \"$me\"}"
    hear "$a" '0 "OK"'
    say "$a" 6 '{"count": 1, "timeout": 50}'
    hang_up "$a"
    say "$b" 0 "{\"name\": \"$me\"}"
    hear "$b" '0 "OK"'
}

@test "a client that has half-closed gets every reply, but nothing is waited for" {
    run exchange 0 "{\"name\": \"$me\"}" 6 '{"count": 0, "timeout": 50}' 6 '{"count": 1, "timeout": 50}' 2 null
    assert_output - <<'END'
0 "OK"
0 "OK"
-2 "No wait on a half-closed connection"
2 []
END
}

@test "mail and its ids outlive the server" {
    exchange 0 "{\"name\": \"$me\"}" 1 "{\"to\": \"$me\", \"header\": \"h\", \"text\": \"kept\"}" \
        1 "{\"to\": \"$me\", \"header\": \"h\", \"text\": \"dropped\"}" 4 '{"index": 2}'
    stop_server
    start_server --crypt-cost 1 -l "unix:$BATS_FILE_TMPDIR/socket"
    run exchange 0 "{\"name\": \"$me\"}" 2 null 1 "{\"to\": \"$me\", \"header\": \"\", \"text\": \"\"}" 2 null
    assert_output - <<END
0 "OK"
2 [$(mail 1 "$me" "$me" h kept)]
0 "OK"
2 [$(mail 1 "$me" "$me" h kept), $(mail 3 "$me" "$me" '' '')]
END
}

@test "a unix socket speaks both protocols" {
    both() {
        frame 9 null | timeout 20 nc -N -U "$BATS_FILE_TMPDIR/socket" | show_frames
        echo NOOP | timeout 20 nc -N -U "$BATS_FILE_TMPDIR/socket"
    }
    run both
    assert_output - <<'END'
-2 "Log in first"
OK
END
}
