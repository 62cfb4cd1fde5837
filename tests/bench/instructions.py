#!/usr/bin/env python3
"""instructions.py: counts the instructions that one request of each verb takes: instructions.py BUILD [VERB...]

For each verb a post office is made and set up, and then a script of N requests is served under callgrind by
shmaild -i, and on an equal post office one of 2N: the difference divided by N is one request, without the
start. Instructions of the processor's own kernel are not in it, nor those of libcrypt, whose cost is an
option. The C library is told to use the routines that every processor of the kind has, so that the figure
follows the code and the compiler only. The sandbox is off, as valgrind would break it; it costs
a request no instruction. Prints a table that compare_instructions.py compares; exit status 75:
such a build is not worth counting."""

import concurrent.futures
import os
import pathlib
import platform
import re
import struct
import subprocess
import sys
import tempfile

INCOMPARABLE = 75
MANY = 200     # requests, and as many more
HASHES = 6     # of those that hash a password
LISTED = 10    # messages in a mailbox that is listed
TEXT = "x" * 100
PLAIN_ROUTINES = "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX2,-AVX,-ERMS,-BMI2,-SSE4_2"


def line(*words):
    return (" ".join(words) + "\n").encode()


def frame(kind, body):
    return struct.pack("!iI", kind, len(body)) + body.encode()


class Office:
    """One post office, served by a shmaild -i for each script. Removed at the end."""

    def __init__(self, build, name, directory):
        self.build, self.name, self.directory = build, name, directory

    def __enter__(self):
        self.cookie = self.serve(line("REGISTER", "alice", "secret")).split()[1].decode()
        return self

    def __exit__(self, *exception):
        subprocess.run([self.build / "shmailctl", "rm", self.name], check=True)

    def serve(self, script, counts=None):
        """Serves the script and returns the replies; under callgrind, into the file counts, if that is given."""
        command = [self.build / "shmaild", "-i", "-n", self.name, "--crypt-cost", "1", "--accounts", "4096",
                   "--segment-size", "256M", "--no-sandbox"]
        if os.geteuid() == 0:  # valgrind writes its file at the end
            command.append("--run-as-root")
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "UTC0"}
        if counts is not None:
            command = ["valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={counts}", *command]
            environment["GLIBC_TUNABLES"] = PLAIN_ROUTINES
        path = self.directory / "script"
        path.write_bytes(script)
        with path.open("rb") as requests:
            return subprocess.run(command, stdin=requests, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                  env=environment, check=True).stdout


# ---- the verbs: what comes before, and the request number i of those that are counted ----

def no_setup(_office, _count):
    pass


def sent(office, count):
    office.serve(line("SEND", "alice", TEXT, office.cookie) * count)


def listed(office, _count):
    sent(office, LISTED)


def entered(script):
    return frame(0, '{"name": "alice@mail.localhost", "password": "secret"}') + script


def queued(office, count):
    office.serve(line("MESSAGE", TEXT, office.cookie) * count)


def registered(office, count):
    replies = office.serve(b"".join(line("REGISTER", f"user{i}", "secret") for i in range(count)))
    office.cookies = [reply.split()[1].decode() for reply in replies.splitlines()]


def own(verb, *words):
    """A verb on alice's own mailbox."""
    return lambda office, i: line(verb, "alice", *words, office.cookie)


MESSAGE_SEND = '{"to": "alice@mail.localhost", "header": "some words", "text": "%s"}' % TEXT

SMSP = {
    # verb: (requests, set-up, request i)
    "REGISTER": (HASHES, no_setup, lambda office, i: line("REGISTER", f"user{i}", "secret")),
    "LOGIN": (HASHES, no_setup, lambda office, i: line("LOGIN", "alice", "secret")),
    "LOGOUT": (HASHES, registered, lambda office, i: line("LOGOUT", office.cookies[i])),
    "MESSAGE": (MANY, no_setup, lambda office, i: line("MESSAGE", TEXT, office.cookie)),
    "STORE": (MANY, queued, own("STORE")),
    "COUNT": (MANY, no_setup, own("COUNT")),
    "GETMSG": (MANY, listed, own("GETMSG")),
    "DELMSG": (MANY, sent, own("DELMSG")),
    "DUMP": (MANY, listed, lambda office, i: line("DUMP")),
    "WHY": (MANY, no_setup, lambda office, i: line("WHY")),
    "SEND": (MANY, no_setup, own("SEND", TEXT)),
    "LIST": (MANY, listed, own("LIST")),
    "FETCH": (MANY, listed, own("FETCH", "1")),
    "REMOVE": (MANY, sent, lambda office, i: line("REMOVE", "alice", str(i + 1), office.cookie)),
    "WAIT": (MANY, listed, own("WAIT", "1", "1")),
    "PASSWD": (HASHES, no_setup, lambda office, i: line("PASSWD", "alice", "secret", "secret")),
    "UNREGISTER": (HASHES, registered, lambda office, i: line("UNREGISTER", f"user{i}", "secret")),
    "HELP": (MANY, no_setup, lambda office, i: line("HELP")),
    "NOOP": (MANY, no_setup, lambda office, i: line("NOOP")),
}

