# sandbox.bats: what a process that serves a connection can still do, and what becomes of one that tries more.
# tool_breach is shmaild with a request that makes any system call.
# shellcheck shell=bash
# shellcheck disable=SC2030,SC2031 # each test is a process of its own
# shellcheck disable=SC2154 # output and stderr are run's

bats_require_minimum_version 1.5.0
load helper
load office

setup() {
    [[ $SHMAIL_BUILD != *sanitize ]] || skip "built with sanitizers, and so without a sandbox"
    case $(uname -m) in
    x86_64) open=2 fork=57 execve=59 kill=62 socket=41 ;;
    aarch64) open=56 fork=220 execve=221 kill=129 socket=198 ;;
    *) skip "no filter of system calls on this processor" ;;
    esac
    cd "$BATS_TEST_TMPDIR" || return 1
    log=$BATS_FILE_TMPDIR/shmaild.log
    : >"$log"
}

# A server that is tool_breach instead.
start_breach() {
    mkdir -p bin
    ln -sf "$SHMAIL_BUILD/tests/tool_breach" bin/shmaild
    SHMAIL_BUILD=$PWD/bin start_server --crypt-cost 1 "$@"
}

deaths() {
    grep -c 'was ended by signal 31' "$log" || :
}

has_deaths() { # how many
    [ "$(deaths)" -eq "$1" ]
}

# Tries the calls, one a connection; none may be answered.
breach() { # number...
    local number
    for number in "$@"; do
        run ask "CALL $number path"
        assert_output ""
    done
}

status_field() { # pid, name
    sed -n "s/^$2:[[:space:]]*//p" "/proc/$1/status"
}

@test "a process that breaks its sandbox is killed and logged, and others serve on" {
    local witness
    for spare in 0 2; do
        start_breach --spare "$spare"
        dial witness
        breach "$open" "$fork" "$execve" "$kill" "$socket"
        eventually has_deaths 5
        grep -q 'it made a system call that the sandbox does not allow' "$log"
        # After a death that may have scribbled the post office is checked first.
        eventually grep -q 'the post office is sound' "$log"
        tell "$witness" NOOP
        told "$witness" OK
        exec {witness}>&-
        stop_server
        : >"$log"
    done
}

@test "a process may have its connection signal itself, and nobody else" {
    local witness fcntl=72 setown=8
    [ "$(uname -m)" = x86_64 ] || fcntl=25
    start_breach
    dial witness
    tell "$witness" NOOP
    told "$witness" OK
    for other in "$SHMAIL_PID" 1 0 "-$SHMAIL_PID"; do
        run ask "CALL $fcntl 5 $setown $other"
        assert_output FAILED
    done
    run ask "CALL $fcntl 5 $setown self"
    assert_output DONE
    has_deaths 0
    exec {witness}>&-
}

@test "one that asks without end keeps its parent from nothing" {
    local asker victim fcntl=72 setown=8
    [ "$(uname -m)" = x86_64 ] || fcntl=25
    start_breach --spare 4
    dial asker
    tell "$asker" NOOP
    told "$asker" OK
    exec {asker}>&-
    exec {asker}<>"/dev/tcp/$HOST/$PORT"
    tell "$asker" "CALLS $fcntl 3 $setown 1"
    told "$asker" FAILED
    exec {victim}<>"/dev/tcp/$HOST/$PORT"
    tell "$victim" "CALL $execve path"
    read -r -t 3 -u "$victim" || [ "$?" -eq 1 ] # its end, not silence
    eventually has_deaths 1
    run ask NOOP
    assert_output OK
    kill -KILL "$(ctl ps | awk -F'\t' '$4 != "ctl" { print $2 }' | head -1)" || true
    exec {asker}>&- {victim}>&-
}

