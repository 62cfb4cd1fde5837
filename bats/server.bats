# server.bats: shmaild as its operator meets it: options, addresses and sockets, and what a restart finds again.
# shellcheck shell=bash
# shellcheck disable=SC2030,SC2031 # each test is a process of its own
# shellcheck disable=SC2154 # output, stderr and lines are run's, log is setup's, connection is dial's

bats_require_minimum_version 1.5.0
load helper
load office

has_ipv6() {
    grep -q '^00000000000000000000000000000001 ' /proc/net/if_inet6 2>/dev/null
}

@test "-1 prints each bound address, and every one is served" {
    local bound
    has_ipv6 || skip "no IPv6 here"
    start_server -l inet:::1:0 -l "unix:$PWD/socket"
    mapfile -t bound <<<"$SHMAIL_BOUND"
    [[ ${bound[0]} =~ ^inet:127\.0\.0\.1:[1-9][0-9]*$ ]]
    [[ ${bound[1]} =~ ^inet:\[::1\]:[1-9][0-9]*$ ]]
    [ "${bound[2]}" = "unix:$PWD/socket" ]
    [ "${#bound[@]}" -eq 3 ]
    run ask NOOP
    assert_output OK
    run nc -N ::1 "${bound[1]##*:}" <<<NOOP
    assert_output OK
    run nc -N -U socket <<<NOOP
    assert_output OK
}

