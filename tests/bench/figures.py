"""figures.py: what is no rate under load: memory, times to start, recovery. Each has a measure(place) that gives
rows as compare.py does."""

import dataclasses
import pathlib
import re
import socket
import time

import compare
import offices
import servers
import sides

MESSAGES = 1000000
QUICK_PART = 10  # a quick run fills a tenth
ROUNDS = 5
IN_USE_SECONDS = 30


def row(work, against, values, bound, unit="", at_most=True, ours=None, other=None):
    value = compare.spread(values)
    return {"row": work.name, "work": work.what, "subject": "shmaild", "against": against, "figure": "rate",
            "bound": bound, "at_most": at_most, "unit": unit, "ratio": value, "ours": ours, "other": other,
            "verdict": compare.verdict(bound, at_most, value["median"])}


def messages(place):
    return MESSAGES // (QUICK_PART if place.quick else 1)


@dataclasses.dataclass
class Memory:
    """All that the segment takes, its tables too, for the bytes of the texts in it."""
    name: str
    size: int
    bound: float

    @property
    def what(self):
        return f"memory for messages of {self.size} bytes"

    def measure(self, place):
        taken = place.offices.bytes_in_use(place.offices.filled(1000, messages(place), self.size))
        ratio = taken / (messages(place) * self.size)
        return [row(self, f"text, {messages(place):,} messages", [ratio], self.bound, ours=self.size * ratio,
                    other=self.size)]


@dataclasses.dataclass
class Idle:
    """The pages that only the process of an idle connection has, in kilobytes; what it touched of the segment is
    everybody's."""
    name: str
    bound: float
    what: str = "private memory of an idle connection"

    def measure(self, place):
        with servers.shmaild(place, False) as (address, parent):
            host, port = address.removeprefix("inet:").rsplit(":", 1)
            connections, pages = [], []
            for i in range(ROUNDS):
                before = children(parent.pid)
                connections.append(socket.create_connection((host, int(port)), 10))
                connections[-1].sendall(f"REGISTER idle{i} secret\n".encode())
                if not connections[-1].recv(100).startswith(b"OK "):
                    raise RuntimeError("REGISTER is refused")
                child, = children(parent.pid) - before
                pages.append(private_kilobytes(child))
            for connection in connections:
                connection.close()
        return [row(self, "private pages", pages, self.bound, " KB")]


def children(parent):
    """Those that serve. Not by /proc/PID/task/*/children, which not every kernel has."""
    found = set()
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, fields = stat.read_text().partition("(")[2].rpartition(")")
            if int(fields.split()[1]) == parent and name != "shmaild: maker":
                found.add(int(stat.parent.name))
        except (OSError, ValueError):
            continue  # it has ended meanwhile
    return found


def private_kilobytes(pid):
    total, counts = 0, True
    for text in pathlib.Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", text):
            counts = "/memfd:" not in text and "/dev/shm/" not in text
        elif counts and text.startswith("Private_"):
            total += int(text.split()[1])
    return total


def start_seconds(place, *options, program="shmaild"):
    """From before the fork to the line that says that it listens."""
    command = [place.program("tests/bench/tool_start"), place.program(program), "-1", "-l", "inet:127.0.0.1:0",
               *options]
    deadline = time.monotonic() + IN_USE_SECONDS
    while True:
        try:
            return sides.run_json(command)["seconds"]
        except RuntimeError as trouble:  # the keeper of the round before may still be at its last write
            if "is used by another" not in str(trouble) or time.monotonic() > deadline:
                raise
            time.sleep(0.1)


@dataclasses.dataclass
class Start:
    name: str
    what: str
    bound: float
    full: bool

    def measure(self, place):
        options = ["-e"]
        if self.full:
            options = ["-n", place.offices.filled(1000, messages(place), 100)]
        least = [place.program("tests/bench/tool_start"), "/bin/echo", "here"]
        times, linked, limit = [], [], []
        for _ in range(4 * ROUNDS):
            times.append(1000 * start_seconds(place, *options, program="static/shmaild"))
            linked.append(1000 * start_seconds(place, *options))
            limit.append(1000 * sides.run_json(least)["seconds"])
        words = f"time to listen, {messages(place):,} messages" if self.full else "time to listen"
        return [row(self, words, times, self.bound, " ms"),
                row(self, words, linked, None, " ms") | {"subject": "not static"},
                row(self, "time to its line", limit, None, " ms") | {"subject": "echo(1)"}]


@dataclasses.dataclass
class Recovery:
    """A start on a journal, against one pass over its bytes, and against those that put them into fresh shared memory,
    which no recovery can do without; all from the page cache, in turns."""
    name: str
    bound: float
    what: str = "recovery of a journal of 1 KB messages"

    def measure(self, place):
        directory = place.new_directory("recovery") / "journal"
        offices.fill(place, "-d", directory, 1000, messages(place), 1024)
        log = max(directory.glob("journal.[01]"), key=used_bytes)
        used = used_bytes(log)
        limit = [place.program("tests/bench/limit_read"), str(log), str(used)]
        manners = {"read and CRC": [], "CRC in lanes": ["lanes"], "and copied to fresh memory": ["copy"],
                   "and by two threads": ["ahead"]}
        limits = {words: [] for words in manners}
        recovery = []
        for _ in range(ROUNDS + 1):
            for words, arguments in manners.items():
                limits[words].append(sides.run_json([*limit, *arguments])["seconds"])
                compare.touch_memory(2 * used)
            recovery.append(start_seconds(place, "-e", "-d", str(directory)))

        def against(words, times, bound):
            ratios = [one / other for one, other in zip(times[1:], recovery[1:])]  # the first fills the page cache
            ours, other = (used / 1e6 / min(times) for times in (recovery, times))
            return row(self, words, ratios, bound, at_most=False, ours=ours, other=other)

        return [against(f"{words} of {used / 1e6:.0f} MB, MB/s" if words == "read and CRC" else f"the same, {words}",
                        times, None if manners[words] else self.bound) for words, times in limits.items()]


def used_bytes(path):
    """Up to the last byte that is not zero: the rest is room ahead."""
    piece = 1 << 20
    with path.open("rb") as file:
        end = file.seek(0, 2)
        while end > 0:
            start = max(0, end - piece)
            file.seek(start)
            used = len(file.read(end - start).rstrip(b"\0"))
            if used:
                return start + used
            end = start
    return 0


def works():
    return [
        Memory("memory-1k", 1024, 1.12),
        Memory("memory-100", 100, 1.7),
        Idle("idle", 150),
        Start("start-empty", "start with an empty post office", 5, False),
        Start("start-full", "start on a full post office", 20, True),
        Recovery("recovery", 0.5),
    ]
