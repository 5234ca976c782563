"""Time against size: the views, a round's commit and the opening of a session on corpora of growing size.

    python growth.py MARGINALIA SCRATCH [--rows 100000,1000000,10000000] [--rounds 5] [--runs 5]

Draws a corpus of each size with `bench corpus`: so many predictions of a few rounds, faces of 16 × 16 pixels and a
judgement for every twentieth, so that all tables grow alike. A corpus stays in SCRATCH/ROWS, with what drawing it told
in SCRATCH/ROWS.json, and is only measured where it is there already.

Prints Markdown: milliseconds at each size, the exponent of time against rows (least squares on logarithms over all
sizes), and the exponent from the last but one size to the last, where the constant part of a time hides least. What is
above 1.05 is worse than linear and stands in bold. A round's times are medians over the rounds of a corpus, those of
the views and of sessions medians of RUNS. Nothing but Python's own library is needed.
"""

import argparse
import json
import math
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

LINEAR = 1.05
SIDE = 16
FACES_PER_LABEL = 20


class Corpus:
    """A corpus with so many predictions."""

    def __init__(self, options, rows):
        self.options, self.rows, self.folder = options, rows, options.scratch / str(rows)
        self.drawn = self.folder.with_name(f"{rows}.json")

    def run(self, *arguments):
        command = [self.options.marginalia, "--corpus", self.folder, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{' '.join(map(str, command))}: {done.stderr.strip()}")
        return done.stdout

    def draw(self):
        """Draws it unless it is whole already; what that told."""
        if not self.drawn.exists():
            print(f"drawing {self.rows:,} predictions …", file=sys.stderr)
            shutil.rmtree(self.folder, ignore_errors=True)
            subprocess.run([self.options.marginalia, "init", self.folder], check=True, capture_output=True)
            faces = self.rows // self.options.rounds
            sizes = ["--faces", faces, "--labels", faces // FACES_PER_LABEL, "--rounds", self.options.rounds]
            told = self.run("bench", "corpus", *sizes, "--features", 0, "--side", SIDE, "--json")
            self.drawn.write_text(told)
        return json.loads(self.drawn.read_text())

    def measure(self):
        """Seconds by what took them."""
        rounds = self.draw()["round_seconds"]
        print(f"measuring {self.rows:,} predictions …", file=sys.stderr)
        asked = json.loads(self.run("bench", "sql", "--runs", self.options.runs, "--json"))
        queries = {query["query"]: query["seconds"] for query in asked["queries"]}
        return {
            **queries,
            "all of these": sum(queries.values()),
            **{query["query"]: query["seconds"] for query in asked["lookups"]},
            "a round: predictions, queue": statistics.median(it["writing"] for it in rounds),
            "a round: its marker": statistics.median(it["commit"] for it in rounds),
            "a session, opened again": asked["reopening_seconds"],
            '`sql "select 1"`, the whole command': statistics.median(self.ask() for _ in range(self.options.runs)),
        }

    def ask(self):
        begin = time.perf_counter()
        self.run("sql", "select 1")
        return time.perf_counter() - begin


def exponent(rows, seconds):
    """The slope of time against rows, both as logarithms."""
    return statistics.linear_regression([math.log(it) for it in rows], [math.log(it) for it in seconds]).slope


def marked(value):
    return f"**{value:.2f}**" if value > LINEAR else f"{value:.2f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("marginalia")
    parser.add_argument("scratch", type=Path)
    parser.add_argument("--rows", default="100000,1000000,10000000", metavar="N,...")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    rows = sorted({int(it) for it in options.rows.split(",")})
    if len(rows) < 2:
        parser.error("an exponent takes two sizes")
    options.scratch.mkdir(parents=True, exist_ok=True)
    measured = [Corpus(options, size).measure() for size in rows]
    print("| ms | " + " | ".join(f"{size:,} rows" for size in rows) + " | exponent | last step |")
    print("| --- |" + " ---: |" * (len(rows) + 2))
    for name in measured[0]:
        seconds = [it[name] for it in measured]
        exponents = exponent(rows, seconds), exponent(rows[-2:], seconds[-2:])
        cells = [*(f"{1e3 * it:,.1f}" for it in seconds), *map(marked, exponents)]
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
