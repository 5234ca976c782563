"""The queries of `marginalia bench sql` on DuckDB: the same views over a Parquet export of the same tables.

    python duckdb_sql.py MARGINALIA CORPUS SCRATCH [--runs 5] [--threads 2]

Runs `marginalia bench sql` first, writes every table of CORPUS to SCRATCH as Parquet (images left out), loads the files into
DuckDB's own tables, makes the views from the texts in store/src/views, and runs the same queries, warm. Prints one JSON
document: milliseconds of both for each query, DuckDB's time ÷ ours, and the geometric mean of these ratios.
"""

import argparse
import json
import math
import re
import statistics
import subprocess
import time
from pathlib import Path

import duckdb

VIEWS = Path(__file__).parents[2] / "store" / "src" / "views"
TABLES = {
    "faces": "select face_id, format, width, height, stream, subject, perceptual_hash, captured_at, ingested_at from faces",
    "sightings": "select * from sightings",
    "labels": "select * from labels",
    "rejects": "select * from rejects",
    "rounds": "select * from rounds",
    "classes": "select * from classes",
    "predictions_all": "select * from predictions",
    "queue_entries_all": "select * from queue_entries",
    "margins_all": "select * from margins",
    "epochs_all": "select * from epochs",
}
FUNCTIONS = [
    "create macro hamming(a, b) as bit_count(xor(a, b))",
    "create macro margin_distance(confidence, margin) as confidence - margin",
    "create macro wilson(k, n, s) as case when n > 0 then (k / n + 1.9207 / n + s * 1.96 * "
    "sqrt((k / n * (1 - k / n) + 0.9604 / n) / n)) / (1 + 3.8415 / n) end",
    "create macro wilson_low(k, n) as wilson(cast(k as double), cast(n as double), -1)",
    "create macro wilson_high(k, n) as wilson(cast(k as double), cast(n as double), 1)",
]


def order():
    """Names of the views, each behind those that it uses."""
    listed = (VIEWS.parent / "views.rs").read_text().split("views![", 1)[1].split("]", 1)[0]
    return re.findall(r'"(\w+)"', listed)


def translated(text, parameters):
    text = re.sub(r"left (semi|anti) join", r"\1 join", text)
    # Here the table has the name, there its column; a microsecond count is a cast here, a function there.
    text = re.sub(r"(generate_series\([^)]*\)) (\w)\b", r"\1 as \2(value)", text)
    text = re.sub(r"(from generate_series\([^)]*\))(?! as)", r"\1 as series(value)", text)
    text = re.sub(r"cast\((\w+\(came_at\)) as bigint\)", r"epoch_us(\1)", text)
    text = text.replace("bigint unsigned", "ubigint").replace("int unsigned", "uinteger")
    for name, value in parameters.items():
        text = text.replace(f"${name}", str(value))
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("marginalia")
    parser.add_argument("corpus")
    parser.add_argument("scratch", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    command = [arguments.marginalia, "--corpus", arguments.corpus]
    measured = subprocess.run([*command, "bench", "sql", "--runs", str(arguments.runs), "--json"], check=True, capture_output=True)
    ours = json.loads(measured.stdout)

    arguments.scratch.mkdir(parents=True, exist_ok=True)
    db = duckdb.connect()
    db.execute(f"set threads = {arguments.threads}")
    for name, query in TABLES.items():
        file = arguments.scratch / f"{name}.parquet"
        if not file.exists():
            subprocess.run([*command, "sql", query, "--format", "parquet", "--output", file], check=True)
        db.execute(f"create table {name} as from read_parquet('{file}')")
    rounds = db.execute("select round from rounds where accepted order by round").fetchall()
    current, previous = rounds[-1][0], rounds[-2][0] if len(rounds) > 1 else 0
    parameters = {
        "candidate_round": current,
        "current_round": current,
        "previous_round": previous,
        "audit_target": 0.9,
        "audit_min_faces": 20,
        "judgements_per_face": 1,
        "accepted_rounds": ", ".join(str(number) for (number,) in rounds),
    }
    for function in FUNCTIONS:
        db.execute(function)
    skipped = {}
    for name in order():
        try:
            db.execute(f"create view {name} as {translated((VIEWS / (name + '.sql')).read_text(), parameters)}")
        except duckdb.Error as error:
            skipped[name] = str(error).splitlines()[0]

    table = []
    for query in ours["queries"]:
        times = []
        try:
            for _ in range(arguments.runs + 1):
                begin = time.perf_counter()
                db.sql(query["sql"]).to_arrow_table()
                times.append(time.perf_counter() - begin)
            theirs = statistics.median(times[1:])
        except duckdb.Error as error:
            skipped[query["query"]] = str(error).splitlines()[0]
            continue
        row = {"query": query["query"], "ours_ms": round(1e3 * query["seconds"], 1), "duckdb_ms": round(1e3 * theirs, 1)}
        table.append({**row, "ratio": round(theirs / query["seconds"], 2)})
    mean = math.exp(statistics.mean(math.log(row["ratio"]) for row in table))
    answer = {
        "queries": table,
        "geometric_mean": round(mean, 2),
        "least": min(row["ratio"] for row in table),
        "skipped": skipped,
        "our_peak_memory": ours["peak_memory"],
        "versions": {"duckdb": duckdb.__version__},
    }
    print(json.dumps(answer, indent=2))


if __name__ == "__main__":
    main()
