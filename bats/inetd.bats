# inetd.bats: shmaild -i, which serves what its standard input is: pipes, files, a socket or a terminal.
# shellcheck shell=bash
# shellcheck disable=SC2154 # output and stderr are run's

bats_require_minimum_version 1.5.0
load helper
load office

@test "how many connections there are at once has no effect on the one of -i" {
    run -0 shmaild -i -e -c 65536 --per-source 1 --spare 3 <<<NOOP
    assert_output OK
}

@test "-i serves pipes, makes the post office and finds it again" {
    local cookie
    cookie=$(echo "REGISTER alice secret" | shmaild -i --crypt-cost 1 -n "$SHMAIL_NAME")
    [[ $cookie == "OK "* ]]
    run --separate-stderr shmaild -i -n "$SHMAIL_NAME" <<<"COUNT alice ${cookie#OK }"
    [ "$output" = "COUNTED 0" ]
    [ -z "$stderr" ]
}

@test "-i serves files and closed descriptors" {
    printf 'NOOP\nQUIT\nNOOP\n' >requests
    shmaild -i -e <requests >replies
    [ "$(<replies)" = OK$'\n'OK ]
    shmaild -i -e -v <requests >replies 2>&-
    [ "$(<replies)" = OK$'\n'OK ]
    shmaild -i -e <&- >replies
    [ ! -s replies ]
}

@test "-i serves a socket, and no log line reaches it" {
    local command="$SHMAIL_BUILD/shmaild -i -v -n $SHMAIL_NAME"
    run timeout 20 socat -t 10 - "EXEC:$command,stderr" <<<$'NOOP\nDUMP\nQUIT'
    assert_output OK$'\n'OK$'\n'OK
    run --separate-stderr timeout 20 socat -t 10 - "EXEC:$command -t nonsense,stderr" </dev/null
    [ -z "$output" ]
}

# As systemd starts one for each connection (Accept=yes): the client's socket is descriptor 3, too.
@test "-i keeps nothing that is handed over to it, and the journal's keeper nothing of the client" {
    local reader requests replies
    mkfifo handed in out
    sh -c 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"' sh shmaild -i -n "$SHMAIL_NAME" -d journal <in >out 3>handed &
    exec {requests}>in {replies}<out {reader}<handed
    tell "$requests" NOOP
    told "$replies" OK
    run -1 read -r -t 5 -u "$reader" # its end, and no time-out
    hang_up "$requests" "$replies" "$reader"
    wait $!
}

@test "-i ends at TERM" {
    mkfifo in out
    shmaild -i -e <in >out 2>/dev/null 3>&- &
    exec {requests}>in {replies}<out
    tell "$requests" NOOP
    told "$replies" OK
    kill -TERM $!
    wait $!
    exec {requests}>&- {replies}<&-
}

@test "-i on a terminal that nobody reads ends in time, at TERM too, and loses nothing for who reads late" {
    command -v python3 >/dev/null || skip "no python3 here"
    run -0 timeout 60 python3 - "$SHMAIL_BUILD/shmaild" 3>&- <<'PYTHON'
import fcntl, os, pty, resource, signal, struct, subprocess, sys, termios, time
REPLIES = 600  # whose requests a terminal keeps, however long the server does not read

def unread(person):
    return struct.unpack("i", fcntl.ioctl(person, termios.FIONREAD, bytes(4)))[0]

def serve(*options):
    person, terminal = pty.openpty()
    modes = termios.tcgetattr(terminal)
    modes[3] &= ~termios.ECHO
    termios.tcsetattr(terminal, termios.TCSANOW, modes)
    server = subprocess.Popen([sys.argv[1], "-i", "-e", *options], stdin=terminal, stdout=terminal)
    os.write(person, b"HELP\n" * REPLIES)
    seen = 0
    while seen == 0 or seen < unread(person):  # until the terminal is full
        seen = unread(person)
        time.sleep(0.1)
    return server, person, terminal

server, *_ = serve("--write-timeout", "1")
assert server.wait(10) == 0
assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime < 0.5, "it waits by turning round"
server, *_ = serve()
server.send_signal(signal.SIGTERM)
assert server.wait(10) == 0
server, person, _ = serve()
came = b""
while came.count(b"\n") < REPLIES:
    came += os.read(person, 4096)
os.write(person, b"QUIT\n")
assert os.read(person, 100) == b"OK\r\n"
assert set(came.splitlines()) == {came.splitlines()[0]}
assert server.wait(10) == 0
PYTHON
}

