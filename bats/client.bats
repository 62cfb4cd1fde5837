#!/usr/bin/env bats
# client.bats: shmail's commands as scripts meet them, one at a time, in both protocols, and the environment that logs
# in for them.
# shellcheck disable=SC2154 # user is of client.bash

load helper
load client
bats_require_minimum_version 1.5.0

# --- SMSP

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

# --- Message

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
