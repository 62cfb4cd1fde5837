"""attack.py: clients that no server should have, for guard.bats: guessers of passwords, and stopwatches.

    attack.py guess HOST PORT NAME CONNECTIONS SECONDS
    attack.py time-logins HOST PORT NAME SAMPLES
    attack.py time-cookies HOST PORT NAME COOKIE SAMPLES

The last two print the p-value of a two-sided Mann-Whitney U test: how likely two samples differ as much as
these do if what is measured is the same. What alternates in time shares the noise of the machine.
"""

import math
import random
import socket
import sys
import threading
import time


class Client:
    """A connection for lines, from an address of this machine."""

    def __init__(self, host, port, source="127.0.0.1"):
        self.socket = socket.create_connection((host, int(port)), 30, (source, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.rest = b""

    def ask(self, *lines):
        self.socket.sendall("".join(line + "\n" for line in lines).encode())
        return [self.hear() for _ in lines]

    def hear(self):
        while b"\n" not in self.rest:
            more = self.socket.recv(65536)
            if not more:
                raise ConnectionError("the server has closed")
            self.rest += more
        line, self.rest = self.rest.split(b"\n", 1)
        return line.decode()


def sources():
    """Addresses of 127/8, each a source of its own, in an order that no run repeats."""
    while True:
        yield "127.%d.%d.%d" % (random.randrange(16, 255), random.randrange(256), random.randrange(1, 255))


def guess(host, port, name, connections, seconds):
    """Counts the passwords that were looked at, and the attempts that were refused unseen."""
    deadline = time.monotonic() + float(seconds)
    counts = {"OK wrong name or password": 0, "OK too many attempts, wait and try again": 0}
    lock = threading.Lock()
    failures = []

    def work(number):
        try:
            client, tries = Client(host, port), 0
            while time.monotonic() < deadline:
                tries += 1
                reply, why = client.ask("LOGIN %s guess%dx%d" % (name, number, tries), "WHY")
                with lock:
                    if reply != "KO":
                        raise AssertionError("got in by " + reply)
                    counts[why] += 1
        except Exception as error:  # whatever it is, the test has to hear of it
            failures.append(repr(error))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(int(connections))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        sys.exit("; ".join(failures))
    print(*counts.values())


def mann_whitney(left, right):
    """The p-value, by the normal approximation with a correction for ties."""
    ranked = sorted((value, which) for which, values in enumerate((left, right)) for value in values)
    ranks, ties, i = 0.0, 0, 0
    while i < len(ranked):
        j = i
        while j < len(ranked) and ranked[j][0] == ranked[i][0]:
            j += 1
        ranks += sum(1 for k in range(i, j) if ranked[k][1] == 0) * (i + j + 1) / 2
        ties += (j - i) ** 3 - (j - i)
        i = j
    m, n = len(left), len(right)
    u = ranks - m * (m + 1) / 2
    variance = m * n / 12 * ((m + n + 1) - ties / ((m + n) * (m + n - 1)))
    return math.erfc(abs(u - m * n / 2) / math.sqrt(2 * variance)) if variance > 0 else 1.0


def alternate(samples, measure):
    """Times measure(0) and measure(1) by turns, in random order within each pair."""
    times = ([], [])
    for _ in range(int(samples)):
        for which in random.sample((0, 1), 2):
            times[which].append(measure(which))
    return times


def median(values):
    return sorted(values)[len(values) // 2]


def report(times):
    print("%.6f %.1f %.1f" % (mann_whitney(*times), median(times[0]) * 1e6, median(times[1]) * 1e6))


def time_logins(host, port, name, samples):
    source = sources()

    def measure(which):
        client = Client(host, port, next(source))
        client.ask("NOOP")
        user = name if which == 0 else "nobody%d" % random.randrange(10**6)
        start = time.perf_counter()
        reply = client.ask("LOGIN %s wrong%d" % (user, random.randrange(10**9)))
        taken = time.perf_counter() - start
        if reply != ["KO"]:
            sys.exit("got in by %s" % reply)
        client.socket.close()
        return taken

    report(alternate(samples, measure))


def time_cookies(host, port, name, cookie, samples):
    client = Client(host, port)
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    other = "".join(random.choice(letters) for _ in range(32))

    def measure(which):
        """No cookie is asked for twice; the first 32 letters are always the same, either wrong or right: a
        processor learns what comes again, whatever it is."""
        drawn = "".join(random.choice(letters) for _ in range(42)) + random.choice("AEIMQUYcgkosw048")
        request = "COUNT %s %s" % (name, (other if which == 0 else cookie[:32]) + drawn[32:])
        start = time.perf_counter()
        reply = client.ask(request)
        taken = time.perf_counter() - start
        if reply != ["KO"]:
            sys.exit("let in by %s" % reply)
        return taken

    report(alternate(samples, measure))


if __name__ == "__main__":
    {"guess": guess, "time-logins": time_logins, "time-cookies": time_cookies}[sys.argv[1]](*sys.argv[2:])
