# client.bash: what the tests of shmail share: one server for a file, by inet and unix, and a user of each test's own.

setup_file() {
    start_server --crypt-cost 1 -l "unix:$BATS_FILE_TMPDIR/socket"
}

setup() {
    unset SHMAIL_USER SHMAIL_PASSWORD SHMAIL_COOKIE
    user=user$BATS_TEST_NUMBER
}

# An account of this test, for the commands that follow.
become_user() {
    shmail register "$user" secret >/dev/null
    export SHMAIL_USER=$user SHMAIL_PASSWORD=secret
}

# A mailbox of the Message protocol for this test.
become_mailbox() {
    export SHMAIL_USER=$user@mail.ru
    message entry "$SHMAIL_USER"
}

message() {
    shmail -P message "$@"
}

# A server of the test's own at unix:$fake, for one connection: a bash script that reads requests with
# "read -r -d ''" and prints replies.
fake_server() { # script
    fake=$BATS_TEST_TMPDIR/fake$((++fakes))
    echo "$1" >"$fake.script"
    timeout 30 socat -d -d "UNIX-LISTEN:$fake" "EXEC:bash $fake.script" 2>"$fake.said" 3>&- &
    eventually grep -q "listening on" "$fake.said" # its path is there before
}
