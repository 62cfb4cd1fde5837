#!/usr/bin/env bats
# completion.bats: contrib/completion offers what the programs take, and knows it from them.

load helper

setup() {
    cd "$BATS_TEST_TMPDIR" || return 1
    # shellcheck source=contrib/completion/shmail.bash
    source "$BATS_TEST_DIRNAME/../contrib/completion/shmail.bash"
}

# Prints what TAB offers behind these words, the last of which is being typed.
offers() {
    local COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
    "_$1" "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
    echo "${COMPREPLY[*]}"
}

@test "shmail: the commands of the protocol, behind options and HOST PORT" {
    assert_equal "$(offers shmail re)" "register"
    assert_equal "$(offers shmail -P message "")" "entry send mailbox open del wait help quit"
    assert_equal "$(offers shmail -t 5 -P message m)" "mailbox"
    assert_equal "$(offers shmail 127.0.0.1 8887 co)" "count"
    assert_equal "$(offers shmail --protocol = message ::1 8887 o)" "open"
    assert_equal "$(offers shmail -P s)" "smsp"
    assert_equal "$(offers shmail --v)" "--version"
}

@test "shmail: nothing where words of the user's own belong" {
    assert_equal "$(offers shmail send "")" ""
    assert_equal "$(offers shmail -P message open 1 "")" ""
    assert_equal "$(offers shmail -t "")" ""
}

@test "shmail-bench: options, protocols, and the verbs of the one that is chosen" {
    assert_equal "$(offers shmail-bench --pro)" "--protocol --processes"
    assert_equal "$(offers shmail-bench -P "")" "smsp smsp-nul message"
    assert_equal "$(offers shmail-bench -m D)" "DELMSG"
    assert_equal "$(offers shmail-bench -c 4 -P message -m "")" "WAIT SEND OPEN MAILBOX DEL"
    assert_equal "$(offers shmail-bench -c "")" ""
}

@test "shmaild: every option that its help shows" {
    assert_equal "$(offers shmaild --sysl)" "--syslog"
    assert_equal "$(offers shmaild -l "")" "inet: unix: proxy:inet: proxy:unix:"
    assert_equal "$(offers shmaild -t "")" ""
    for option in -l -1 -i -n -e -D -t -m -c -v -V --dump --crypt-cost --accounts --slots --help; do
        [[ " $(offers shmaild -) " == *" $option "* ]]
    done
}

@test "shmailctl: its verbs, the post offices there are, and journals" {
    echo QUIT | shmaild -i -n "$SHMAIL_NAME"
    assert_equal "$(offers shmailctl "")" "check repair journal ps stat account rm"
    assert_equal "$(offers shmailctl -n main st)" "stat"
    assert_equal "$(offers shmailctl -n main account "")" "add passwd list rm"
    assert_equal "$(offers shmailctl account rm "")" ""
    assert_equal "$(offers shmaild --sync "")" "always never"
    assert_equal "$(offers shmailctl rm "$SHMAIL_NAME")" "$SHMAIL_NAME"
    assert_equal "$(offers shmailctl stat "")" ""
    mkdir journal
    touch journal/journal.0
    assert_equal "$(offers shmailctl -d jour)" "journal"
    assert_equal "$(offers shmailctl -d journal rep)" "repair"
    assert_equal "$(offers shmailctl journal journal/j)" "journal/journal.0"
    assert_equal "$(offers shmailctl journal --t)" "--texts"
    assert_equal "$(offers shmailctl -d journal journal -)" "--texts"
    assert_equal "$(offers shmailctl journal --texts journal/j)" "journal/journal.0"
    assert_equal "$(offers shmailctl -D "")" ""
    assert_equal "$(offers shmailctl -D mail.localhost acc)" "account"
    assert_equal "$(offers shmailctl -D journal st)" "stat"
}
