# SMSP's checksum dialect as the published client speaks it: each request has a connection, a sum and a NUL.
# shellcheck shell=bash
# shellcheck disable=SC2154 # output is run's
# shellcheck disable=SC2030,SC2031 # each test is a subshell of its own

bats_require_minimum_version 1.5.0
load helper

setup_file() {
    start_server --crypt-cost 1
}

# Sends one request behind its sum, checks the sum of the reply, and prints the reply without.
publish() {
    local frame
    frame=$(ask_nul "$(checksum "$1") $1")
    if [ "${frame%% *}" != "$(checksum "${frame#* }")" ]; then
        echo "wrong sum: $frame"
        return 1
    fi
    printf '%s' "${frame#* }"
}

# Registers a user, logs in, and keeps the whole reply, as the published client does.
log_in() {
    publish "REGISTER $1 secret " >/dev/null
    label=$(publish "LOGIN $1 secret ")
    [[ $label =~ ^Cookie:\ [A-Za-z0-9_-]{43}$ ]]
}

@test "the published client's dialogue works" {
    run publish "REGISTER alice secret "
    assert_output --regexp "^OK [A-Za-z0-9_-]{43}$"
    run publish "REGISTER alice other "
    assert_output KO
    run publish "LOGIN alice wrong "
    assert_output KO
    label=$(publish "LOGIN alice secret ")
    [[ $label == "Cookie: "* ]]
    while IFS='>' read -r request expected; do
        run publish "${request%LABEL *}$label "
        assert_output "$expected"
    done <<'END'
MESSAGE |hello world| LABEL >OK
STORE alice LABEL >OK
COUNT alice LABEL >COUNTED 1
GETMSG alice LABEL >hello world
DELMSG alice LABEL >OK
GETMSG alice LABEL >KO
DELMSG alice LABEL >KO
STORE alice LABEL >KO
DUMP alice LABEL >OK
LOGOUT alice LABEL >OK
LOGOUT alice LABEL >KO
COUNT alice LABEL >KO
MESSAGE |hello again| LABEL >You should log in first.
END
}

@test "the reply's bytes are those of the dialect" {
    log_in bob
    ask_nul "$(checksum "COUNT bob $label ") COUNT bob $label " "0 COUNT bob" >"$BATS_TEST_TMPDIR/replies"
    run cat "$BATS_TEST_TMPDIR/replies"
    assert_output "12 COUNTED 0
6 Error, resend the message."
}

@test "a wrong sum changes nothing" {
    right=$(checksum "REGISTER cat secret ")
    for sum in $(((right + 1) % 13)) 13 "$((right + 13))" 99999999999999999999999; do
        run ask_nul "$sum REGISTER cat secret "
        assert_output "6 Error, resend the message."
    done
    run publish "LOGIN cat secret "
    assert_output KO
    run publish "REGISTER cat secret "
    assert_output --partial "OK "
}

@test "content may hold bars and may not be empty" {
    log_in dan
    run publish "MESSAGE |a | b|| c| $label "
    assert_output OK
    run publish "STORE dan $label "
    assert_output OK
    run publish "GETMSG dan $label "
    assert_output "a | b|| c"
    for content in "||" "|" "a" "|a" "a|" ""; do
        run publish "MESSAGE $content $label "
        assert_output KO
    done
}

@test "too few and too many arguments are refused" {
    log_in eve
    for request in REGISTER "REGISTER eve" "REGISTER eve a b" LOGIN "LOGIN eve" "LOGIN eve secret x" \
        "MESSAGE |x|" "MESSAGE $label" STORE "STORE $label" "STORE eve" "STORE eve eve $label" \
        "COUNT $label" "COUNT eve x $label" "GETMSG $label" "DELMSG $label" "DELMSG eve x $label" \
        LOGOUT "LOGOUT eve x $label" "LOGOUT dan $label" "" "HELO" "message |x| $label"; do
        run publish "$request "
        assert_output KO
    done
}

@test "the extensions are not part of the dialect" {
    log_in fay
    for request in WHY HELP NOOP QUIT "SEND fay |x| $label" "LIST fay $label" "FETCH fay 1 $label" \
        "REMOVE fay 1 $label" "WAIT fay 0 0 $label" "PASSWD fay secret new" "UNREGISTER fay secret"; do
        run publish "$request "
        assert_output KO
    done
    run publish "COUNT fay $label "
    assert_output "COUNTED 0"
}

@test "requests with and without a sum share a connection" {
    log_in gil
    run ask_nul "NOOP" "$(checksum "COUNT gil $label ") COUNT gil $label " "12x NOOP" "WHY" "12"
    assert_output "OK
12 COUNTED 0
KO
OK no such verb, try HELP
KO"
}

@test "there is no dialect in LF framing" {
    run ask "$(checksum "DUMP ") DUMP " "WHY"
    assert_output "KO
OK no such verb, try HELP"
}

@test "two users' messages never mix" {
    log_in hal
    one=$label
    log_in ida
    two=$label
    for i in 1 2 3; do
        run publish "MESSAGE |from hal $i| $one "
        run publish "MESSAGE |from ida $i| $two "
        run publish "STORE ida $one "
        assert_output OK
        run publish "STORE hal $two "
        assert_output OK
    done
    for i in 1 2 3; do
        run publish "GETMSG hal $one "
        assert_output "from ida $i"
        run publish "DELMSG hal $one "
        assert_output OK
        run publish "GETMSG ida $two "
        assert_output "from hal $i"
        run publish "DELMSG ida $two "
        assert_output OK
    done
}
