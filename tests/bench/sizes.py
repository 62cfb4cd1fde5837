"""sizes.py: the same load on post offices that hold more and more, in turns: whether what a request costs grows.
The accounts under load are as many on each; the others only lie there, ten messages in each."""

import rows
import sides

MESSAGES_EACH = 10
TEXT = 100
SIZES = (1000, 10000, 100000, 1000000)


class Sized(rows.Work):
    """A work whose sides are the sizes, which are filled when it is measured."""

    def __init__(self, name, what, verb, size=TEXT, once=False, **load):
        super().__init__(name, what, [], [], **load)
        self.verb, self.size, self.once = verb, size, once

    def measure(self, place):
        counts = SIZES[:-1] if place.quick else SIZES
        self.sides = [self.side(place, accounts) for accounts in counts]
        self.targets = [rows.Target(0.9, label(counts[0]), label(counts[-1]))]
        return super().measure(place)

    def side(self, place, accounts):
        office = place.offices.filled(accounts, accounts * MESSAGES_EACH, TEXT)
        return sides.smsp(self.verb, self.size, label(accounts), office=office, once=self.once)


def label(accounts):
    return f"{accounts:,} accounts"


def works():
    return [
        Sized("size-count-1", "COUNT, 1 connection, one processor", "COUNT", connections=1),
        Sized("size-send-1", "SEND 100 B, 1 connection, one processor", "SEND", connections=1),
        Sized("size-count", "COUNT, 16 connections, depth 64", "COUNT", depth=64),
        # Without it, who is asked first has memory that the machine has given before, and the others have not.
        Sized("size-send", "SEND 100 B, 16 connections, depth 64", "SEND", depth=64, warm_up=5),
        Sized("size-getmsg", "GETMSG 1 KB, 16 connections, depth 64", "GETMSG", 1024, depth=64),
        Sized("size-connect", "connect, COUNT, close; 4 at once", "COUNT", once=True, connections=4),
    ]
