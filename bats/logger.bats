# A logger of the system (--syslog) that is stuck or started again, and HUP, which has the log opened again.
# shellcheck shell=bash

bats_require_minimum_version 1.5.0
load helper

setup() {
    cd "$BATS_TEST_TMPDIR" || return 1
}

# Runs what is on standard input with a server that logs to a system's logger in a /dev of its own: server, logger
# (the socket), begin_logger(), ask(), ask_at_once() and named(), its children of that name.
with_logger() { # options of the server
    command -v python3 >/dev/null || skip "no python3 here"
    unshare -m mount -t tmpfs none /mnt 2>/dev/null || skip "no file systems can be mounted here"
    mkdir dev
    { cat - <(sed 's/^/    /') <<'PYTHON'; echo $'finally:\n    server.kill()'; } >logger.py
import os, re, signal, socket, subprocess, sys, time

def begin_logger(kind=socket.SOCK_DGRAM):
    logger = socket.socket(socket.AF_UNIX, kind)
    logger.bind("/dev/log")
    os.chmod("/dev/log", 0o666)
    logger.settimeout(5)
    return logger

def end_logger():
    logger.close()
    os.unlink("/dev/log")

def ask_at_once(count):
    connections = [socket.create_connection(("127.0.0.1", port), 5) for _ in range(count)]
    for connection in connections:
        connection.sendall(b"NOOP\n")
    for connection in connections:
        assert connection.recv(10) == b"OK\n"
        connection.close()

def ask():
    ask_at_once(1)

def await_line(part):
    line = b""
    while part not in line:
        line = logger.recv(1000)
    return line

def name_of(pid):
    try:
        return open(f"/proc/{pid}/comm").read().strip()
    except OSError:
        return ""  # it has ended

def named(name):
    pids = open(f"/proc/{server.pid}/task/{server.pid}/children").read().split()
    return [pid for pid in pids if name_of(pid) == name]

def replace_logger():
    global logger
    end_logger()
    logger = begin_logger()
    os.kill(server.pid, signal.SIGHUP)
    await_line(b"HUP: the log was opened again")

logger = begin_logger()
server = subprocess.Popen([sys.argv[1], "-e", "-1", "-l", "inet:127.0.0.1:0", "--syslog", "-v", *sys.argv[2:]],
                          stdout=subprocess.PIPE)
port = int(server.stdout.readline().decode().rsplit(":", 1)[1])
try:
PYTHON
    # shellcheck disable=SC2016
    run -0 timeout 60 unshare -m sh -c 'mount -t tmpfs none dev && mkdir dev/shm &&
        cp -a /dev/null /dev/urandom dev && mount --bind dev /dev && exec python3 logger.py "$@"' \
        sh "$SHMAIL_BUILD/shmaild" "$@" 3>&-
}

@test "a logger of the system that is stuck holds up no reply and no end" {
    with_logger <<'PYTHON'
for _ in range(int(open("/proc/sys/net/unix/max_dgram_qlen").read()) + 1):  # two lines each
    ask()
await_line(b": connected")
os.kill(server.pid, signal.SIGTERM)
assert server.wait(5) == 0
PYTHON
}

@test "a logger of the system that is stuck holds up none of many who log at once" {
    with_logger <<'PYTHON'
logger.setblocking(False)
for _ in range(12):
    try:
        while logger.recv(1000):  # room, for which all race
            pass
    except BlockingIOError:
        pass
    ask_at_once(24)
begin = time.monotonic()
os.kill(server.pid, signal.SIGTERM)
assert server.wait(10) == 0
assert time.monotonic() - begin < 3  # nobody had to be killed
PYTHON
}

@test "a logger of the system with a stream is given lines that end in NUL, and holds up nothing when it is stuck" {
    with_logger <<'PYTHON'
end_logger()
logger = begin_logger(socket.SOCK_STREAM)
logger.listen(0)
os.kill(server.pid, signal.SIGHUP)
stream = logger.accept()[0]
stream.settimeout(5)
ask()
text = b""
while not text.endswith(b"closed: the peer closed\0"):
    text += stream.recv(1000)
for line in text[:-1].split(b"\0"):
    assert re.fullmatch(rb"<2[23]>[A-Z][a-z]{2} [ 0-9]{2} \S{8} shmaild\[[0-9]+\]: [ -~]*", line), line
for _ in range(12):
    ask_at_once(24)
for _ in range(4):  # each would be another that is never accepted
    os.kill(server.pid, signal.SIGHUP)
    ask()
    time.sleep(0.06)  # so that it is not one with the next
os.kill(server.pid, signal.SIGTERM)
assert server.wait(3) == 0
PYTHON
}

