# What strangers may try: passwords, many at once; the clock; somebody else's name; more than their share.
# shellcheck shell=bash
# shellcheck disable=SC2030,SC2031 # each test is a process of its own
# shellcheck disable=SC2154 # output and lines are run's, entered is connect's

bats_require_minimum_version 1.5.0
load helper
load office
load frame

attack() {
    timeout 60 python3 "$BATS_TEST_DIRNAME/attack.py" "$1" "$HOST" "$PORT" "${@:2}"
}

# One request from another address of this machine.
ask_from() { # address request...
    printf '%s\n' "${@:2}" | timeout 20 nc -N -s "$1" "$HOST" "$PORT"
}

# The guesses that one source has in so many seconds: ten, then one after 1/8 s, 1/4 s, ... 4 s, and each 5 s.
allowed_in() {
    awk -v seconds="$1" 'BEGIN {
        for (delay = 0.125; (at += delay) <= seconds; count++)
            delay = 2 * delay < 5 ? 2 * delay : 5
        print 10 + count
    }'
}

# SHMAIL_GUESS_SECONDS: for how long (make guess: 30).
@test "64 guessers at once have no more guesses than one, and the owner gets in from elsewhere" {
    local seconds=${SHMAIL_GUESS_SECONDS:-4} start guesses refused owner=0 most
    start_server --crypt-cost 1
    enrol alice
    start=$SECONDS
    attack guess alice 64 "$seconds" >counts &
    while [ $((SECONDS - start)) -lt "$seconds" ]; do
        run ask_from 127.0.0.2 "LOGIN alice secret"
        [[ $output == "OK "* ]]
        owner=$((owner + 1))
    done
    wait $!
    read -r guesses refused <counts
    most=$(allowed_in $((SECONDS - start + 1)))
    echo "# figures: $guesses guesses of at most $most, $refused refused, $owner logins of the owner" >&3
    [ "$guesses" -ge 10 ]
    [ "$guesses" -le "$most" ]
    [ "$owner" -gt 0 ]
    run ask "LOGIN bob secret" WHY
    [[ ${lines[1]} == *"too many attempts"* || ${lines[1]} == *"wrong name"* ]]
    expect_deserted
}

# A p-value below one in a thousand, three times in a row, is no accident.
expect_alike() { # what is measured, attack...
    local p left right
    for _ in 1 2 3; do
        read -r p left right < <(attack "${@:2}")
        echo "# figures: $1: p = $p, medians $left and $right us (Mann-Whitney U)" >&3
        if awk -v p="$p" 'BEGIN { exit !(p >= 0.001) }'; then
            return 0
        fi
    done
    return 1
}

@test "an unknown name takes as long as a wrong password" {
    start_server --crypt-cost 2
    enrol alice
    expect_alike "wrong password, unknown name" time-logins alice 150
}

@test "a cookie that is nearly right takes as long as any wrong one" {
    local cookie
    start_server --crypt-cost 1
    cookie=$(enrol alice)
    expect_alike "wrong cookie, nearly right cookie" time-cookies alice "$cookie" 2000
}

@test "a password that is wrong counts by every verb and by both protocols" {
    start_server --crypt-cost 1
    enrol alice
    run ask "LOGIN alice a" "LOGIN alice b" "LOGIN alice c" "PASSWD alice d x" "PASSWD alice e x" \
        "PASSWD alice f x" "UNREGISTER alice g" "UNREGISTER alice h" "UNREGISTER alice i"
    assert_output "$(printf 'KO\n%.0s' {1..9})"
    grep -c "wrong password for alice" "$log" | grep -qx 9
    # The tenth is an entry, and then nobody from here may guess again at once.
    message_entry alice@mail.localhost wrong
    grep -c "wrong password for alice" "$log" | grep -qx 10
    start=${EPOCHREALTIME/./}
    run ask "LOGIN alice secret"
    [[ $output == "OK "* ]]
    [ $((${EPOCHREALTIME/./} - start)) -ge 50000 ]
}

# One entry by the Message protocol, with a password.
message_entry() {
    local body="{\"name\": \"$1\", \"password\": \"$2\"}" length
    printf -v length '%02x' "${#body}"
    {
        printf "\0\0\0\0\0\0\0\x$length%s" "$body"
        printf '\0\0\0\x05\0\0\0\x04null'
    } | timeout 10 nc -N "$HOST" "$PORT" | tail -c +9
}

@test "a local user is a source, whatever his process" {
    start_server --crypt-cost 1 -l "unix:$PWD/socket"
    enrol alice
    for _ in {1..10}; do
        printf 'LOGIN alice wrong\n' | timeout 10 nc -N -U socket
    done
    start=${EPOCHREALTIME/./}
    run timeout 10 nc -N -U socket < <(printf 'LOGIN alice wrong\nLOGIN alice wrong\nLOGIN alice wrong\n')
    [ $((${EPOCHREALTIME/./} - start)) -ge 300000 ] # else each process would have ten of his own
    grep -q "unix:uid=$(id -u),pid=[0-9]*: wrong password for alice" "$log"
    # From the network nothing has failed yet: at once.
    run ask "LOGIN alice secret"
    [[ $output == "OK "* ]]
}

