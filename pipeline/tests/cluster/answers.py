"""The same rows from everywhere: the queries that `bench sql` asks and all views, here, on the cluster and through psql."""

import csv
import io
import json
import math
import shutil
import subprocess
from datetime import datetime

from cluster import SCHEDULER
from machines import WORK, end

# How psql is to write null, which no value of ours is.
NULL = "<null>"


def views_have_the_same_rows_there(world, cluster):
    """The queries and their rows."""
    asked = [query["sql"] for query in world.json("bench", "sql", "--runs", 1)["queries"]]
    named = "table_type = 'VIEW' and table_schema = 'public'"
    views = world.rows(f"select table_name as name from information_schema.tables where {named}")
    assert len(asked) == 12 and len(views) > 40, f"{len(asked)} queries, {len(views)} views"
    here = {sql: world.rows(sql) for sql in [*asked, *(f"select * from {view['name']}" for view in views)]}
    compare(cluster, here, lambda sql: world.rows(sql, "--cluster", SCHEDULER))
    return here


def and_so_through_psql(world, cluster, here):
    if not shutil.which("psql"):
        print("  SKIPPED (no psql: `make tools` installs it)")
        return
    serving = world.start(*"serve --json --addr 127.0.0.1:0 --postgres 127.0.0.1:0 --cluster".split(), SCHEDULER)
    port = json.loads(serving.stdout.readline())["postgres"].rsplit(":", 1)[1]
    compare(cluster, here, lambda sql: through_psql(port, sql, here[sql]))
    end(serving)


def compare(cluster, here, ask):
    before = cluster.jobs()
    for sql, rows in here.items():
        rows, there = in_order(rows), in_order(ask(sql))
        assert same(rows, there), f"{sql}\nhere  {rows[:3]}\nthere {there[:3]}"
    ran = cluster.jobs() - before
    assert ran > len(here) / 3, f"only {ran} of {len(here)} queries ran on the cluster"
    print(f"  {len(here)} queries, {sum(map(len, here.values()))} rows, {ran} jobs")


def through_psql(port, sql, alike):
    """Rows as psql writes them, each value as what its column holds in rows that are alike."""
    words = f"psql -Xq --csv -P null={NULL} -h 127.0.0.1 -p {port} -U anybody -d x -c".split()
    done = subprocess.run([*words, sql], capture_output=True, text=True, timeout=WORK)
    assert done.returncode == 0, f"{sql}: {done.stderr}"
    examples = {name: value for row in alike for name, value in row.items()}
    return [
        {name: typed(text, examples.get(name)) for name, text in row.items() if text != NULL}
        for row in csv.DictReader(io.StringIO(done.stdout))
    ]


def typed(text, example):
    if isinstance(example, bool):
        return {"t": True, "f": False}[text]
    if isinstance(example, list):
        # Lists here are of numbers; PostgreSQL writes them in braces.
        return json.loads(f"[{text[1:-1]}]")
    return type(example)(text) if isinstance(example, (int, float)) else text


def same(a, b):
    """Equal, floats to 1e-9, times however they are written."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float) or isinstance(b, float):
        return a is not None and b is not None and math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9)
    return a == b or (time(a) is not None and time(a) == time(b))


def time(value):
    try:
        return datetime.fromisoformat(value.removesuffix("Z")).replace(tzinfo=None)
    except (AttributeError, ValueError):
        return None


def in_order(rows):
    rounded = lambda value: f"{value:.6g}" if isinstance(value, float) else str(value)
    return sorted(rows, key=lambda row: [rounded(value) for value in row.values()])