@test "several -i at once, beside a server, lose no message" {
    local cookie i workers=()
    start_server --crypt-cost 1
    cookie=$(ask "REGISTER alice secret")
    cookie=${cookie#OK }
    for _ in {1..25}; do
        echo "SEND alice hello $cookie"
    done >requests
    for i in {1..8}; do
        shmaild -i -n "$SHMAIL_NAME" <requests >"replies.$i" 3>&- &
        workers+=($!)
    done
    wait "${workers[@]}"
    [ "$(sort -u replies.* | grep -c '^OK [1-9][0-9]*$')" -eq 200 ]
    run ask "COUNT alice $cookie"
    assert_output "COUNTED 200"
}

@test "a reply that standard output does not take is logged with the reason" {
    run bash -c "echo NOOP | $SHMAIL_BUILD/shmaild -i -e >/dev/full"
    assert_output --partial "warning: stdin: closed: a system call failed: No space left on device"
}

has_keeper() {
    ctl ps 2>/dev/null | grep -q '	keeper	alive	'
}

# Else it would take a slot, perhaps the last one, to see that there is one.
@test "-i starts a keeper where there is none, and nowhere else" {
    local -a traced=(strace -f -o trace -e trace=clone "$SHMAIL_BUILD/shmaild" -i -n "$SHMAIL_NAME" -d journal)
    strace -o /dev/null true 2>/dev/null || skip "strace is not installed, or may trace nobody here"
    run "${traced[@]}" <<<NOOP # until the keeper has gone
    assert_line OK
    run grep -c CHILD_SETTID trace
    assert_output 2 # it, and one in between
    start_server --crypt-cost 1 -d journal
    eventually has_keeper
    run "${traced[@]}" <<<NOOP
    assert_line OK
    run grep -c CHILD_SETTID trace
    assert_output 0
}

# It has seen that one, and waits before it takes a slot.
@test "-i starts a keeper where the one that it has found leaves before it sees it" {
    local process
    strace -o /dev/null true 2>/dev/null || skip "strace is not installed, or may trace nobody here"
    start_server --crypt-cost 1 -d journal
    eventually has_keeper
    mkfifo in out
    strace -f -o trace -e trace=fcntl -e inject=fcntl:delay_enter=1000000 \
        "$SHMAIL_BUILD/shmaild" -i -n "$SHMAIL_NAME" -d journal <in >out 2>log 3>&- &
    process=$!
    exec {requests}>in {replies}<out
    eventually grep -qs 'F_SETLK, {l_type=F_WRLCK' trace
    stop_server
    tell "$requests" NOOP
    told "$replies" OK
    eventually has_keeper
    hang_up "$requests" "$replies"
    wait "$process" || [[ $SHMAIL_BUILD == *sanitize ]] # which looks for leaks by the means that strace has taken
}

# As root it becomes another user, which would undo that.
@test "-i ends with who has started it, where that wants it so" {
    setpriv --pdeathsig KILL true || skip "no setpriv here that knows --pdeathsig"
    mkfifo in
    exec {requests}<>in
    tell "$requests" NOOP
    (
        setpriv --pdeathsig KILL shmaild -i -e <in >out 3>&- {requests}>&- &
        echo $! >process
        eventually grep -q OK out
    )
    eventually has_gone "$(<process)"
    hang_up "$requests"
}

# He ends while the user is being changed, from where on the system does not tell any more.
@test "so it does where he ends in that moment" {
    local held
    setpriv --pdeathsig KILL true || skip "no setpriv here that knows --pdeathsig"
    [ "$EUID" -eq 0 ] || skip "needs root, who becomes another user"
    [[ $SHMAIL_BUILD != *sanitize ]] || skip "built with sanitizers, and so without a sandbox"
    mkfifo in
    exec {held}<>in
    (
        setpriv --pdeathsig KILL strace -D -o trace -e trace=setresuid -e inject=setresuid:delay_exit=2000000:when=3 \
            shmaild -i -e <in >out 2>&1 3>&- {held}>&- &
        echo $! >process
        eventually grep -c 'setresuid(65534, 65534, 65534\|setresuid([1-9][0-9]*, [1-9]' trace
    )
    eventually has_gone "$(<process)"
    hang_up "$held"
}

has_gone() { # pid
    ! kill -0 "$1" 2>/dev/null || [ "$(awk '{ print $3 }' "/proc/$1/stat")" = Z ]
}