MESSAGE = {
    "entry": (MANY, no_setup, lambda office, i: frame(0, '{"name": "test%d@mail.ru"}' % i)),
    "send": (MANY, no_setup, lambda office, i: frame(1, MESSAGE_SEND)),
    "mailbox": (MANY, listed, lambda office, i: frame(2, "null")),
    "open": (MANY, listed, lambda office, i: frame(3, '{"index": "1"}')),
    "del": (MANY, sent, lambda office, i: frame(4, '{"index": "%d"}' % (i + 1))),
    "wait": (MANY, listed, lambda office, i: frame(6, '{"count": 1, "timeout": 1}')),
}


# ---- counting ----

def instructions(counts):
    """The instructions in a file of callgrind's, without those of libcrypt. Calls repeat what the callee has."""
    objects, total, current, repeated = {}, 0, "", False
    for text in counts.read_text().splitlines():
        name = re.fullmatch(r"(c?)ob=(\(\d+\))(?: (.*))?", text) # the path stands where it is first named
        if name:
            path = objects.setdefault(name[2], name[3])
            current = current if name[1] else path
        elif text.startswith("calls="):
            repeated = True
        elif re.match(r"[-+*0-9]", text):
            if not repeated and "libcrypt" not in current:
                total += int(text.split()[1])
            repeated = False
    return total


def check_replies(verb, script_count, replies):
    refused = replies.count(b"\xff\xff\xff\xfe") if verb in MESSAGE else len(re.findall(rb"(?m)^KO", replies))
    if refused or len(replies) < script_count:
        raise RuntimeError(f"{verb}: refused: {replies[-200:]!r}")


def count_script(build, directory, verb, times):
    requests, setup, request = {**SMSP, **MESSAGE}[verb]
    with Office(build, f"instructions-{os.getpid()}-{verb}-{times}", directory) as office:
        setup(office, 2 * requests)
        script = b"".join(request(office, i) for i in range(times * requests))
        if verb in MESSAGE:
            script = entered(script)
        counts = directory / "counts"
        check_replies(verb, times * requests, office.serve(script, counts))
        return instructions(counts)


def count_request(build, verb):
    with tempfile.TemporaryDirectory() as directory:
        once, twice = (count_script(build, pathlib.Path(directory), verb, times) for times in (1, 2))
    return (twice - once) / {**SMSP, **MESSAGE}[verb][0]


def made_by(build):
    """What the figures depend on beside our code."""
    flags = (build / "flags").read_text().split()
    compiler = subprocess.run([flags[0], "--version"], capture_output=True, text=True, check=True).stdout
    valgrind = subprocess.run(["valgrind", "--version"], capture_output=True, text=True, check=True).stdout
    options = dict.fromkeys(flag for flag in flags if re.match(r"-(O|f(?!file-prefix-map)|m)|-U_FORTIFY|-D_FORTIFY", flag))
    return {
        "set of options": " ".join(options),
        "compiler": compiler.splitlines()[0],
        "library": " ".join(platform.libc_ver()),
        "valgrind": valgrind.strip(),
        "processor": platform.machine(),
    }


def main():
    if len(sys.argv) < 2:
        sys.exit("usage: instructions.py BUILD [VERB...]")
    build = pathlib.Path(sys.argv[1]).resolve()
    if re.search(r"-fsanitize|--coverage", (build / "flags").read_text()):
        print("these programs are built to watch themselves: their instructions say nothing", file=sys.stderr)
        sys.exit(INCOMPARABLE)
    verbs = sys.argv[2:] or [*SMSP, *MESSAGE]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        figures = list(pool.map(lambda verb: count_request(build, verb), verbs))
    for what, text in made_by(build).items():
        print(f"# {what}\t{text}")
    for verb, figure in zip(verbs, figures):
        print(f"{verb}\t{figure:.0f}")


if __name__ == "__main__":
    main()
