"""From a file's close to its row, and to its prediction, while `marginalia run INBOX` (or `ingest --watch`) is running.

    python latency.py CORPUS INBOX FACES [--files N] [--rate PER_SECOND]

Copies N images of the folder FACES into INBOX, each made distinct by bytes after its end, at the given rate, and polls the
tables with pylance, as a reader outside the process would. Prints one JSON document with percentiles in milliseconds.
Predictions are counted only where a round has been committed before.
"""

import argparse
import json
import os
import threading
import time
from pathlib import Path

import lance


def quantile(values, share):
    values = sorted(values)
    return round(1000 * values[round((len(values) - 1) * share)], 1) if values else None


class Poller(threading.Thread):
    """Notes when each face is first seen in a table."""

    def __init__(self, table, column):
        super().__init__(daemon=True)
        self.path, self.column = str(table), column
        self.seen, self.done = {}, threading.Event()
        self.known = lance.dataset(self.path).count_rows()

    def run(self):
        version = None
        while not self.done.is_set():
            dataset = lance.dataset(self.path)
            if dataset.version == version:
                time.sleep(0.01)
                continue
            version = dataset.version
            now = time.time()
            rows = dataset.to_table(columns=[self.column], offset=self.known)
            self.known += rows.num_rows
            for value in rows.column(0).to_pylist():
                self.seen.setdefault(value, now)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("inbox", type=Path)
    parser.add_argument("faces", type=Path)
    parser.add_argument("--files", type=int, default=500)
    parser.add_argument("--rate", type=float, default=50)
    options = parser.parse_args()
    tables = options.corpus / "tables"
    rows = Poller(tables / "sightings.lance", "source")
    predictions = Poller(tables / "predictions.lance", "face_id")
    rows.start()
    predictions.start()
    images = sorted(path for path in options.faces.rglob("*") if path.suffix.lower() in (".jpg", ".png"))
    closed, begin = {}, time.time()
    for number in range(options.files):
        time.sleep(max(0, begin + number / options.rate - time.time()))
        path = options.inbox / f"latency-{os.getpid()}-{number:06}.jpg"
        path.write_bytes(images[number % len(images)].read_bytes() + f"{os.getpid()}-{number}".encode())
        closed[str(path.resolve())] = time.time()
    deadline = time.time() + 30
    while time.time() < deadline and len(rows.seen.keys() & closed.keys()) < options.files:
        time.sleep(0.05)
    time.sleep(5)
    rows.done.set()
    predictions.done.set()
    by_source = lance.dataset(str(tables / "sightings.lance")).to_table(columns=["source", "face_id"]).to_pylist()
    face_of = {row["source"]: row["face_id"] for row in by_source}
    visible = [rows.seen[path] - at for path, at in closed.items() if path in rows.seen]
    scored = [predictions.seen[face_of[path]] - at for path, at in closed.items() if face_of.get(path) in predictions.seen]
    print(
        json.dumps(
            {
                "files": options.files,
                "visible": len(visible),
                "visible_p50_ms": quantile(visible, 0.5),
                "visible_p95_ms": quantile(visible, 0.95),
                "scored": len(scored),
                "scored_p50_ms": quantile(scored, 0.5),
                "scored_p95_ms": quantile(scored, 0.95),
            }
        )
    )


main()
