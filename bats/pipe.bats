#!/usr/bin/env bats
# pipe.bats: shmail at pipes and files: whole sessions of both protocols, how they go on after a failure and how they
# end, and standard input and output that are full or closed.
# shellcheck disable=SC2154 # user is of client.bash

load helper
load client
bats_require_minimum_version 1.5.0

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
