#!/usr/bin/env python3
"""run.py: measures shmail beside its peers and the machine's limits: run.py BUILD [--quick] [ROW...]

Prints a row for each target as it is measured, and at the end keeps the whole run and its picture: a full run in
tests/bench, any other in BUILD/bench. Exit status 1: something could not be measured that should have been."""

import argparse
import os
import pathlib
import sys
import tempfile

import figures
import machine
import offices
import picture
import processes
import report
import rows
import servers
import sizes

HERE = pathlib.Path(__file__).resolve().parent


def parse_arguments():
    parser = argparse.ArgumentParser(description="measures shmail beside its peers and the machine's limits")
    parser.add_argument("build", type=pathlib.Path, help="the folder of the built programs")
    parser.add_argument("--quick", action="store_true", help="short rounds: a look, no result to keep")
    parser.add_argument("--list", action="store_true", help="print the names of the rows")
    parser.add_argument("--keep", type=pathlib.Path, metavar="FOLDER", help="keep the run in this folder")
    parser.add_argument("rows", nargs="*", metavar="ROW", help="only these (default: all)")
    return parser.parse_intermixed_args()


def chosen(works, names):
    unknown = set(names) - {work.name for work in works}
    if unknown:
        sys.exit(f"no such row: {' '.join(sorted(unknown))}; there are: {' '.join(work.name for work in works)}")
    return [work for work in works if not names or work.name in names]


def measure(works, place):
    """The rows of the table, and whether all that could be measured was."""
    table, whole = [], True
    print(report.HEAD)
    for work in works:
        try:
            done = work.measure(place)
        except servers.Unavailable as reason:
            print(f"{work.name:<14}not measured: {reason}")
            continue
        except (RuntimeError, OSError) as trouble:
            print(f"{work.name:<14}FAILED: {trouble}")
            whole = False
            continue
        finally:
            place.clear()
        for row in done:
            print(report.line(row), flush=True)
        table += done
    return table, whole


def keep(run, table, folder):
    path = folder / "results" / (run["date"].replace(":", "") + "-" + run["commit"].split()[0] + ".jsonl")
    report.save(path, run, table)
    print(f"\n{report.summary(table)}; kept in {path}")
    if picture.can_draw():
        picture.draw(run, table, folder / "picture.svg")
        print(f"drawn in {folder / 'picture.svg'}")
    else:
        print("not drawn: no gnuplot here (package gnuplot-nox)")


def main():
    arguments = parse_arguments()
    works = rows.works() + figures.works() + sizes.works()
    if arguments.list:
        print("\n".join(f"{work.name:<14}{work.what}" for work in works))
        return 0
    works = chosen(works, arguments.rows)
    partial = arguments.quick or bool(arguments.rows)
    run = {**machine.describe(), "quick": arguments.quick}
    print(f"{run['date']}, commit {run['commit']}, {run['processor']}, load {run['load']:.2f}\n")
    processes.hear_signals()
    # On a disk also where /tmp is not.
    with tempfile.TemporaryDirectory(prefix=f"shmail-bench-{os.getpid()}-", dir="/var/tmp",
                                     ignore_cleanup_errors=True) as directory:
        pathlib.Path(directory).chmod(0o755)  # dovecot's user passes through
        place = servers.Place(arguments.build, directory, arguments.quick)
        place.offices = offices.Offices(place)
        try:
            table, whole = measure(works, place)
        finally:
            place.offices.remove()
    keep(run, table, arguments.keep or (arguments.build / "bench" if partial else HERE))
    return 0 if whole else 1


if __name__ == "__main__":
    sys.exit(main())
