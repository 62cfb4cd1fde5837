#!/usr/bin/env bats
# terminal.bats: shmail as a person at a terminal meets it: questions for passwords, lines that a terminal cuts, what a
# mail must not do to it, and a server that goes away.
# shellcheck disable=SC2154 # user is of client.bash

load helper
load client
bats_require_minimum_version 1.5.0

# Runs the command on a terminal of its own, which then shows its exit code: out of 8, into 9.
start_terminal() {
    coproc TERMINAL { socat - "SYSTEM:$*; echo exit \$?,pty,setsid,ctty,stderr,echo=0" 3>&-; }
    exec 8<&"${TERMINAL[0]}" 9>&"${TERMINAL[1]}"
}

# Reads up to the text from the terminal and types a line.
answer() { # text line
    prompted "$1" && printf '%s\n' "$2" >&9
}

# Reads up to the text from the terminal.
prompted() { # text
    local seen='' character
    until [[ $seen == *"$1" ]]; do
        IFS= read -r -t 10 -N 1 -u 8 character || { echo "no '$1' in: $seen"; return 1; }
        seen+=$character
    done
}

# What is left when the program has ended, without the CR that a terminal adds to each line.
rest_of_terminal() {
    timeout 10 cat <&8 | tr -d '\r'
    exec 8<&- 9>&-
}

@test "a password is asked for without echo" {
    become_user
    unset SHMAIL_USER SHMAIL_PASSWORD
    start_terminal shmail
    answer "shmail> " "login $user"
    answer "Password: " secret
    answer "shmail> " count
    answer "shmail> " quit
    run rest_of_terminal
    refute_output --partial secret
    assert_output "OK
exit 0"
}

@test "a new password is asked for twice" {
    start_terminal shmail register "$user"
    answer "New password: " one
    answer "Once more: " two
    run rest_of_terminal
    assert_output --partial "differ"
    assert_line "exit 64"
    run shmail login "$user" one
    assert_failure 1
}

@test "who interrupts the question for a password goes on in a line of its own" {
    start_terminal "trap true INT; env -u SHMAIL_PASSWORD shmail login $user"
    prompted "Password: "
    printf '\003' >&9
    run rest_of_terminal
    assert_output $'\nexit 130'
}

@test "a password that SMSP cannot carry is refused with the reason, and not sent" {
    become_user
    local why="the password is empty or holds a space, which SMSP cannot carry"
    start_terminal env -u SHMAIL_PASSWORD shmail register "new$user"
    answer "New password: " "two words"
    run rest_of_terminal
    refute_output --partial "Once more"
    assert_line "shmail: $why"
    assert_line "exit 64"
    start_terminal env -u SHMAIL_PASSWORD shmail login "$user"
    answer "Password: " ""
    run rest_of_terminal
    assert_line "shmail: $why"
    SHMAIL_PASSWORD="two words" run shmail count
    assert_failure 64
    assert_output "shmail: $why"
    SHMAIL_USER="two words" run shmail login
    assert_failure 64
    assert_output "shmail: ${why/password/user}"
    SHMAIL_USER=$user@mail.localhost SHMAIL_PASSWORD="two words" run message mailbox
    refute_output --partial SMSP
}

@test "an end of the input at the prompt of a password leaves the next line to what is said" {
    start_terminal shmail login "$user"
    prompted "Password: "
    printf '\004' >&9
    run rest_of_terminal
    assert_output $'\nshmail: no password was given\nexit 64'
}

@test "an end of the input at the prompt of a user is told" {
    start_terminal shmail login
    prompted "User: "
    printf '\004' >&9
    run rest_of_terminal
    assert_output $'\nshmail: no user was given\nexit 64'
}

@test "an end of the input behind what was typed leaves the next line to the answer" {
    become_user
    start_terminal shmail
    prompted "shmail> "
    printf 'quit\004\004' >&9
    run rest_of_terminal
    assert_output $'\nOK\nexit 0'
    start_terminal shmail send "$user" -
    printf 'text\004\004' >&9
    run rest_of_terminal
    assert_output $'\n1\nexit 0'
    start_terminal shmail send "$user" -
    printf 'line\n\004' >&9
    run rest_of_terminal
    assert_output $'2\nexit 0'
}

@test "a mail cannot control the reader's terminal" {
    become_user
    printf 'a\033[2Jb\302\233c\342\200\256d\377\n' | shmail send "$user" -
    start_terminal shmail fetch 1
    run rest_of_terminal
    assert_output 'a\x1b[2Jb\xc2\x9bc\xe2\x80\xaed\xff
exit 0'
}

@test "a line whose end a terminal has lost is not sent" {
    become_user
    start_terminal shmail
    answer "shmail> " "send $user $(printf '%05000d' 0)"
    answer "shmail> " count
    answer "shmail> " "send $user short"
    answer "shmail> " quit
    run rest_of_terminal
    assert_output --partial "exit 0"
    run shmail count
    assert_output 1
    start_terminal shmail send "$user" -
    answer "" "$(printf '%05000d' 0)"
    printf '\004' >&9
    run rest_of_terminal
    assert_output --partial "exit 1"
    run shmail count
    assert_output 1
}

@test "a header whose end a terminal has lost is asked for again" {
    become_mailbox
    message send "$user@mail.ru" kept text
    start_terminal shmail -P message
    answer "shmail> " "send $user@mail.ru"
    answer "Header: " "$(printf '%05000d' 0)"
    answer "Header: " "del 0"
    answer "Text: " body
    answer "shmail> " quit
    run rest_of_terminal
    run message mailbox
    assert_line --partial kept
    assert_line --partial "del 0"
}

@test "content without a session is left at the terminal" {
    start_terminal shmail
    answer "shmail> " "send $user -"
    answer "KO: log in first" noop
    answer "shmail> " quit
    run rest_of_terminal
    assert_line "exit 0"
}

@test "a person at the prompt is told at once when the server goes away" {
    start_terminal shmail
    answer "shmail> " noop
    answer "OK" ""
    stop_server
    run rest_of_terminal
    assert_line "shmail: connection lost: the server closed it"
    assert_line "exit 69"
}
