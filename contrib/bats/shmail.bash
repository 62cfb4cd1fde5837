# shmail.bash: mail for your bats tests. A server of your own on a free port, with a post office of its own,
# and short ways to talk to it. Load it at the top of a test file:
#
#     load shmail
#     setup_file() { start_server; }
#     @test "the report arrives" {
#         run ask "REGISTER alice secret"
#         [[ $output == "OK "* ]]
#     }
#
# Files may run in parallel. Without a teardown_file of yours the server is stopped and its post office
# removed; if you write one, call stop_server and remove_segment in it. Needs shmaild (in SHMAIL_BUILD, or on
# the PATH) and an nc that knows -N.
# shellcheck shell=bash

# Users of Debian lack these in their PATH.
[[ :$PATH: == *:/usr/sbin:* ]] || PATH=$PATH:/usr/local/sbin:/usr/sbin

# A post office per test file. bats reads a file once more to count its tests; there is no directory then.
if [ -n "${BATS_FILE_TMPDIR-}" ]; then
    SHMAIL_NAME=bats-${BATS_RUN_TMPDIR##*-}-${BATS_FILE_TMPDIR##*/}
    export SHMAIL_NAME
fi

# Each test is a process of its own: what start_server has found out in one is told to the others through a
# file. False where no server runs.
recall_server() {
    [ -r "${BATS_FILE_TMPDIR-}/shmail.server" ] || return 1
    # shellcheck disable=SC1091
    . "$BATS_FILE_TMPDIR/shmail.server"
}
recall_server || :

# Starts shmaild with further options, waits until it listens, and sets SHMAIL_SERVER (inet:HOST:PORT), HOST,
# PORT, SHMAIL_PID and SHMAIL_BOUND (each bound address on a line). Its log is $BATS_FILE_TMPDIR/shmaild.log.
start_server() {
    local variable fifo=$BATS_FILE_TMPDIR/shmail.bound log=$BATS_FILE_TMPDIR/shmaild.log
    local program=${SHMAIL_BUILD:+$SHMAIL_BUILD/}shmaild option line listeners=1
    for option in "$@"; do
        [[ $option != -l* ]] || listeners=$((listeners + 1))
    done
    rm -f "$fifo"
    mkfifo "$fifo"
    # bats waits for whoever holds descriptor 3.
    "$program" -1 -n "$SHMAIL_NAME" -l inet:127.0.0.1:0 "$@" >"$fifo" 2>>"$log" 3>&- &
    SHMAIL_PID=$!
    SHMAIL_BOUND=
    # Opening waits for the server's end of the fifo, and its death closes that: no sleep is needed.
    while [ "$listeners" -gt 0 ] && read -r -t 10 line; do
        SHMAIL_BOUND+=${SHMAIL_BOUND:+$'\n'}$line
        listeners=$((listeners - 1))
    done <"$fifo"
    rm -f "$fifo"
    if [ "$listeners" -gt 0 ]; then
        echo "shmaild does not listen; its log:" >&2
        cat "$log" >&2
        kill_server
        return 1
    fi
    SHMAIL_SERVER=${SHMAIL_BOUND%%$'\n'*}
    PORT=${SHMAIL_SERVER##*:}
    HOST=${SHMAIL_SERVER#inet:}
    HOST=${HOST%:*}
    export SHMAIL_PID SHMAIL_BOUND SHMAIL_SERVER HOST PORT
    for variable in SHMAIL_PID SHMAIL_BOUND SHMAIL_SERVER HOST PORT; do
        printf 'export %s=%q\n' "$variable" "${!variable}"
    done >"$BATS_FILE_TMPDIR/shmail.server"
}

# True while the server runs. A dead one that its parent has not collected does not.
server_runs() {
    local line
    { read -r line <"/proc/$SHMAIL_PID/stat"; } 2>/dev/null || return 1
    line=${line##*) }
    [[ $line != [ZX]* ]]
}

# True when the server is gone within 10 seconds. It may be the child of an earlier test's process: nothing
# tells us of its end, so we look.
server_ends() {
    local deadline=$((SECONDS + 10))
    while server_runs; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 0.02
    done
}

forget_server() {
    rm -f "$BATS_FILE_TMPDIR/shmail.server"
    unset SHMAIL_PID SHMAIL_BOUND SHMAIL_SERVER HOST PORT
}

# Stops the server as its manager would. Fails, with the log, if it has died before, does not end in time or
# (where the caller is its parent) ends with a failure. Without a server it does nothing.
stop_server() {
    local result=0 status=0
    recall_server || return 0
    if ! server_runs; then
        echo "shmaild had died" >&2
        result=1
    elif kill -TERM "$SHMAIL_PID" && ! server_ends; then
        echo "shmaild has not ended within 10 seconds of TERM" >&2
        kill -KILL "$SHMAIL_PID"
        result=1
    fi
    wait "$SHMAIL_PID" 2>/dev/null || status=$?
    if [ "$status" -ne 0 ] && [ "$status" -ne 127 ]; then # 127: not our child
        echo "shmaild has ended with status $status" >&2
        result=1
    fi
    [ "$result" -eq 0 ] || cat "$BATS_FILE_TMPDIR/shmaild.log" >&2
    forget_server
    return "$result"
}

# Ends the server by SIGKILL, as a crash would. Its post office stays.
kill_server() {
    ! server_runs || kill -KILL "$SHMAIL_PID"
    server_ends
    forget_server
}

# Removes the post office, what was set aside of it, and those whose name continues its name with a hyphen.
remove_segment() {
    rm -f "/dev/shm/shmail-$SHMAIL_NAME" "/dev/shm/shmail-$SHMAIL_NAME"[-.]*
}

teardown_file() {
    local result=0
    stop_server || result=$?
    remove_segment
    return "$result"
}

# Sends each argument as one request, all over one connection, and prints the replies.
ask() {
    printf '%s\n' "$@" | timeout 10 nc -N "$HOST" "$PORT"
}

# The same in NUL framing. Each reply is printed as a line.
ask_nul() {
    (
        set -o pipefail
        printf '%s\0' "$@" | timeout 10 nc -N "$HOST" "$PORT" | tr '\0' '\n'
    )
}

# Prints the checksum of SMSP's checksum dialect: the sum of the bytes, mod 13, mod 17.
checksum() {
    local byte sum=0
    for byte in $(printf '%s' "$1" | od -An -v -tu1); do
        sum=$((sum + byte))
    done
    echo $((sum % 13 % 17))
}