@test "-1 closes its output, so a command substitution ends while the server runs" {
    local bound
    bound=$("$SHMAIL_BUILD/shmaild" -e -1 127.0.0.1 0 2>/dev/null 3>&- & echo $! >pid)
    kill -0 "$(<pid)"
    HOST=127.0.0.1 PORT=${bound##*:}
    run ask NOOP
    assert_output OK
    kill "$(<pid)"
}

@test "HOST PORT and -l may be given together" {
    local bound
    bound=$("$SHMAIL_BUILD/shmaild" -e -1 -l unix:socket 127.0.0.1 0 2>/dev/null 3>&- & echo $! >pid)
    kill "$(<pid)"
    [[ $bound =~ ^unix:socket[[:space:]]inet:127\.0\.0\.1:[1-9][0-9]*$ ]]
}

@test "an address in use is an error that names it" {
    start_server -l unix:socket
    run -69 --separate-stderr shmaild -e "$HOST" "$PORT"
    [[ $stderr == *"$SHMAIL_SERVER"*"Address already in use"* ]]
    run -69 --separate-stderr shmaild -e -l unix:socket
    [[ $stderr == *"unix:socket"*"another server answers there"* ]]
    [ -S socket ]
}

@test "two servers on one post office is an error that names it" {
    start_server
    run -69 --separate-stderr shmaild -n "$SHMAIL_NAME" 127.0.0.1 0
    [[ $stderr == *"$SHMAIL_NAME"*"has a server already"* ]]
    run ask NOOP
    assert_output OK
}

@test "an inherited listener that is shut down is left out, and the last one ends the server" {
    command -v python3 >/dev/null || skip "no python3 here"
    local spares
    for spares in 0 3; do # which are then who finds out
        run -0 timeout 30 python3 - "$SHMAIL_BUILD/shmaild" "$log" "$spares" 3>&- <<'PYTHON'
import os, signal, socket, subprocess, sys, time

kept, broken = (socket.create_server(("127.0.0.1", 0)) for _ in range(2))

def hand_over():
    high = [os.dup2(listener.fileno(), 100 + i) for i, listener in enumerate((kept, broken))]
    for i, descriptor in enumerate(high):
        os.dup2(descriptor, 3 + i)
        os.close(descriptor)

server = subprocess.Popen(["sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh", sys.argv[1], "-e", "-1", "--spare", sys.argv[3]],
                          stdout=subprocess.PIPE, stderr=open(sys.argv[2], "w"), close_fds=False,
                          preexec_fn=hand_over, env=dict(os.environ, LISTEN_FDS="2"))

def ask():
    with socket.create_connection(kept.getsockname(), 5) as connection:
        connection.sendall(b"NOOP\n")
        assert connection.recv(3) == b"OK\n"

try:
    server.stdout.read()
    ask()
    broken.shutdown(socket.SHUT_RD)
    for _ in range(20):
        ask()
    logged = open(sys.argv[2]).read()
    assert logged.count("any more") == 1, logged
    time.sleep(0.3)
    server.send_signal(signal.SIGSTOP)  # the maker has left it out, too
    ask()
    server.send_signal(signal.SIGCONT)
    assert "cannot listen on inet:127.0.0.1:%d any more" % broken.getsockname()[1] in logged, logged
    served = socket.create_connection(kept.getsockname(), 5)
    served.sendall(b"NOOP\n")
    assert served.recv(3) == b"OK\n"
    kept.shutdown(socket.SHUT_RD)
    assert server.wait(5) == 69
    assert served.recv(1) == b""
    logged = open(sys.argv[2]).read()
    assert "cannot listen on inet:127.0.0.1:%d any more" % kept.getsockname()[1] in logged, logged
finally:
    server.kill()
PYTHON
    done
}

@test "a wrong option or value ends with 64 and one line that names it" {
    local wrong value
    for wrong in "-x" "--frob" "--help=1" "--version=x" "-n" "-n " "-n .a" "-n a/b" "-n $(printf '%065d' 0)" "-D" "-D local host" "-D nodot" \
        "-D a@b.c" "-D $(printf '%0200d' 0).c" "-t -1" "-t 1s" "-t " "-t 99999999999" "-m 0" "-m 1025M" "-m 10MB" \
        "-m 99999999999999999999" "-m K" "-c 0" "-c many" "-c 65537" "--proxy" "-l inet:127.0.0.1" "-l tcp:127.0.0.1:1" \
        "-l inet:127.0.0.1:65536" "-l unix:" "-l unix:$(printf '%0108d' 0)" "--crypt-cost 0" "--crypt-cost 12" \
        "--crypt-cost" "--accounts 0" "--slots 0" "--slots x" "--segment-size 1" "--segment-size 65G" "--sessions 0"; do
        if [[ $wrong == *" "* ]]; then value=${wrong#* }; else value=; fi
        run -64 --separate-stderr shmaild "${wrong%% *}" ${value:+"$value"}
        [ -z "$output" ]
        [ "${#stderr_lines[@]}" -eq 1 ]
        [[ $stderr == "shmaild: error: "*"${wrong% }"* ]]
    done
}

@test "the script of the manual page that needs no port and no sleep works as it is written" {
    sed -n '/^A server on any port in a script/,/^\.Ed/p' "$BATS_TEST_DIRNAME/../src/server/shmaild.8" |
        sed '/^[A.]/d' >script
    grep -q shmaild script
    run -0 timeout 20 sh -e script
    assert_output --regexp '^[A-Za-z0-9_-]{43}$'
    tail -n 1 log | grep -qx "shmaild: stopped"
}

@test "options that do not go together end with 64" {
    run -64 shmaild -i 127.0.0.1 0
    run -64 shmaild -i -l inet:127.0.0.1:0
    run -64 shmaild -i -1
    LISTEN_PID=1 LISTEN_FDS=1 run -64 timeout 5 shmaild -e --proxy 127.0.0.1 0 # to somebody else
    run -64 timeout 5 sh -c 'LISTEN_PID=$$ LISTEN_FDS=0 exec "$@"' sh shmaild -e --proxy 127.0.0.1 0
    run -64 shmaild -c 9 --slots 8 127.0.0.1 0
    run -64 shmaild -c 8 --slots 8 -d journal 127.0.0.1 0
    run -64 shmaild --slots 1 -d journal 127.0.0.1 0
    assert_output --partial "the keeper of a journal (-d) takes that one"
    run -64 shmaild 127.0.0.1
    run -64 shmaild 127.0.0.1 0 0
    run -64 shmaild 127.0.0.1 http
    run -64 shmaild "" 0
    [ ! -e "/dev/shm/shmail-$SHMAIL_NAME" ]
}

@test "the version and the help go to standard output" {
    local option
    for option in -V --version; do
        run -0 --separate-stderr shmaild "$option"
        [[ $output =~ ^shmaild\ [0-9]+\.[0-9]+\.[0-9]+$ ]]
    done
    for option in -h --help; do
        run -0 --separate-stderr shmaild "$option"
        [ "${lines[0]}" = "usage: shmaild [OPTIONS] [HOST PORT]" ]
        [ -z "$stderr" ]
    done
}

@test "-e leaves nothing behind, and begins empty" {
    start_server -e --crypt-cost 1
    run ask "REGISTER alice secret"
    assert_output --partial "OK "
    [ ! -e "/dev/shm/shmail-$SHMAIL_NAME" ]
    stop_server
    [ ! -e "/dev/shm/shmail-$SHMAIL_NAME" ]
    start_server -e
    run ask "LOGIN alice secret"
    assert_output KO
}

@test "a restarted server finds the accounts and sessions as they were" {
    local cookie
    start_server --crypt-cost 1
    cookie=$(ask "REGISTER alice secret")
    stop_server
    start_server
    run ask "COUNT alice ${cookie#OK }"
    assert_output "COUNTED 0"
}

@test "-m bounds a message" {
    local cookie
    start_server --crypt-cost 1 -m 10
    cookie=$(ask "REGISTER alice secret")
    run ask "MESSAGE 0123456789 ${cookie#OK }" "MESSAGE 0123456789a ${cookie#OK }"
    assert_output OK$'\n'KO
}

@test "an idle client is closed after -t seconds" {
    start_server -v -t 1
    dial connection
    run -1 read -r -t 10 -u "$connection"
    eventually grep -q "idle for too long" "$log"
    exec {connection}>&-
}

@test "connections are logged with -v only" {
    start_server
    ask NOOP >/dev/null
    stop_server
    run grep -c 'connected$' "$log"
    assert_output 0
    start_server -v
    ask NOOP >/dev/null
    eventually grep -q '127\.0\.0\.1:[0-9]*: connected$' "$log"
}

@test "a socket that a killed server has left is replaced, and removed at the end" {
    start_server -l unix:socket
    kill_server
    [ -S socket ]
    start_server -l unix:socket
    run nc -N -U socket <<<NOOP
    assert_output OK
    stop_server
    [ ! -e socket ]
}

@test "a path that is no socket of ours is left alone" {
    echo precious >file
    run -69 --separate-stderr shmaild -e -l unix:file
    [[ $stderr == *"unix:file"*"is no socket"* ]]
    [ "$(<file)" = precious ]
    start_server -l unix:socket
    rm socket
    echo precious >socket
    stop_server
    [ "$(<socket)" = precious ]
}

@test "root's server refuses a journal that it could not open again to rebuild the post office" {
    [[ $SHMAIL_BUILD != *sanitize ]] || skip "built with sanitizers, and so without a sandbox"
    [ "$EUID" -eq 0 ] || skip "needs root, who gives up its rights over files"
    install -d -o nobody -m 700 theirs
    install -d -m 700 theirs/journal
    run -77 --separate-stderr timeout 5 shmaild -n "$SHMAIL_NAME" -d theirs/journal -l unix:socket
    [[ $stderr == *"error: journal directory theirs/journal: "*"Permission denied" ]]
    [ ! -e socket ]
    chmod 711 theirs
    start_server -d theirs/journal
}

@test "another user's server takes a journal that is there, in a directory where nothing can be made" {
    local as
    [ "$EUID" -eq 0 ] || skip "needs root, to be another user"
    [[ $SHMAIL_BUILD != *coverage ]] || skip "built to count, in a file that another user cannot write"
    as=(setpriv --reuid 65534 --regid 65534 --clear-groups)
    install -d -o nobody -m 700 journal
    chmod 711 .
    run -0 "${as[@]}" shmaild -i -n "$SHMAIL_NAME" -d journal </dev/null
    chmod 500 journal
    run -124 --separate-stderr timeout 2 "${as[@]}" shmaild -n "$SHMAIL_NAME" -d journal -l inet:127.0.0.1:0
    [[ $stderr == *"listening on "* ]]
}

@test "root's server serves whatever its umask takes" {
    umask 0777
    start_server
    run ask NOOP
    assert_output OK
}

@test "a server is root, too, where only what starts it by the set-user-ID bit is another user" {
    [[ $SHMAIL_BUILD != *sanitize ]] || skip "built with sanitizers, and so without a sandbox"
    [ "$EUID" -eq 0 ] || skip "needs root, to be another user"
    install -d -m 700 journal
    run -124 --separate-stderr timeout 2 setpriv --ruid 65534 --rgid 65534 --clear-groups \
        shmaild -n "$SHMAIL_NAME" -d journal -l unix:socket
    [[ $stderr == *"listening on unix:socket"* ]]
}

@test "a listening socket is taken from the service manager" {
    command -v python3 >/dev/null || skip "no python3 here"
    python3 - "$SHMAIL_BUILD/shmaild" >bound 2>"$log" 3>&- <<'PYTHON' &
import os, socket, sys
listener = socket.create_server(("127.0.0.1", 0))
os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.argv[1], [sys.argv[1], "-e", "-1"])
PYTHON
    eventually [ -s bound ]
    HOST=127.0.0.1 PORT=$(sed 's/.*://' bound)
    run ask NOOP
    assert_output OK
    kill $!
    wait $!
    [ "$(wc -l <bound)" -eq 1 ]
}

@test "the manual page has the range of every option that is a number" {
    local page option most
    page=$(mandoc -T utf8 "$BATS_TEST_DIRNAME/../src/server/shmaild.8" | col -b | tr -d ,)
    for option in -c -t --accounts --slots --sessions --crypt-cost --per-source --spare --cookie-idle --cookie-age \
        --quota-messages --registrations --entries --request-timeout --write-timeout --session-timeout; do
        run shmaild $option 99999999999999
        assert_failure 64
        most=$(sed -n 's/.* to \([0-9]*\) .*/\1/p' <<<"$output")
        grep -qw "$most" <<<"$page" || fail "$option: no $most"
    done
}
