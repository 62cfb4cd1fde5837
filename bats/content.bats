#!/usr/bin/env bats
# content.bats: content and passwords arrive byte for byte: line breaks, blanks, any length, and words that look like
# requests or replies. What a protocol cannot carry is refused, and not sent.
# shellcheck disable=SC2154 # user is of client.bash

load helper
load client
bats_require_minimum_version 1.5.0

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

@test "several words of content are joined by single spaces, and one word keeps its own" {
    become_user
    shmail send "$user" a b   c
    shmail send "$user" " a  b "
    [ "$(shmail fetch 1)" = "a b c" ]
    [ "$(shmail fetch 2)" = " a  b " ]
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

# Runs get with a server where mail comes and goes between the requests: each LIST is answered by the next of these,
# with a bar for each NUL.
get_among() { # list...
    # shellcheck disable=SC2016 # the script's own
    fake_server '
        while read -r -d "" request; do
            case $request in
            "COUNT al c") echo "COUNTED 1|" ;;
            "LIST al c") read -r -u 3 list && echo "$list" ;;
            "FETCH al 3 c") echo "OK 11|KO, the 3rd|" ;;
            WHY) echo "OK the reason|" ;;
            *) echo "KO|" ;;
            esac | tr "|" "\0" | tr -d "\n"
        done 3<"$0.lists"'
    printf '%s\n' "$@" >"$fake.script.lists"
    SHMAIL_SERVER=unix:$fake SHMAIL_USER=al SHMAIL_COOKIE=c run --separate-stderr timeout 10 shmail get
}

@test "get prints no refusal as mail where others remove what came meanwhile, but the next message" {
    local one="1 2 0 bo KO|" two="2 2 0 bo KO|" three="3 11 0 bo KO, the 3rd|"
    get_among "OK 1|$one" "OK 0|"
    assert_failure 1
    assert_output ""
    assert_equal "$stderr" "shmail: KO: no such message"
    get_among "OK 2|$one$two" "OK 2|$two$three" "OK 1|$three"
    assert_success
    assert_output "KO, the 3rd"
    get_among "OK 1|$one" "OK 1|$one"
    assert_failure 1
    assert_output ""
    assert_equal "$stderr" "shmail: KO: the reason"
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
