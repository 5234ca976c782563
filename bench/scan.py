"""The ways to read tables on one machine, beside each other: Lance's own provider and ours.

    python scan.py MARGINALIA CORPUS [--runs 15] [--scans shared,groups]

`bench sql` asks each of its queries by Lance's provider and in each of the named ways, one after the other and so RUNS
times, warm. Prints Markdown: milliseconds in each way, and the provider's time ÷ ours; of these the geometric mean and
the least, for the views and for look-ups. `bench corpus` without options draws a corpus of 1,000,000 faces and
5,000,000 predictions to ask. Nothing but Python's own library is needed.
"""

import argparse
import json
import statistics
import subprocess

PROVIDER = "provider"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("marginalia")
    parser.add_argument("corpus")
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--scans", default="shared,groups", metavar="SCAN,...")
    options = parser.parse_args()
    ours = options.scans.split(",")
    command = [options.marginalia, "--corpus", options.corpus, "bench", "sql", "--json", "--runs", str(options.runs)]
    command += ["--scan", ",".join([PROVIDER, *ours])]
    asked = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    headers = [f"{scan}, ms" for scan in (PROVIDER, *ours)] + [f"{PROVIDER} ÷ {scan}" for scan in ours]
    print("| | " + " | ".join(headers) + " |")
    print("| --- |" + " ---: |" * (1 + 2 * len(ours)))
    for kind in ("queries", "lookups"):
        ratios = {scan: [] for scan in ours}
        for query in asked[kind]:
            seconds = query["by_scan"]
            for scan in ours:
                ratios[scan].append(seconds[PROVIDER] / seconds[scan])
            cells = [f"{1e3 * seconds[scan]:,.2f}" for scan in (PROVIDER, *ours)]
            print(f"| {query['query']} | " + " | ".join(cells + [f"{ratios[scan][-1]:.2f}" for scan in ours]) + " |")
        for name, of in (("geometric mean", statistics.geometric_mean), ("least", min)):
            cells = [f"**{of(ratios[scan]):.2f}**" for scan in ours]
            print(f"| {kind}: {name} |" + " |" * (1 + len(ours)) + " " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