@test "a mailbox and a queue take what their quotas allow" {
    local cookie bob
    start_server --crypt-cost 1 --quota-messages 3 --quota-bytes 1000
    cookie=$(enrol alice)
    bob=$(enrol bob)
    run ask "SEND bob one $cookie" "SEND bob two $cookie" "SEND bob three $cookie" "SEND bob four $cookie" WHY
    assert_output $'OK 1\nOK 2\nOK 3\nKO\nOK the mailbox is full'
    run ask "MESSAGE one $cookie" "MESSAGE two $cookie" "MESSAGE three $cookie" "MESSAGE four $cookie" WHY \
        "STORE bob $cookie" WHY "STORE alice $cookie" "MESSAGE four $cookie"
    assert_output $'OK\nOK\nOK\nKO\nOK too much is queued, STORE it first\nKO\nOK the mailbox is full\nOK\nOK'
    run ask "DELMSG bob $bob" "STORE bob $cookie" "SEND bob again $cookie"
    assert_output $'OK\nOK\nKO'
    run ask "SEND alice $(printf '%0990d' 0) $cookie" WHY
    assert_output $'KO\nOK the mailbox is full'
    expect_deserted
}

@test "a source makes as many accounts, and enters as many names, as the limits allow" {
    start_server --crypt-cost 1 --registrations 2 --entries 3
    run ask "REGISTER alice secret" "REGISTER alice secret" "REGISTER bob secret" "REGISTER carol secret" WHY
    [[ ${lines[0]} == "OK "* ]]
    [ "${lines[1]}" = KO ]
    [[ ${lines[2]} == "OK "* ]]
    [ "${lines[3]}" = KO ]
    [ "${lines[4]}" = "OK too many attempts, wait and try again" ]
    run message_entry new@mail.ru secret
    assert_output '"Too many attempts, wait and try again"'
    run message_entry alice@mail.localhost secret
    assert_output '"OK"'
    run message_entry alice@mail.localhost secret
    assert_output '"OK"'
    run message_entry alice@mail.localhost secret
    assert_output '"Too many attempts, wait and try again"'
    run ask_from 127.0.0.2 "REGISTER carol secret"
    [[ $output == "OK "* ]]
}

@test "a session ends so long after its login, though it is used" {
    local cookie connection
    start_server --crypt-cost 1 --cookie-age 2
    cookie=$(enrol alice)
    dial connection
    tell "$connection" "COUNT alice $cookie"
    told "$connection" "COUNTED 0"
    expired() { [ "$(exchange "$connection" "COUNT alice $cookie")" = KO ]; }
    eventually expired
    run ask "COUNT alice $cookie" WHY
    assert_output $'KO\nOK no such session, log in first'
}

@test "to wait for mail is to use a session, but makes it no older" {
    local cookie
    start_server --crypt-cost 1 --cookie-idle 1
    cookie=$(enrol alice)
    run ask "WAIT alice 1 4 $cookie" WHY "COUNT alice $cookie"
    assert_output $'KO\nOK the time is over\nCOUNTED 0'
    stop_server
    start_server --crypt-cost 1 --cookie-age 2
    cookie=$(enrol bob)
    run ask "WAIT bob 1 30 $cookie" WHY
    assert_output $'KO\nOK no such session, log in first'
}

@test "in a closed post office only the operator makes accounts" {
    start_server --crypt-cost 1 --closed
    run ask "REGISTER alice secret" WHY
    assert_output $'KO\nOK only the operator makes accounts here'
    run message_entry new@mail.ru secret
    assert_output '"Wrong name or password"'
    run ctl account add alice <<<hidden1
    assert_success
    run ask "LOGIN alice hidden1"
    [[ $output == "OK "* ]]
    run message_entry alice@mail.localhost hidden1
    assert_output '"OK"'
    run ctl account list
    assert_output $'ACCOUNT\tENTRY\tMESSAGES\nalice\tpassword\t0'
}

@test "a new password by the operator ends the sessions and the entry that the old one has opened" {
    local cookie
    start_server --crypt-cost 1 --sessions 3
    cookie=$(enrol alice)
    connect entered
    say "$entered" 0 '{"name": "alice@mail.localhost", "password": "secret"}'
    hear "$entered" '0 "OK"'
    run ctl account passwd Alice <<<hidden2
    assert_success
    say "$entered" 2 null
    hear "$entered" '-2 "Log in first"'
    hang_up "$entered"
    run ask "COUNT alice $cookie" "LOGIN alice secret"
    assert_output $'KO\nKO'
    run ask "LOGIN alice hidden2"
    [[ $output == "OK "* ]]
    run ctl account rm alice
    assert_success
    run -69 ctl account rm alice
    assert_output "shmailctl: alice: no such account"
    expect_sound
}

@test "what is no name or no password makes no account" {
    local word
    start_server --crypt-cost 1
    for word in '' 'a b' $'a\nb' 'ä' "$(printf '%065d' 0)" 'a@b' '--'; do
        run -64 ctl account add "$word" <<<hidden3
    done
    for word in '' 'a b' "$(printf '%0257d' 0)"; do
        run -65 ctl account add alice <<<"$word"
    done
    run -69 ctl account passwd alice <<<hidden3
    run -64 ctl account add
    run -64 ctl account frobnicate alice
    run ctl account list
    assert_output $'ACCOUNT\tENTRY\tMESSAGES'
}

@test "an account that the operator makes beside a journal outlives a reboot" {
    start_server --crypt-cost 1 -d "$PWD/journal"
    run -69 ctl account add alice <<<hidden4
    assert_output --partial "give -d $PWD/journal"
    run ctl -d "$PWD/journal" account add alice <<<hidden4
    assert_success
    kill_server
    remove_segment
    eventually flock -n journal/lock true # its keeper goes after it
    start_server --crypt-cost 1 -d "$PWD/journal"
    run ask "LOGIN alice hidden4"
    [[ $output == "OK "* ]]
}
