"""Several hosts ingest into one corpus on an S3 server: what is lost, what is doubled, how long a face takes.

    python many_ingesters.py MARGINALIA FACES [--hosts 4] [--seconds 60] [--rate 20] [--shared 0.2] [--dedup auto]
                             [--maintenance-every 5] [--within SECONDS]

Starts the server of the tests (moto, `make tools` puts a Python that has it into target/s3/venv: run this with it),
makes a corpus there and runs `ingest --watch` for each host with a working folder of its own, so that nothing but the
store connects them. Images of the folder FACES are copied into each host's inbox at the given rate, distinct by bytes
after their end; a share of them comes to all hosts at once with the same bytes. One of the processes compacts and
cleans up meanwhile, whichever holds the lease.

A face is acknowledged once its process says so in its progress; of files the k-th that was closed counts when k were
taken in. Prints one JSON document: acknowledged faces, those of them that are lost, faces that some view shows twice,
seconds from a file's close to its acknowledgement, what maintenance did meanwhile, copies that the table held before
and after it, and each writer as `status` showed it near the end. Ends with 1 where anything was lost, doubled or never
acknowledged, where `verify` found something, and where 95 % took longer than `--within`.
Server, hosts and this script share the machine's cores: times are theirs together. Nothing but Python's own library
and moto is needed.
"""

import argparse
import bisect
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from soak import images_of

URI = "s3://faces/corpora/many"
SERVER = Path(__file__).resolve().parent.parent / "store/tests/it/remote/server.py"

DOUBLED = {
    view: f"select count(*) as n from (select face_id from {view} group by face_id having count(*) > 1)"
    for view in ("unlabelled", "queue")
}
# Not one row per face, but the sum of the new ones.
DOUBLED["ingest_rate"] = (
    "select cast((select sum(faces) from ingest_rate) as bigint) - (select count(distinct face_id) from faces) as n"
)


class Host:
    """A process that ingests, what is put before it, and what it says."""

    def __init__(self, store, number, images, options):
        self.number, self.images, self.options = number, images, options
        self.inbox = store.folder / f"inbox-{number}"
        self.inbox.mkdir()
        self.closed, self.said, self.counts, self.maintained = [], [], {}, 0
        command = ["--json", "ingest", self.inbox, "--watch", "--stream", f"host-{number}"]
        self.process = store.start(command, number)
        self.listening = threading.Thread(target=self.listen, daemon=True)
        self.listening.start()

    def listen(self):
        for line in self.process.stdout:
            event = json.loads(line)
            self.maintained += event.get("event") == "maintained"
            if event.get("event") in ("ingest_progress", "ingest_finished"):
                self.counts = {name: event[name] for name in ("seen", "new", "repeats", "rejected")}
                self.said.append((event["seen"], time.monotonic()))

    def feed(self, until):
        """Copies images at a steady rate; every so many come to all hosts."""
        begin, every = time.monotonic(), round(1 / self.options.shared) if self.options.shared else 0
        while time.monotonic() < until:
            number = len(self.closed)
            time.sleep(max(0, begin + number / self.options.rate - time.monotonic()))
            whose = "all" if every and number % every == 0 else self.number
            part = self.inbox / f".{number:09}.part"
            part.write_bytes(self.images[number % len(self.images)].read_bytes() + f"{whose}-{number}".encode())
            path = self.inbox / f"{number:09}.jpg"
            part.rename(path)
            self.closed.append((str(path.resolve()), time.monotonic()))

    @property
    def seen(self):
        return self.said[-1][0] if self.said else 0

    def waits(self):
        """Seconds from each file's close to its acknowledgement."""
        totals = [total for total, _ in self.said]
        acknowledged = self.closed[: self.seen]
        return [
            self.said[bisect.bisect_left(totals, number)][1] - at for number, (_, at) in enumerate(acknowledged, 1)
        ]