@test "what the server was started with beside its input and output is open in none of its processes" {
    local process high
    [ "$(id -u)" -eq 0 ] || skip "not root"
    touch inherited
    exec 7<inherited {high}<inherited
    start_server --spare 1
    dial connection
    eventually has_children 2 # with the next spare
    for process in "$SHMAIL_PID" $(<"/proc/$SHMAIL_PID/task/$SHMAIL_PID/children"); do
        run readlink "/proc/$process"/fd/* # one that was just closed has none
        assert_line /dev/null
        refute_line --partial inherited
    done
    exec {connection}>&- 7<&- {high}<&-
}

@test "--sandbox-debug names the system call" {
    start_breach --sandbox-debug
    breach "$execve" "$socket"
    eventually has_deaths 2
    grep -q "the sandbox does not allow system call $execve (execve)" "$log"
    grep -q "the sandbox does not allow system call $socket (socket)" "$log"
}

@test "under inetd too, where the process logs it itself and the post office is checked next time" {
    ln -s "$SHMAIL_BUILD/tests/tool_breach" breach
    run -159 --separate-stderr ./breach -i -n "$SHMAIL_NAME" <<<"CALL $execve path"
    [ -z "$output" ]
    [[ $stderr == *"the sandbox does not allow system call $execve (execve)"* ]]
    run -0 --separate-stderr shmaild -i -n "$SHMAIL_NAME" <<<NOOP
    assert_output OK
    [[ $stderr == *"the post office is sound"* ]]
}

@test "--no-sandbox lets it, and says so" {
    start_breach --no-sandbox
    run ask "CALL $open path"
    assert_output DONE
    grep -q 'warning: --no-sandbox: connections are served without a sandbox' "$log"
}

@test "started as root a connection is served by another user, without rights or files" {
    local child
    [ "$(id -u)" -eq 0 ] || skip "not root"
    start_server -u 4242
    dial connection
    eventually has_children 1
    child=$(children)
    child=${child% }
    [ "$(status_field "$child" Uid)" = $'4242\t4242\t4242\t4242' ]
    [ "$(status_field "$child" Groups)" = "" ]
    for set in CapInh CapPrm CapEff CapBnd CapAmb; do
        [ "$(status_field "$child" "$set")" = 0000000000000000 ]
    done
    [ "$(status_field "$child" NoNewPrivs)" = 1 ]
    [ "$(status_field "$child" Seccomp)" = 2 ]
    [[ $(readlink "/proc/$child/root") == *"(deleted)" ]]
    [ -z "$(ls -A "/proc/$child/root/")" ]
    # The parent keeps what it needs for that, and no more.
    [ "$(status_field "$SHMAIL_PID" CapEff)" = 00000000000400e0 ]
    [ "$(status_field "$SHMAIL_PID" CapBnd)" = 0000000000000000 ]
    exec {connection}>&-
}

@test "root who may not end the processes of another user is told so at the start" {
    [ "$EUID" -eq 0 ] || skip "needs root"
    local as=(setpriv "--bounding-set=-kill" "--inh-caps=-kill")
    run -77 "${as[@]}" shmaild -e -u nobody -l unix:socket
    assert_output --partial "cannot end processes of user nobody: root has lost CAP_KILL"
    [ ! -e socket ]
    run -0 "${as[@]}" shmaild -i -e -u nobody <<<NOOP
    assert_output OK
}

@test "connections are never served as root without --run-as-root, and then without its rights" {
    local child
    [ "$(id -u)" -eq 0 ] || skip "not root"
    run -77 shmaild -e -u root 127.0.0.1 0
    assert_output --partial "--run-as-root"
    run -77 shmaild -e -u 0 127.0.0.1 0
    run -77 shmaild -e -u no-such-user 127.0.0.1 0
    assert_output --partial "there is no user no-such-user"
    start_server --run-as-root
    dial connection
    eventually has_children 1
    child=$(children)
    [ "$(status_field "${child% }" CapEff)" = 0000000000000000 ]
    exec {connection}>&-
}

@test "the keeper makes room in the sandbox" {
    local cookie keeper
    start_server -d journal --journal-size 1M --crypt-cost 1
    eventually has_maker # whatever is there before it has its name would count as a child
    eventually has_children 1
    keeper=$(children)
    cookie=$(enrol alice)
    for _ in {1..8}; do
        ask "SEND alice $(printf '%0100000d' 0) $cookie"
    done
    is_larger() { [ "$(stat -c %s journal/journal.0)" -gt 1048576 ]; }
    eventually is_larger
    expect_sound
    only_the_keeper() { [ "$(children)" = "$keeper" ]; }
    eventually only_the_keeper
}

@test "the keeper and its journal live in the sandbox too" {
    local keeper
    start_server -d journal --crypt-cost 1
    run -0 ask "REGISTER alice secret"
    eventually has_children 1
    keeper=$(children)
    keeper=${keeper%% *}
    [ "$(<"/proc/$keeper/comm")" = "shmaild: keeper" ]
    [ "$(status_field "$keeper" Seccomp)" = 2 ]
    [ "$(status_field "$keeper" CapEff)" = 0000000000000000 ]
    kill_server
    eventually [ ! -e "/proc/$keeper" ] # it ends with its parent, change of user or not
    remove_segment
    start_server -d journal --crypt-cost 1
    run ask "LOGIN alice secret"
    assert_output --partial "OK "
    # Whatever descriptor leads to a directory would be a way out.
    run find "/proc/$(children | cut -d " " -f 1)/fd" -lname "*/journal"
    assert_output ""
}