@test "HUP: a logger of the system that may not be opened again stays, and is told why" {
    [[ $SHMAIL_BUILD != *sanitize ]] || skip "built with sanitizers root keeps its rights, and may open it"
    with_logger <<'PYTHON'
os.chmod("/dev/log", 0o600)
os.chown("/dev/log", 104, 104)  # root gives up its right to what is another's
os.kill(server.pid, signal.SIGHUP)
assert await_line(b"HUP").endswith(b"cannot be opened again, and stays what it was: Permission denied")
ask()
await_line(b": connected")
os.chmod("/dev/log", 0o666)
os.kill(server.pid, signal.SIGHUP)
await_line(b"HUP: the log was opened again")
ask()
await_line(b": connected")
PYTHON
}

@test "HUP: a logger of the system that is not there yet is opened when it is" {
    with_logger <<'PYTHON'
await_line(b"listening")
end_logger()
os.kill(server.pid, signal.SIGHUP)
for _ in range(2):  # the parent has seen to it when it serves another
    ask()
logger = begin_logger()
await_line(b"HUP: the log was opened again")
ask()
await_line(b": connected")
PYTHON
}

@test "HUP: a logger of the system that was started again gets the lines of who connects then" {
    with_logger <<'PYTHON'
ask()
replace_logger()
ask()
await_line(b": connected")
PYTHON
}

@test "HUP: one that comes right after another is heard, too" {
    with_logger <<'PYTHON'
for _ in range(5):
    replace_logger()
ask()
await_line(b": connected")
PYTHON
}

@test "HUP: however many come, the log is opened again twenty times a second at most" {
    with_logger <<'PYTHON'
opened = 0
logger.settimeout(0.003)  # its queue is short
began = time.monotonic()
while time.monotonic() < began + 1:
    os.kill(server.pid, signal.SIGHUP)
    try:
        opened += b"HUP: the log was opened again" in logger.recv(1000)
    except TimeoutError:
        pass
assert 2 <= opened <= 22, opened
PYTHON
}

@test "HUP: who comes to a spare that is woken too late is logged by the new logger, too" {
    with_logger --spare 2 <<'PYTHON'
while len(named("shmaild: spare")) < 2:
    pass
for spare in named("shmaild: spare"):
    os.kill(int(spare), signal.SIGSTOP)
end_logger()
logger = begin_logger()
client = socket.create_connection(("127.0.0.1", port), 10)
os.kill(server.pid, signal.SIGHUP)  # they go on with that, and with somebody to accept
await_line(b"HUP: the log was opened again")
await_line(b": connected")
PYTHON
}

@test "HUP: who is served by a process that was there before is logged by the new logger, too" {
    with_logger --spare 2 <<'PYTHON'
while len(named("shmaild: spare")) < 2:
    pass
replace_logger()
ask()
await_line(b": connected")
PYTHON
}

@test "HUP: a connection that comes at that moment goes on" {
    with_logger --spare 2 <<'PYTHON'
logger.settimeout(0)
for _ in range(150):
    os.kill(server.pid, signal.SIGHUP)
    connections = [socket.create_connection(("127.0.0.1", port), 5) for _ in range(2)]
    for connection in connections * 2:
        connection.sendall(b"NOOP\n")
        assert connection.recv(10) == b"OK\n"
    for connection in connections:
        connection.close()
PYTHON
}

ask_without_a_pause() { # option...
    with_logger "$@" <<'PYTHON'
import threading

done = threading.Event()
logger.settimeout(0)

def hang_up():
    while not done.wait(0.003):
        os.kill(server.pid, signal.SIGHUP)

def read_log():
    while not done.wait(0.001):
        try:
            while logger.recv(1000):
                pass
        except BlockingIOError:
            pass

others = [threading.Thread(target=each) for each in (hang_up, read_log)]
for each in others:
    each.start()
try:
    asked, end = 0, time.monotonic() + 20  # each maker is a wait where forks are dear
    while asked < 1500 and time.monotonic() < end:
        ask()
        asked += 1
    assert asked > 20, asked
finally:
    done.set()
    for each in others:
        each.join()
PYTHON
}

@test "HUP: nobody is cut off who comes without a pause meanwhile" {
    ask_without_a_pause
}

@test "HUP: nor are those who come to spares" {
    ask_without_a_pause --spare 4
}

@test "HUP: a connection that came before is served at once, and not complained about" {
    with_logger <<'PYTHON'
for _ in range(40):  # signals are let in every 16th time that somebody is there
    os.kill(server.pid, signal.SIGSTOP)
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        os.kill(server.pid, signal.SIGHUP)
        os.kill(server.pid, signal.SIGCONT)
        connection.sendall(b"NOOP\n")
        assert connection.recv(10) == b"OK\n"
    line = b""
    while not line.endswith(b"connected"):
        line = logger.recv(1000)
        assert b"connections wait" not in line
PYTHON
}

@test "HUP: a journal has another keeper before it could be missed" {
    with_logger -d journal <<'PYTHON'
def await_keeper(before):
    while named("shmaild: keeper") in ([], before):
        pass
    return named("shmaild: keeper")

keeper = await_keeper([])
begin = time.monotonic()
for _ in range(5):  # a second each where one is made only after a pause
    os.kill(server.pid, signal.SIGHUP)
    keeper = await_keeper(keeper)
assert time.monotonic() - begin < 4
PYTHON
}
