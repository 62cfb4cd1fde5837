"""report.py: prints the rows as a table and keeps a run as a file of JSON lines: first what it was made with,
then a line for each row."""

import json


def number(value):
    """Three digits are what a figure is worth."""
    unit, letter = next(((unit, letter) for unit, letter in ((1e6, "M"), (1e3, "k")) if value >= unit), (1, ""))
    value /= unit
    return f"{value:.0f}{letter}" if value >= 100 else f"{value:#.3g}{letter}"


def bound(row):
    if row["bound"] is None:
        return "-"
    return ("<= " if row["at_most"] else ">= ") + f"{row['bound']:g}{row.get('unit', '')}"


def against(row):
    words = f"{row['subject']} : {row['against']}" if row["subject"] != "shmaild" else row["against"]
    return words + (f", {row['figure']}" if row["figure"] != "rate" else "")


HEAD = f"{'row':<14}{'against':<40}{'ours':>8}{'theirs':>8}{'figure':>9}  {'min':>7} {'max':>7}  {'target':>9}  verdict   line"


def line(row):
    start = f"{row['row']:<14}{against(row):<40}"
    if row["verdict"] == "not measured":
        return f"{start}{'':>43}{bound(row):>9}  not measured: {row['reason']}"
    ratio, unit = row["ratio"], row.get("unit", "")
    sides = "".join(f"{number(row[side]) if row.get(side) is not None else '':>8}" for side in ("ours", "other"))
    lines = row.get("line_ns")
    return (f"{start}{sides}{number(ratio['median']) + unit:>9}  {number(ratio['min']):>7} "
            f"{number(ratio['max']):>7}  {bound(row):>9}  {row['verdict']:<8}" +
            (f"  {lines['min']}-{lines['max']} ns" if lines else "")).rstrip()


def summary(rows):
    count = {}
    for row in rows:
        count[row["verdict"]] = count.get(row["verdict"], 0) + 1
    return ", ".join(f"{count.get(name, 0)} {name}" for name in ("reached", "missed", "not measured"))


def save(path, run, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for entry in (run, *rows):
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")


def load(path):
    with path.open(encoding="utf-8") as file:
        run, *rows = (json.loads(text) for text in file)
    return run, rows
