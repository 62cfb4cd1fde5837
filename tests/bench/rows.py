"""rows.py: the table of what is measured: each work with its sides, and each side's target against another.
A row of the printed table is one target."""

import dataclasses

import compare
import sides


@dataclasses.dataclass
class Target:
    """The subject's figure against the other's, as a ratio: at least, or at most, so much. None: for the eye."""
    bound: float | None
    against: str
    subject: str = "shmaild"
    figure: str = "rate"
    at_most: bool = False


@dataclasses.dataclass
class Work:
    """Sides that are measured in turns under the same load."""
    name: str
    what: str
    sides: list
    targets: list
    connections: int = 16
    depth: int = 1
    accounts: int = 0  # mailboxes that each connection asks by turns; 0: one of its own
    warm_up: int = 0  # a sample as long as so many, before all others, that does not count
    fresh: int = 0  # bytes of fresh memory that any of them takes in a second at most
    split: int = 1  # so many rounds in place of each, as much shorter: where they differ much

    @property
    def pinned(self):
        """The wake-up of an idle processor costs more than the work of one connection."""
        return self.connections == 1

    def measure(self, place):
        if place.quick:
            self.leave_out()
        samples, lines = compare.measure(self, place)
        table = [compare.judge(self, target, samples) for target in self.targets]
        table[0]["medians"] = compare.medians(samples)  # for the picture
        table[0]["rounds"] = max((len(taken) for taken in samples.values() if not isinstance(taken, str)), default=0)
        if lines and None not in lines:
            table[0]["line_ns"] = compare.spread(lines)
        return table

    def leave_out(self):
        """A quick run spares what is only for the eye."""
        self.targets = [target for target in self.targets if target.bound is not None] or self.targets
        needed = {name for target in self.targets for name in (target.subject, target.against)}
        self.sides = [side for side in self.sides if side.name in needed]


SAYING = "a short reply to any line"
APART, ACCEPTING = (f"as a store must, {how}" for how in ("apart", "accepting ahead"))
DUTIES = ("segment", "held", "stay", "bounded", "reap")


def connecting(connections):
    return Work(
        f"connect-{connections}", f"connect, COUNT, close; {connections} at once",
        [sides.answer(),
         sides.answer("answer without fork", ("same",)),
         sides.answer("with a segment", ("segment",)),
         sides.answer("as a store must, not confined", DUTIES),
         sides.answer("as a store must", (*DUTIES, "confined")),
         sides.answer(APART, (*DUTIES, "confined", "apart")),
         sides.answer(f"{APART}, not confined", (*DUTIES, "apart")),
         sides.answer(ACCEPTING, (*DUTIES, "confined", "accepting")),
         sides.connecting(),
         sides.connecting("--no-sandbox", ("--no-sandbox",)),
         sides.connecting("--spare 8", ("--spare", "8")),
         sides.connecting("not static", program="shmaild")],
        [Target(0.85, "fork, answer, exit"),
         Target(0.95, "fork, answer, exit", "--no-sandbox"),
         Target(0.95, "fork, answer, exit", "--spare 8"),
         *([Target(0.75, "fork, answer, exit", "--spare 8", "p50", at_most=True)] if connections == 1 else []),
         Target(None, "fork, answer, exit", "with a segment"),
         Target(None, "fork, answer, exit", "as a store must, not confined"),
         Target(None, "fork, answer, exit", "as a store must"),
         Target(None, "fork, answer, exit", f"{APART}, not confined"),
         Target(None, "fork, answer, exit", APART),
         *(Target(None, "fork, answer, exit", ACCEPTING, figure)
           for figure in (("rate", "p50") if connections == 1 else ("rate",))),
         Target(None, f"{APART}, not confined", "--no-sandbox"),
         Target(None, APART),
         Target(None, ACCEPTING, "--spare 8"),
         Target(None, "fork, answer, exit", "not static"),
         Target(None, "--no-sandbox"),
         Target(None, "fork, answer, exit", "answer without fork")],
        connections, split=3)


def settling(connections, bound, depth=1):
    return Work(f"durable-{connections}-{depth}", f"durable SEND 1 KB, {connections} connections, depth {depth}",
                [sides.durable("SEND", 1024, (5 if depth > 1 else 1) << 30), sides.redis("LPUSH", 1024, safe=True)],
                [Target(bound, "redis, AOF always")], connections, depth,
                fresh=1 << 29 if depth > 1 else 1 << 27)


def with_limit(work):
    """What any server with a process for each connection could reach, for the eye."""
    work.sides.append(sides.settling(1084))
    work.targets += [Target(None, target.against, "echo that settles") for target in work.targets]
    return work


