#!/usr/bin/env python3
"""compare_instructions.py: holds a new count of instructions against the recorded one:
compare_instructions.py RECORDED MEASURED

Exit status 1: a verb takes more than 5 % more. One that takes less by more than that asks for a new record.
Figures of another compiler, C library, valgrind or kind of processor are compared with a wider margin, as they
move with no change of ours; those of other compiler options are not compared at all (exit status 75)."""

import sys

MARGIN, WIDE_MARGIN = 5, 25  # per cent
INCOMPARABLE = 75


def read(path):
    made_by, figures = {}, {}
    with open(path, encoding="utf-8") as table:
        for text in table:
            name, _, value = text.rstrip("\n").partition("\t")
            if name.startswith("# "):
                made_by[name[2:]] = value
            else:
                figures[name] = int(value)
    return made_by, figures


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: compare_instructions.py RECORDED MEASURED")
    (recorded_by, recorded), (made_by, measured) = read(sys.argv[1]), read(sys.argv[2])
    margin = MARGIN
    for what in made_by:
        if made_by[what] != recorded_by.get(what):
            print(f"recorded with another {what}: {recorded_by.get(what)}; here: {made_by[what]}")
            margin = WIDE_MARGIN
    if made_by["set of options"] != recorded_by["set of options"]:
        print("not compared: other options make other code")
        sys.exit(INCOMPARABLE)
    print(f"{'verb':<12}{'recorded':>10}{'now':>10}{'change':>9}")
    failed = False
    for verb in dict.fromkeys([*recorded, *measured]):
        if verb not in recorded or verb not in measured:
            print(f"{verb:<12}{recorded.get(verb, '-'):>10}{measured.get(verb, '-'):>10}   "
                  "not in both tables: make bench-instructions-record")
            failed = True
            continue
        change = 100 * (measured[verb] / recorded[verb] - 1)
        verdict = ""
        if change > margin:
            verdict, failed = f"  FAILED: more than {margin} % more", True
        elif change < -margin:
            verdict = "  better: make bench-instructions-record"
        print(f"{verb:<12}{recorded[verb]:>10}{measured[verb]:>10}{change:>+8.1f}%{verdict}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
