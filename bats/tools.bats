# tools.bats: shmailctl as scripts and operators meet it, beside what its verbs do.
# shellcheck shell=bash
# shellcheck disable=SC2030,SC2031 # each test is a process of its own
# shellcheck disable=SC2154 # output, stderr and lines are run's

bats_require_minimum_version 1.5.0
load helper

setup() {
    cd "$BATS_TEST_TMPDIR" || return 1
}

teardown() {
    local result=0
    stop_server || result=$?
    remove_segment
    return "$result"
}

ctl() {
    shmailctl -n "$SHMAIL_NAME" "$@"
}

# Its client's requests come through descriptor $client.
start_inetd() {
    mkfifo requests
    "$SHMAIL_BUILD/shmaild" -i -n "$SHMAIL_NAME" <requests >replies 2>/dev/null 3>&- &
    inetd=$!
    exec {client}>requests
    echo "REGISTER alice secret" >&"$client"
    eventually grep -q OK replies
}

@test "what is printed where output or errors are closed does not go into the post office" {
    local verb
    start_server --crypt-cost 1
    ask "REGISTER alice secret"
    for verb in stat ps check "account list"; do
        run -74 bash -c "shmailctl -n $SHMAIL_NAME $verb >&-"
    done
    run bash -c "shmailctl -n $SHMAIL_NAME account rm nobody 2>&-"
    assert_failure
    run bash -c "shmailctl -n $SHMAIL_NAME account add alice <<<secret 2>&- >&-"
    assert_failure
    run ctl check
    assert_success
    assert_output clean
}

@test "a long journal that cannot be printed is an error with a reason, or none that is wrong" {
    local text cookie
    start_server --crypt-cost 1 -d journal
    cookie=$(ask "REGISTER alice secret" | cut -d' ' -f2)
    text=$(printf '%9000s' "" | tr ' ' x)
    for _ in 1 2 3 4 5 6; do ask "SEND alice $text $cookie"; done
    run -74 bash -c "shmailctl -d journal journal --texts >/dev/full"
    assert_output --regexp "cannot write: (No space left on device|something is missing)"
    run -74 bash -c "shmailctl -d journal journal --texts >&-"
    assert_output --regexp "cannot write: (Bad file descriptor|something is missing)"
}

@test "help and version that cannot be printed are an error" {
    local option program
    for option in --help --version; do
        run -74 bash -c "shmailctl $option >/dev/full"
        assert_output --partial "cannot write"
        run -74 bash -c "shmail-bench $option >/dev/full"
        assert_output --partial "cannot write"
        run -74 bash -c "$SHMAIL_BUILD/shmaild $option >/dev/full"
        assert_output --partial "cannot write"
        run -74 bash -c "$SHMAIL_BUILD/shmaild $option >&-"
        assert_output --partial "cannot write"
        run -74 bash -c "shmail $option >/dev/full"
        assert_output "shmail: standard output: No space left on device"
        run -74 bash -c "shmail $option >&-"
        assert_output "shmail: standard output: Bad file descriptor"
        for program in shmailctl shmail-bench shmaild shmail; do
            run -74 bash -c "ulimit -f 0; $SHMAIL_BUILD/$program $option >file"
            assert_output --partial "File too large"
        done
    done
}

@test "a wrong option is named, with where to look" {
    local wrong
    for wrong in -x --frob --help=1 --version=x; do
        run -64 shmailctl "$wrong"
        assert_output "shmailctl: there is no option $wrong; see 'shmailctl --help'"
    done
    run -64 shmailctl -n main -xy stat
    assert_output "shmailctl: there is no option -x; see 'shmailctl --help'"
    run -64 shmailctl -n
    assert_output "shmailctl: a value is missing behind -n; see 'shmailctl --help'"
}

@test "a wrong word acts on no terminal" {
    run -64 shmailctl $'sta\e[31mt'
    assert_output "shmailctl: there is no verb sta\x1b[31mt; see 'shmailctl --help'"
}

@test "what a client has named itself by acts on no terminal" {
    local name cookie
    name=$'a\u009b31m\u2028\u202e@x.y'
    start_server --crypt-cost 1
    cookie=$(ask "REGISTER alice secret" | cut -d' ' -f2)
    coproc SESSION { shmail -P message "$HOST" "$PORT" 3>&-; }
    printf '%s\n' "entry $name" "send alice@mail.localhost subject text" "wait 1 20" >&"${SESSION[1]}"
    eventually has_mail
    run ctl ps
    assert_output --partial 'a\xc2\x9b31m\xe2\x80\xa8\xe2\x80\xae@x.y'
    run ask "LIST alice $cookie"
    assert_line --index 1 --regexp $'^1 [0-9]+ [0-9]+ a\\?31m\\?\u202e@x\\.y subject$'
    echo quit >&"${SESSION[1]}"
}

has_mail() {
    [ "$(ask "COUNT alice $cookie")" = "COUNTED 1" ]
}