class Store:
    """An S3 server with a corpus; ends with the `with`."""

    def __init__(self, options):
        self.options = options

    def __enter__(self):
        self.scratch = tempfile.TemporaryDirectory(prefix="many-ingesters-")
        self.folder = Path(self.scratch.name).resolve()
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.server = subprocess.Popen([sys.executable, SERVER], **pipes, text=True)
        self.port = self.server.stdout.readline().strip() or sys.exit("no S3 server: does this Python have moto?")
        local = self.folder / "corpus"
        subprocess.run([self.options.marginalia, "init", local], check=True, capture_output=True)
        settings = local / "marginalia.toml"
        text = settings.read_text()
        for line, value in [
            ('dedup = "auto"', f'dedup = "{self.options.dedup}"'),
            ("maintenance_every_seconds = 60", f"maintenance_every_seconds = {self.options.maintenance_every}"),
            ("cleanup_every_seconds = 300", f"cleanup_every_seconds = {2 * self.options.maintenance_every}"),
        ]:
            if line not in text:
                sys.exit(f"the settings have no line `{line}`")
            text = text.replace(line, value)
        settings.write_text(text)
        self.run("--corpus", local, "backup", "s3://faces/backup")
        self.run("restore", "s3://faces/backup", URI)
        return self

    def __exit__(self, *_):
        self.server.kill()
        self.server.wait()
        self.scratch.cleanup()

    def environment(self, host):
        return {
            **os.environ,
            "MARGINALIA_CORPUS": URI,
            "MARGINALIA_CACHE": str(self.folder / f"host-{host}"),
            "AWS_ENDPOINT": f"http://127.0.0.1:{self.port}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
        }

    def start(self, command, host):
        log = open(self.folder / f"host-{host}.log", "w")
        command = [self.options.marginalia, *command]
        return subprocess.Popen(command, env=self.environment(host), stdout=subprocess.PIPE, stderr=log, text=True)

    def run(self, *command, check=True):
        """Runs on a host that takes no faces in."""
        command = [self.options.marginalia, *command]
        done = subprocess.run(command, env=self.environment("looking"), capture_output=True, text=True)
        if check and done.returncode:
            sys.exit(f"{command}: {done.stderr}")
        return done

    def rows(self, query):
        return [json.loads(line) for line in self.run("sql", query, "--format", "jsonl").stdout.splitlines()]

    def number(self, query):
        return self.rows(query)[0]["n"]


def quantile(values, share):
    values = sorted(values)
    return round(values[round((len(values) - 1) * share)], 3) if values else None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("marginalia")
    parser.add_argument("faces", type=Path)
    parser.add_argument("--hosts", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=float, default=20)
    parser.add_argument("--shared", type=float, default=0.2)
    parser.add_argument("--dedup", choices=("auto", "lookup", "view"), default="auto")
    parser.add_argument("--maintenance-every", type=int, default=5)
    parser.add_argument("--within", type=float, default=float("inf"))
    options = parser.parse_args()
    images = images_of(options.faces) or sys.exit(f"no images in {options.faces}")
    with Store(options) as store:
        hosts = [Host(store, number, images, options) for number in range(options.hosts)]
        # Until all are there: their start is not what is measured.
        deadline = time.monotonic() + 120
        while len(json.loads(store.run("--json", "status").stdout)["writers"]) < options.hosts:
            if time.monotonic() > deadline or any(host.process.poll() is not None for host in hosts):
                sys.exit("not all hosts started")
            time.sleep(0.5)
        until = time.monotonic() + options.seconds
        feeding = [threading.Thread(target=host.feed, args=(until,)) for host in hosts]
        for thread in feeding:
            thread.start()
        for thread in feeding:
            thread.join()
        deadline = time.monotonic() + 120
        while any(host.seen < len(host.closed) for host in hosts) and time.monotonic() < deadline:
            time.sleep(0.1)
        # Each says every ten seconds what it has done.
        time.sleep(11)
        writers = json.loads(store.run("--json", "status").stdout)["writers"]
        for host in hosts:
            host.process.send_signal(signal.SIGINT)
        codes = [host.process.wait() for host in hosts]
        for host in hosts:
            host.listening.join()
        acknowledged = {path for host in hosts for path, _ in host.closed[: host.seen]}
        stored = store.rows("select distinct s.source from sightings s join faces f on s.face_id = f.face_id")
        lost = acknowledged - {row["source"] for row in stored}
        doubled = {view: store.number(query) for view, query in DOUBLED.items()}
        copies = "select count(*) - count(distinct face_id) as n from faces"
        before = store.number(copies)
        store.run("compact")
        after = store.number(copies)
        verified = store.run("verify", check=False)
        waits = [wait for host in hosts for wait in host.waits()]
        result = {
            "hosts": options.hosts,
            "dedup": options.dedup,
            "seconds": options.seconds,
            "fed": sum(len(host.closed) for host in hosts),
            "acknowledged": len(acknowledged),
            "distinct_faces": store.number("select count(distinct face_id) as n from faces"),
            "counts": [host.counts for host in hosts],
            "lost": len(lost),
            "doubled_in_views": doubled,
            "acknowledged_after_p50_s": quantile(waits, 0.5),
            "acknowledged_after_p95_s": quantile(waits, 0.95),
            "acknowledged_after_max_s": quantile(waits, 1),
            "maintained": sum(host.maintained for host in hosts),
            "copies_in_table": before,
            "copies_after_maintenance": after,
            "writers": writers,
            "exit_codes": codes,
            "verify_exit_code": verified.returncode,
            "verify": verified.stdout.strip().splitlines()[-3:],
        }
    print(json.dumps(result, indent=2))
    late = result["fed"] > len(acknowledged) or quantile(waits, 0.95) > options.within
    sys.exit(1 if lost or any(doubled.values()) or late or any(codes) or verified.returncode else 0)


if __name__ == "__main__":
    main()
