#!/usr/bin/env python3
"""picture.py: draws a kept run by gnuplot: picture.py RUN.jsonl PICTURE.svg

Three panels: each figure for its target (1 is the target, further right is better, whiskers are the spread), the
latencies of one work on all its sides, and what a request costs on ever larger post offices."""

import pathlib
import shutil
import subprocess
import sys

import report
import sides

WIDTH, BAR, PANELS = 1000, 19, 420  # pixels
REACHED, MISSED = "#3b7d4f", "#c2571a"
COLOURS = ("#1f4e79", "#8a8a8a", "#b5651d", "#3b7d4f", "#7a3b7d", "#a3a300")
LATENCY_WORKS = (("count-16", 1), ("count-64", 2))  # and how their lines are dashed
LATENCY_SIDES = ("shmaild", "echo", "redis")


def quote(text):
    return '"' + str(text).replace("\\", "").replace('"', "'").replace("_", "\\_") + '"'


def block(name, lines):
    return "\n".join([f"${name} << END", *lines, "END"])


def bars(table):
    """Each row's figure for its target, so that one axis serves all: turned over where less is better."""
    judged = [row for row in table if row["verdict"] in ("reached", "missed")]
    lines = []
    for place, row in enumerate(reversed(judged)):
        values = [row["ratio"][name] / row["bound"] for name in ("median", "min", "max")]
        if row["at_most"]:
            values = [1 / value for value in values]
        values = [min(max(value, 0.11), 99) for value in (values[0], *sorted(values[1:]))]
        label = f"{row['row']}: {report.against(row)}"
        lines.append(" ".join([str(place), *(f"{value:.4f}" for value in values),
                               "1" if row["verdict"] == "reached" else "0", quote(label),
                               quote(f"{report.number(row['ratio']['median'])}{row.get('unit', '')} "
                                     f"({report.bound(row)})")]))
    return block("bars", lines), len(judged)


def bar_panel(count, top):
    return f"""
set origin 0, {top:.4f}
set size 1, {0.975 - top:.4f}
set title "figure for its target: 1 is the target, right of it is better"
set logscale x
set xrange [0.1:100]
set yrange [-0.8:{count - 0.2}]
set lmargin 52
set rmargin 24
set grid x
unset key
set arrow 1 from 1, graph 0 to 1, graph 1 nohead lw 2 lc rgb "#202020"
plot $bars using (sqrt(0.1 * $2)):1:(0.1):2:($1 - 0.36):($1 + 0.36):($5 > 0 ? {hexadecimal(REACHED)} : {hexadecimal(MISSED)}):ytic(6) \\
         with boxxyerror fs solid 0.85 noborder lc rgb variable, \\
     $bars using 2:1:3:4 with xerrorbars pt 0 lc rgb "#303030", \\
     $bars using (100):1:7 with labels left offset 1, 0
unset arrow 1
unset logscale x
set rmargin 4
set lmargin 12
"""


def hexadecimal(colour):
    return "0x" + colour[1:]


def latency_panel(medians, top):
    """The percentiles of the works that are drawn, a line for each side."""
    blocks, plots = [], []
    for work, dash in LATENCY_WORKS:
        for colour, side in zip(COLOURS, LATENCY_SIDES):
            values = medians.get(work, {}).get(side)
            if values is None:
                continue
            name = f"latency_{len(blocks)}"
            blocks.append(block(name, (f"{place} {values[latency]}" for place, latency in enumerate(sides.LATENCIES))))
            plots.append(f'${name} using 1:2 with linespoints pt 7 ps 0.5 lw 2 dt {dash} lc rgb "{colour}" '
                         f'title "{side}, {work.removeprefix("count-")} connections"')
    tics = ", ".join(f'"{name.replace("p999", "p99.9")}" {place}' for place, name in enumerate(sides.LATENCIES))
    return blocks, panel(0, top, "COUNT at depth 1: latency in microseconds", plots, f"""
set xtics ({tics})
set xrange [-0.3:{len(sides.LATENCIES) - 0.7}]""")


def size_panel(medians, top):
    blocks, plots = [], []
    works = [work for work in medians if work.startswith("size-")]
    for colour, work in zip(COLOURS, works):
        name = f"size_{len(blocks)}"
        blocks.append(block(name, (f"{side.split()[0].replace(',', '')} {1e6 / values['rate']}"
                                   for side, values in medians[work].items())))
        plots.append(f'${name} using 1:2 with linespoints pt 7 ps 0.5 lw 2 lc rgb "{colour}" '
                     f'title "{work.removeprefix("size-")}"')
    return blocks, panel(0.5, top, "microseconds for a request, by accounts (ten messages in each)", plots, """
set logscale x
set xtics autofreq
set format x "10^{%T}"
set xrange [700:1500000]""")


def panel(left, top, title, plots, axes):
    if not plots:
        return ""
    return f"""
set origin {left}, 0
set size 0.5, {top:.4f}
set title "{title}"
set key top left reverse Left
set grid
set logscale y
set autoscale y
set ytics autofreq
{axes}
plot {', '.join(plots)}
unset logscale x
set format x
"""


def draw(run, table, path):
    medians = {row["row"]: row["medians"] for row in table if "medians" in row}
    data, count = bars(table)
    bars_height = 90 + BAR * count
    height = bars_height + PANELS
    top = PANELS / height
    latencies, latency_plot = latency_panel(medians, top)
    sizes, size_plot = size_panel(medians, top)
    heading = f"shmail {run['commit']}, {run['date'][:10]}, {run['processor']}, load {run['load']:.1f} at the start"
    script = "\n".join([
        f'set terminal svg size {WIDTH}, {height} font "sans-serif,11" background rgb "white"',
        f"set output {quote(path).replace(chr(92), '')}", data, *latencies, *sizes,
        f"set multiplot title {quote(heading)}",
        bar_panel(count, top) if count else "", latency_plot, size_plot, "unset multiplot"])
    done = subprocess.run(["gnuplot"], input=script, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"gnuplot: {done.stderr.strip()}")


def can_draw():
    return shutil.which("gnuplot") is not None


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: picture.py RUN.jsonl PICTURE.svg")
    if not can_draw():
        sys.exit("picture.py: no gnuplot here (package gnuplot-nox)")
    draw(*report.load(pathlib.Path(sys.argv[1])), sys.argv[2])


if __name__ == "__main__":
    main()