@test "a server of another name space of processes is one all the same" {
    unshare -rpf true 2>/dev/null || skip "no name space may be made here"
    start_server --crypt-cost 1
    run ctl stat
    assert_line "server"$'\t'"process $SHMAIL_PID"
    run unshare -rpf shmailctl -n "$SHMAIL_NAME" stat
    assert_line "server"$'\t'"a process of another name space"
    run -69 unshare -rpf shmailctl rm "$SHMAIL_NAME"
    assert_output "shmailctl: a process serves post office $SHMAIL_NAME: end it first"
}

@test "a check that finds no memory says so" {
    [[ $SHMAIL_BUILD != *sanitize ]] || skip "a sanitizer does not start with so little"
    start_server --crypt-cost 1 --slots 65536
    run -75 bash -c "ulimit -d 3000; shmailctl -n $SHMAIL_NAME check"
    assert_output --partial "no memory"
}

# Of a post office that somebody has scribbled over a path may be anything.
@test "what is refused is said in a way that does nothing to a terminal" {
    run -69 shmailctl -d $'no\e[2J' check
    assert_output --partial 'journal directory no\x1b[2J: it cannot be opened'
    start_server --crypt-cost 1 -d journal
    "$SHMAIL_BUILD/tests/tool_scribble" "$SHMAIL_NAME" directory
    run -69 ctl account list
    assert_output --partial 'had its journal in \x1b[2J'
}

@test "rm removes no post office that somebody is in" {
    start_inetd
    run -69 shmailctl rm "$SHMAIL_NAME"
    assert_output "shmailctl: process $inetd is attached to post office $SHMAIL_NAME: end it first"
    exec {client}>&-
    wait "$inetd"
    shmailctl rm "$SHMAIL_NAME"
    run -69 ctl stat
}

# What the terminal of `shmailctl account add` shows, and what is left of its echo, when a signal comes at the
# prompt: INT and QUIT are typed, the others sent. TSTP stops nobody whose shell is not there: it asks again.
@test "a signal at the prompt of a password leaves the terminal with its echo" {
    local signal
    start_server --crypt-cost 1
    for signal in INT QUIT TERM HUP TSTP; do
        run -0 timeout 20 python3 - "$signal" "$SHMAIL_BUILD/shmailctl" -n "$SHMAIL_NAME" account add alice <<'END'
import os, pty, signal, sys, termios

number = getattr(signal, "SIG" + sys.argv[1])
process, terminal = pty.fork()
if process == 0:
    os.execv(sys.argv[2], sys.argv[2:])
def see(words):
    seen = b""
    while not seen.endswith(words):
        seen += os.read(terminal, 1)
def echoes():
    return bool(termios.tcgetattr(terminal)[3] & termios.ECHO)
see(b"Password: ")
assert not echoes()
os.write(terminal, {signal.SIGINT: b"\3", signal.SIGQUIT: b"\x1c"}.get(number, b""))
if number not in (signal.SIGINT, signal.SIGQUIT):
    os.kill(process, number)
if number == signal.SIGTSTP:
    see(b"Password: ")
    assert not echoes()
    os.write(terminal, b"secret\n")
    see(b"Again: ")
    os.write(terminal, b"secret\n")
    assert os.waitpid(process, 0)[1] == 0
else:
    status = os.waitpid(process, 0)[1]
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == number, status
assert echoes()
END
    done
    run ask "LOGIN alice secret"
    assert_output --partial "OK "
}

@test "the rest of a password that is too long is no line for the shell" {
    start_server --crypt-cost 1
    run -0 timeout 20 python3 - "$SHMAIL_BUILD/shmailctl" -n "$SHMAIL_NAME" account add alice <<'END'
import os, pty, sys

process, terminal = pty.fork()
if process == 0:
    os.execvp("sh", ["sh", "-c", '"$@"; read -r line; echo "read: <$line>"', "sh", *sys.argv[1:]])
seen = b""
def see(words):
    global seen
    while words not in seen:
        seen += os.read(terminal, 1)
see(b"Password: ")
os.write(terminal, b"x" * 257 + b"secret\n")
see(b"space, CR or NUL\r\n")
os.write(terminal, b"next\n")
see(b"read: <")
see(b">")
assert b"read: <next>" in seen, seen
END
}

@test "a password's line that ends with CR LF is told what it must not hold" {
    start_server --crypt-cost 1
    run -65 ctl account add alice <<<$'hidden\r'
    assert_output "shmailctl: a password is a line of 1 to 256 bytes without space, CR or NUL"
    run -65 ctl account add bob </
    assert_line --index 0 "shmailctl: standard input: Is a directory"
}

@test "a domain that can be none is no domain for an account either" {
    local domain
    start_server --crypt-cost 1
    for domain in "" "not ok" localhost "$(printf '%0190d.org' 0)"; do
        run -64 ctl -D "$domain" account add alice@mail.org <<<hidden
    done
    run ctl account list
    assert_output $'ACCOUNT\tENTRY\tMESSAGES'
    ctl -D mail.org account add alice@mail.org <<<hidden
    run ctl account list
    assert_line $'alice\tpassword\t0'
}

