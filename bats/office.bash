# office.bash: a server for each test, lines over a connection that stays open, and what must be true of the
# post office when all is over.
# shellcheck shell=bash
# shellcheck disable=SC2154 # output is run's

setup() {
    cd "$BATS_TEST_TMPDIR" || return 1
    log=$BATS_FILE_TMPDIR/shmaild.log
    : >"$log"
}

teardown() {
    local result=0
    stop_server || result=$?
    remove_segment
    return "$result"
}

# Starts a server whose maker nobody can answer, so that it is the parent who accepts: function, argument...
where_the_parent_accepts() {
    [[ $SHMAIL_BUILD != *sanitize ]] || skip "built with sanitizers, and so without a sandbox"
    mkdir bin
    printf '#!/bin/sh\nexec "%s/tests/tool_unanswered" "%s/shmaild" "$@"\n' "$SHMAIL_BUILD" "$SHMAIL_BUILD" >bin/shmaild
    chmod +x bin/shmaild
    SHMAIL_BUILD=$PWD/bin "$@"
}

# Opens a connection for lines and waits until it is served; its descriptor is in the variable that is named.
dial() {
    eval "exec {$1}<>/dev/tcp/$HOST/$PORT"
    tell "${!1}" NOOP
    told "${!1}" OK
}

# Sends lines: descriptor, line...
tell() {
    local descriptor=$1
    shift
    printf '%s\n' "$@" >&"$descriptor"
}

# All three slots of a server that has no more: two connections and a process of inetd, on the descriptors that
# the variables one, two and three then hold.
take_three_slots() {
    mkfifo requests
    "$SHMAIL_BUILD/shmaild" -i -n "$SHMAIL_NAME" <requests >replies 2>/dev/null 3>&- &
    exec {three}>requests
    tell "$three" NOOP
    eventually grep -q OK replies
    dial one
    dial two
}

# Receives lines and compares them: descriptor, line...
told() {
    local descriptor=$1 line
    shift
    while [ $# -gt 0 ]; do
        read -r -t 10 -u "$descriptor" line || { echo "no reply where '$1' was expected"; return 1; }
        [ "$line" = "$1" ] || { echo "not '$1' but '$line'"; return 1; }
        shift
    done
}

# One request over an open connection; prints the reply.
exchange() {
    local line
    tell "$1" "$2"
    read -r -t 10 -u "$1" line && printf '%s\n' "$line"
}

# Registers a user and prints the cookie.
enrol() {
    local reply
    reply=$(ask "REGISTER $1 secret")
    [[ $reply == "OK "* ]] && echo "${reply#OK }"
}

ctl() {
    shmailctl -n "$SHMAIL_NAME" "$@"
}

expect_sound() {
    run -0 ctl check
    assert_output clean
}

# Nobody is attached but who asks, and the journal's keeper.
is_deserted() {
    [ "$(ctl ps | tail -n +2 | cut -f 4 | grep -vx keeper)" = ctl ]
}

expect_deserted() {
    eventually is_deserted || { ctl ps; return 1; }
    expect_sound
}

# Runs tool_load and shows its figures; it says itself what is wrong. Under sanitizers there are fewer operations.
load_with() { # address, clients, operations
    local operations=$3
    if [[ $SHMAIL_BUILD == *sanitize ]]; then
        operations=$((operations / 4))
        echo "# under sanitizers, so with $operations operations instead of $3" >&3
    fi
    run timeout 58 "$SHMAIL_BUILD/tests/tool_load" "$1" "$2" "$operations"
    assert_success
    echo "# $output" >&3
}