@test "without Landlock or the filter it serves all the same, and says what is missing" {
    start_server_without() { # system call...
        mkdir -p bin
        printf '#!/bin/sh\nexec "%s" %s -- "%s" "$@"\n' "$SHMAIL_BUILD/tests/tool_without" "$*" \
            "$SHMAIL_BUILD/shmaild" >bin/shmaild
        chmod +x bin/shmaild
        SHMAIL_BUILD=$PWD/bin start_server
        run ask NOOP
        assert_output OK
        stop_server
    }
    start_server_without 444
    grep -q 'the sandbox of connections lacks a part: .*no Landlock in this kernel' "$log"
    : >"$log"
    start_server_without "$([ "$(uname -m)" = x86_64 ] && echo 317 || echo 277)"
    grep -q 'the sandbox of connections lacks a part: .*no filter of system calls here' "$log"
}

@test "who waits needs no signal of his own, which a user may have no more of" {
    local cookie waiter
    ulimit -S -i 0
    start_server --crypt-cost 1
    ulimit -S -i "$(ulimit -H -i)"
    cookie=$(enrol alice)
    dial waiter
    tell "$waiter" "WAIT alice 1 50 $cookie"
    run ask "SEND alice mail $cookie"
    assert_output "OK 1"
    told "$waiter" "COUNTED 1"
    tell "$waiter" "WAIT alice 2 50 $cookie" QUIT
    ask "SEND alice mail $cookie"
    told "$waiter" "COUNTED 2" OK
    expect_deserted
    run ! grep signal "$log"
}

# A reader that took the line in pieces would serve as the user whose name and number stand at 4095 bytes.
@test "a long line of /etc/passwd is one line" {
    [ "$EUID" -eq 0 ] || skip "only root becomes another user"
    unshare -m true 2>/dev/null || skip "nothing can be mounted here"
    local fields='long:x:4241:4241:' child
    {
        printf '%s%s' "$fields" "$(head -c $((4095 - ${#fields})) /dev/zero | tr '\0' o)"
        printf '%s\n' victim:x:4242:4242::/:/bin/false victim:x:4243:4243::/:/bin/false
    } >"$BATS_TEST_TMPDIR/passwd"
    cat >"$BATS_TEST_TMPDIR/shmaild" <<END
#!/bin/sh
exec unshare -m sh -c 'mount --bind "$BATS_TEST_TMPDIR/passwd" /etc/passwd && exec "\$@"' sh "$SHMAIL_BUILD/shmaild" "\$@"
END
    chmod +x "$BATS_TEST_TMPDIR/shmaild"
    SHMAIL_BUILD=$BATS_TEST_TMPDIR start_server -u victim
    dial connection
    tell "$connection" NOOP
    told "$connection" OK
    child=$(children)
    [ "$(status_field "${child% }" Uid)" = $'4243\t4243\t4243\t4243' ]
    exec {connection}>&-
    stop_server
}

@test "no user is missing where there is only no descriptor to look" {
    local limit found=
    [ "$EUID" -eq 0 ] || skip "only root becomes another user"
    for limit in 4 5 6 7 8; do
        run bash -c "exec prlimit --nofile=$limit $SHMAIL_BUILD/shmaild -i -e </dev/null 3>&- 4>&-"
        refute_output --partial "there is no user"
        [[ $output != *"cannot look up user shmail, who is to serve connections, in /etc/passwd: Too many"* ]] ||
            found=$limit
    done
    [ -n "$found" ]
}

@test "a part of the sandbox that is left out for want of descriptors is named with that reason" {
    local limit found=
    echo NOOP >request
    run bash -c "$SHMAIL_BUILD/shmaild -i -e -v --run-as-root <request"
    [[ $output != *"no Landlock"* ]] || skip "no Landlock here"
    for limit in 4 5 6 7 8 9 10; do
        run bash -c "exec prlimit --nofile=$limit $SHMAIL_BUILD/shmaild -i -e -v --run-as-root <request 3>&- 4>&-"
        refute_output --partial "kernel"
        [[ $output != *"no Landlock (Too many open files)"* ]] || found=$limit
    done
    [ -n "$found" ]
}