@test "rm says why it cannot, and that there is none only where there is none" {
    local as=()
    run -69 shmailctl rm "$SHMAIL_NAME"
    assert_output "shmailctl: there is no post office $SHMAIL_NAME"
    run -64 shmailctl rm a/b
    assert_output "shmailctl: the name of a post office is 1 to 128 of A-Z a-z 0-9 _ . - and starts without a dot"
    # root may do everything unless it is told not to
    [ "$EUID" -ne 0 ] || as=(setpriv "--bounding-set=-dac_override,-dac_read_search")
    start_inetd
    exec {client}>&-
    wait "$inetd"
    chmod 0 "/dev/shm/shmail-$SHMAIL_NAME"
    run -69 "${as[@]}" shmailctl rm "$SHMAIL_NAME"
    assert_output "shmailctl: cannot open the shared memory of post office $SHMAIL_NAME: Permission denied"
}

@test "no object that anybody has made keeps a repair waiting" {
    start_server --crypt-cost 1 -d journal
    ask "REGISTER alice secret"
    stop_server
    mkfifo -m 666 "/dev/shm/shmail-$SHMAIL_NAME-fifo"
    run timeout 10 shmailctl -d journal repair
    assert_success
}

@test "a post office on which inetd starts a process is neither removed nor repaired meanwhile" {
    local process
    strace -o /dev/null true 2>/dev/null || skip "strace is not installed, or may trace nobody here"
    [[ $SHMAIL_BUILD != *sanitize ]] || skip "a sanitizer has no sandbox to be slow in"
    start_inetd
    exec {client}>&-
    wait "$inetd"
    # After it has opened the post office, and before it attaches.
    strace -f -o trace -e trace=memfd_create,mkdir -e inject=mkdir:delay_enter=1000000 \
        "$SHMAIL_BUILD/shmaild" -i -n "$SHMAIL_NAME" <<<"REGISTER bob secret" >replies 2>log 3>&- &
    process=$!
    eventually grep -qs mkdir trace
    run -69 shmailctl rm "$SHMAIL_NAME"
    assert_output --regexp "process [0-9]+ is attached to post office $SHMAIL_NAME: end it first"
    run -69 shmailctl -n "$SHMAIL_NAME" repair
    assert_output --regexp "process [0-9]+ is attached to post office $SHMAIL_NAME: end it first"
    wait "$process"
    run ctl account list
    assert_line --partial bob
}

@test "the highest cost of a hash has its memory, however short messages are" {
    [[ $SHMAIL_BUILD != *sanitize ]] || skip "a sanitizer maps terabytes"
    run shmaild -i -n "$SHMAIL_NAME" --crypt-cost 11 -m 1000 <<<"REGISTER alice secret"
    assert_output --partial "OK "
}

@test "who serves one connection bounds his memory as the children of a server do" {
    [[ $SHMAIL_BUILD != *sanitize ]] || skip "a sanitizer maps terabytes"
    start_inetd
    run grep "Max data size" "/proc/$inetd/limits"
    refute_output --partial unlimited
    exec {client}>&-
    wait "$inetd"
}

@test "a fault of a verb is said, and makes the post office suspect until it is checked" {
    local signal tool status
    [[ $SHMAIL_BUILD != *sanitize ]] || skip "a sanitizer handles faults itself"
    shmaild -i -n "$SHMAIL_NAME" --crypt-cost 1 <<<"REGISTER alice secret"
    mkfifo password
    for signal in SEGV BUS ABRT; do
        shmailctl -n "$SHMAIL_NAME" account add bob <password 2>said 3>&- &
        tool=$!
        exec {password}>password
        eventually is_at_work "$tool"
        kill "-$signal" "$tool"
        status=0
        wait "$tool" || status=$?
        [ "$status" -eq 65 ]
        run -0 cat said
        assert_output "shmailctl: post office $SHMAIL_NAME cannot be read to the end, so it seems to be damaged: 'shmailctl -n $SHMAIL_NAME check' may tell more, and 'shmailctl -n $SHMAIL_NAME repair' keeps what is sound"
        exec {password}>&-
        run -69 ctl account list
        assert_output "shmailctl: post office $SHMAIL_NAME may be damaged: have it proved sound with 'shmailctl -n $SHMAIL_NAME check' first"
        run -0 ctl check
        assert_output clean
        run -0 ctl account list
        refute_output --partial bob
    done
}

# It has a slot, and waits for a line.
is_at_work() {
    ctl ps | grep -q "^[0-9]*"$'\t'"$1"$'\t'
}

@test "accounts that were scribbled on are no crash" {
    [[ $SHMAIL_BUILD != *sanitize ]] || skip "a sanitizer handles faults itself"
    shmaild -i -n "$SHMAIL_NAME" --crypt-cost 1 --accounts 100 --slots 8 --segment-size 4M <<<"REGISTER alice secret"
    # The table of accounts: each reference leads to nowhere.
    tr '\0' '\377' </dev/zero | dd of="/dev/shm/shmail-$SHMAIL_NAME" bs=4K seek=128 count=1 conv=notrunc \
        iflag=fullblock status=none
    run -65 ctl account list
    assert_line --partial "seems to be damaged"
    run -1 ctl check
    assert_line --partial "finding: "
}