def durable_deep():
    work = settling(16, 2.5, 16)
    work.sides.append(sides.Limit("64 records per fdatasync", "limit_commit", ("FILE", 1, 64, 1024)))
    work.targets.append(Target(0.8, "64 records per fdatasync"))
    return with_limit(work)


def durable_wide():
    work = settling(16, 1.2)
    work.sides.append(sides.Limit("16 writers, one fdatasync", "limit_commit", ("FILE", 16, 1, 1024)))
    work.targets.append(Target(None, "16 writers, one fdatasync"))
    return with_limit(work)


def works():
    return [
        Work("count-1", "COUNT, 1 connection, one processor",
             [sides.smsp("COUNT"), sides.echo(), sides.redis("LLEN")],
             [Target(0.95, "echo"), Target(1.1, "redis")], connections=1),
        Work("send-1", "SEND 100 B, 1 connection, one processor",
             [sides.smsp("SEND"), sides.echo(160), sides.redis("LPUSH"), sides.keeping(160),
              sides.delivering(160)],
             [Target(0.95, "echo"), Target(1.1, "redis"), Target(None, "echo that keeps"),
              Target(None, "echo", "echo that keeps"), Target(None, "echo", "echo that delivers")],
             connections=1),
        Work("count-16", "COUNT, 16 connections",
             [sides.smsp("COUNT"), sides.echo(), sides.redis("LLEN")],
             [Target(0.95, "echo"), Target(None, "redis")]),
        Work("count-64", "COUNT, 64 connections",
             [sides.smsp("COUNT"), sides.echo(), sides.redis("LLEN")],
             [Target(0.95, "echo"), Target(None, "redis")], connections=64),
        Work("count-16-64", "COUNT, 16 connections, depth 64",
             [sides.smsp("COUNT"), sides.echo(), sides.saying(SAYING), sides.redis("LLEN"),
              sides.beanstalkd("USED")],
             [Target(0.85, "echo"), Target(2.8, "redis"), Target(None, "beanstalkd"), Target(None, SAYING),
              Target(None, "redis", SAYING)], depth=64),
        Work("count-spread", "COUNT of 256 mailboxes, 16 connections, depth 64",
             [sides.smsp("COUNT"), sides.redis("LLEN")],
             [Target(None, "redis")], depth=64, accounts=256),
        Work("send-16-64", "SEND 100 B, 16 connections, depth 64",
             [sides.smsp("SEND"), sides.redis("LPUSH"), sides.beanstalkd("PUT"), sides.keeping(160)],
             [Target(2.5, "redis"), Target(None, "beanstalkd"), Target(None, "echo that keeps"),
              Target(None, "redis", "echo that keeps")], depth=64, fresh=1 << 30),
        Work("getmsg-16-64", "GETMSG 1 KB, 16 connections, depth 64",
             [sides.smsp("GETMSG", 1024), sides.redis("LRANGE", 1024), sides.beanstalkd("PEEK", 1024)],
             [Target(2.5, "redis"), Target(None, "beanstalkd")], depth=64),
        Work("stat-16-64", "COUNT, 16 connections, depth 64",
             [sides.smsp("COUNT"), sides.dovecot("pop3", "STAT")],
             [Target(3, "dovecot")], depth=64),
        Work("message-send", "Message send 1 KB, 16 connections, depth 16",
             [sides.message("SEND", 1024, afresh=True),
              sides.smsp("SEND", 1024, name="SMSP SEND", afresh=True)],
             [Target(0.6, "SMSP SEND")], depth=16),
        Work("message-open", "Message open 1 KB, 16 connections, depth 16",
             [sides.message("OPEN", 1024), sides.smsp("FETCH", 1024, name="SMSP FETCH")],
             [Target(0.6, "SMSP FETCH")], depth=16),
        *(connecting(connections) for connections in (1, 4, 16)),
        settling(1, 1.1),
        durable_wide(),
        with_limit(settling(64, 0.75)),
        durable_deep(),
        with_limit(Work("deliver", "durable delivery of 1 KB, 16 connections",
                        [sides.durable("SEND", 1024, 1 << 30), sides.dovecot("lmtp", "DELIVER", 1024)],
                        [Target(25, "dovecot")], fresh=1 << 27)),
        Work("long-texts", "SEND 1 MB, 4 connections",
             [sides.smsp("SEND", 1 << 20), sides.Limit("memcpy", "limit_copy", (1 << 20,))],
             [Target(None, "memcpy")], connections=4),
    ]
