"""compare.py: measures the sides of a work in turns, round by round, and judges what came out by its targets.
A ratio is taken within a round, so that what the machine does meanwhile meets both sides."""

import contextlib
import mmap
import statistics

import servers
import sides


def measure(work, place):
    """The samples of each side, by name: one of each round, or the reason why there is none. And how long a line
    took from one processor to the other when each round began, in nanoseconds, where more than one works."""
    samples, lines = {}, []
    split = 1 if place.quick else work.split
    with contextlib.ExitStack() as stack:
        measured = {}
        for side in work.sides:
            try:
                measured[side.name] = stack.enter_context(side.enter(place, work))
                samples[side.name] = []
            except servers.Unavailable as reason:
                samples[side.name] = str(reason)
        if work.warm_up:
            for sample in measured.values():
                sample(work.warm_up * place.seconds)
        for _ in range(place.rounds * split):
            if not work.pinned:
                lines.append(line_nanoseconds(place))
            for name, sample in measured.items():
                touch_memory(int(work.fresh * place.seconds))
                samples[name].append(sample(round(place.seconds / split, 3)))
    return samples, lines


def line_nanoseconds(place):
    """None where it is not to be had: nobody judges by it."""
    try:
        return sides.run_json([place.program("tests/bench/limit_line")])["ns"]
    except (RuntimeError, OSError):
        return None


def touch_memory(size):
    """Has the machine give that much and takes it back: a virtual one is slow to give what its host has taken."""
    if size == 0:
        return
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_HUGEPAGE)
    for offset in range(0, size, mmap.PAGESIZE):
        memory[offset] = 1
    memory.close()


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def judge(work, target, samples):
    """One row of the table, as it is printed and kept."""
    row = {"row": work.name, "work": work.what, "subject": target.subject, "against": target.against,
           "figure": target.figure, "bound": target.bound, "at_most": target.at_most}
    missing = [samples[name] for name in (target.subject, target.against) if isinstance(samples[name], str)]
    if missing:
        return {**row, "verdict": "not measured", "reason": missing[0]}
    ours = [sample[target.figure] for sample in samples[target.subject]]
    others = [sample[target.figure] for sample in samples[target.against]]
    ratio = spread([one / other for one, other in zip(ours, others)])
    return {**row, "ours": statistics.median(ours), "other": statistics.median(others), "ratio": ratio,
            "verdict": verdict(target.bound, target.at_most, ratio["median"])}


def verdict(bound, at_most, value):
    if bound is None:
        return "-"
    return "reached" if (value <= bound if at_most else value >= bound) else "missed"


def medians(samples):
    """For the picture: the median of each figure of each side that was measured."""
    return {name: {figure: statistics.median(sample[figure] for sample in taken) for figure in taken[0]}
            for name, taken in samples.items() if not isinstance(taken, str)}
