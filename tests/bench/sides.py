"""sides.py: the sides of a comparison: a server together with the load on it, or a program that measures
itself. A side is entered (its server starts), asked for a sample once a round, and left. A sample is the rate
of requests, and their latencies in microseconds where they are known."""

import contextlib
import dataclasses
import json

import processes
import servers

# Processes of the load generator, where there are connections to share: one alone is at its end with eight million
# requests a second, and then its own speed is measured. Of connections that are made anew it is never.
GENERATORS = 2
LINE = 60  # bytes of an echoed line: what COUNT with a cookie has


def run_json(command):
    return json.loads(processes.output_of(command))


@dataclasses.dataclass
class Load:
    """The load generator on a server that start(place, pinned) gives."""
    name: str
    start: object
    protocol: str
    verb: str
    size: int = 100
    once: bool = False  # a connection for each request
    afresh: bool = False  # a server for each sample: for a load that leaves its mail behind

    @contextlib.contextmanager
    def enter(self, place, work):
        if self.afresh:
            yield lambda seconds: self.sample_afresh(place, work, seconds)
            return
        with self.serve(place, work) as sample:
            yield sample

    def sample_afresh(self, place, work, seconds):
        with self.serve(place, work) as sample:
            return sample(seconds)

    @contextlib.contextmanager
    def serve(self, place, work):
        with self.start(place, work.pinned) as (address, _):
            command = [place.program("tests/bench/bench-peers"), "--json", "--protocol", self.protocol,
                       "--mix", self.verb, "--size", str(self.size), "--connections", str(work.connections),
                       "--depth", str(work.depth)]
            if work.connections > 1 and not self.once:
                command += ["--processes", str(GENERATORS)]
            if work.accounts:
                command += ["--accounts", str(work.accounts)]
            if self.once:
                command += ["--per-connection", "1"]
            command = place.on_one_processor(command, work.pinned)
            yield lambda seconds: self.sample([*command, "--duration", str(seconds),
                                               "--warm-up", str(place.warm_up), address])

    def sample(self, command):
        result = run_json(command)
        if result["errors"]:
            raise RuntimeError(f"{result['errors']} errors: {' '.join(command)}")
        return {"rate": result["rate"], **{name: result["latency_us"][name] for name in LATENCIES}}


LATENCIES = ("p50", "p90", "p99", "p999", "max")


@dataclasses.dataclass
class Limit:
    """A limit that measures itself: the arguments get a file, and the seconds come last."""
    name: str
    program: str
    arguments: tuple

    @contextlib.contextmanager
    def enter(self, place, work):
        file = place.new_directory(self.program) / "file"
        command = [place.program("tests/bench/" + self.program),
                   *(str(file) if argument == "FILE" else str(argument) for argument in self.arguments)]
        command = place.on_one_processor(command, work.pinned)
        yield lambda seconds: {"rate": run_json([*command, str(seconds)])["rate"]}


# ---- the sides that the rows are made of ----

def smsp(verb, size=100, name="shmaild", options=(), office=None, once=False, afresh=False):
    return Load(name, lambda place, pinned: servers.shmaild(place, pinned, options, office), "smsp", verb, size,
                once, afresh)


def connecting(name="shmaild", options=(), program="static/shmaild"):
    """A connection for each request, of the static program: what a fork copies is less."""
    return Load(name, lambda place, pinned: servers.shmaild(place, pinned, options, program=program), "smsp",
                "COUNT", once=True)


def durable(verb, size, journal):
    """With a journal of which all of a row's rounds fill less than half: neither is it rewritten meanwhile, as the
    peers' are not, nor made larger, as the limits' files are not."""
    return Load("shmaild", lambda place, pinned: servers.shmaild(place, pinned, journal=journal), "smsp", verb, size)


def message(verb, size, afresh=False):
    return Load("shmaild", servers.shmaild, "message", verb, size, afresh=afresh)


def echo(size=LINE, name="echo", how=()):
    return Load(name, lambda place, pinned: servers.limit(place, pinned, "limit_echo", *how), "echo", "LINE", size)


def saying(name):
    return echo(name=name, how=("say", str(LINE + 1)))


def keeping(size):
    return echo(size, "echo that keeps", ("keep",))


def delivering(size):
    return echo(size, "echo that delivers", ("deliver",))


def settling(size):
    return Load("echo that settles", lambda place, pinned: servers.limit(place, pinned, "limit_settle", "FILE"), "echo",
                "LINE", size)


def answer(name="fork, answer, exit", duties=()):
    return Load(name, lambda place, pinned: servers.limit(place, pinned, "limit_answer", *duties), "echo", "LINE",
                LINE, once=True)


def redis(verb, size=100, safe=False):
    name = "redis, AOF always" if safe else "redis"
    return Load(name, lambda place, pinned: servers.redis(place, pinned, safe), "redis", verb, size)


def beanstalkd(verb, size=100):
    return Load("beanstalkd", servers.beanstalkd, "beanstalkd", verb, size)


def dovecot(protocol, verb, size=100):
    return Load("dovecot", lambda place, pinned: servers.dovecot(place, pinned, protocol), protocol, verb, size)
