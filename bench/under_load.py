"""SQL over the network while faces come in and a round trains: how fast it answers, what fails, what the round pays.

    python under_load.py point MARGINALIA CORPUS FACES [--rate 200] [--seconds 60]
    python under_load.py mixed MARGINALIA CORPUS FACES [--rate 50] [--queries 2000] [--connections 16]
                               [--epochs 6] [--steps 50]

Both serve CORPUS by `marginalia serve` and copy images of the folder FACES at the given rate into one that `ingest
--watch` looks after, each made distinct by bytes after its end. Two processes and not the one of `run`, so that memory
and cores of the server are its own, and no round begins but the one that is meant. Measuring begins once a face is in.

`point` asks in turns, on one kept connection and without a pause, for the first hundred of `queue` and for one face of
`corpus`, another one each time. A question's time ends with the last byte of its answer.

`mixed` trains two rounds with the corpus's settings: one alone, then one while connections ask the queries of `bench
sql` by chance, until the round is over and enough were asked; half of the connections speak HTTP and half PostgreSQL's
protocol, all of them HTTP where psycopg is not installed. Who is put off (429) comes back when told to, and the wait
counts. Others that take cores slow a step down: `slowed_by_expected` is what their share of the cores explains; it says
little where much went on `elsewhere`.

The last round of CORPUS should have been trained. Where `bench corpus` drew it `mixed` cannot go on from it, and under
`point` faces come in without being scored, and `ingest` ends with 1 for it.

Faces and rounds stay in CORPUS: take a copy. Prints one JSON document, and ends with 1 where an answer was no success
or `verify` found something. For Linux; nothing but Python's own library is needed.
"""

import argparse
import http.client
import itertools
import json
import multiprocessing
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from soak import feed, images_of, resident

try:
    import psycopg
except ImportError:
    psycopg = None

PATIENCE = 180
POINTS = [
    ("queue", "select * from queue order by rank limit 100"),
    ("corpus", f"select * from corpus where face_id = '{'0' * 64}'"),
]


class Stream:
    """A server of the corpus, and new faces coming into it, as long as the `with` lasts."""

    def __init__(self, options, *arguments):
        self.command = [options.marginalia, "--corpus", options.corpus, "--json"]
        self.arguments, self.rate, self.images = arguments, options.rate, images_of(options.faces)
        self.name = f"under-load-{os.getpid()}-{int(time.time())}"

    def __enter__(self):
        serve = [*self.command, "serve", "--addr", "127.0.0.1:0", *self.arguments]
        self.serve = subprocess.Popen(serve, stdout=subprocess.PIPE, text=True)
        self.folder = tempfile.TemporaryDirectory(prefix=self.name)
        inbox = Path(self.folder.name)
        ingest = [*self.command, "ingest", inbox, "--watch", "--stream", self.name]
        self.ingest = subprocess.Popen(ingest, stdout=subprocess.DEVNULL)
        # A process of its own: a thread would take turns with those that ask.
        feeding = (inbox, self.images, self.rate, float("inf"), [0], self.name)
        self.feeder = multiprocessing.Process(target=feed, args=feeding)
        self.feeder.start()
        try:
            self.served = json.loads(self.serve.stdout.readline() or sys.exit("serve did not start"))
            self.wait_for_faces()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.feeder.terminate()
        self.feeder.join()
        for process in (self.ingest, self.serve):
            process.send_signal(signal.SIGINT)
        self.exit_codes = {"ingest": self.ingest.wait(), "serve": self.serve.wait()}
        self.folder.cleanup()

    def wait_for_faces(self):
        deadline = time.monotonic() + PATIENCE
        while not self.so_far()[1]:
            if self.ingest.poll() is not None or time.monotonic() > deadline:
                sys.exit("no face came in")
            time.sleep(0.2)

    def rows(self, query):
        return Http(self).ask(query)[1]

    def so_far(self):
        """The time, and how many faces have come in."""
        return time.monotonic(), self.rows(f"select count(*) as n from faces where stream = '{self.name}'")[0]["n"]

    def ingested_since(self, begin):
        (begun, before), (now, after) = begin, self.so_far()
        return {"ingested": after - before, "ingested_per_second": round((after - before) / (now - begun), 1)}

    def some_faces(self):
        """Ids of the corpus, drawn by chance."""
        return [row["face_id"] for row in self.rows("select face_id from corpus order by random() limit 1000")]

    def processes(self):
        return {"serve": self.serve.pid, "ingest": self.ingest.pid, "feeder": self.feeder.pid, "clients": os.getpid()}


class Http:
    """A kept connection to /api/sql."""

    def __init__(self, stream):
        self.connection = http.client.HTTPConnection(stream.served["http"], timeout=PATIENCE)

    def ask(self, query):
        """Seconds until the answer was there, its rows, and how often it was put off."""
        begin = time.monotonic()
        for put_off in itertools.count():
            body, headers = json.dumps({"query": query}), {"Content-Type": "application/json"}
            self.connection.request("POST", "/api/sql", body, headers)
            answer = self.connection.getresponse()
            content = answer.read()
            if answer.status != 429:
                break
            time.sleep(float(answer.headers["Retry-After"]))
        seconds = time.monotonic() - begin
        if answer.status != 200:
            raise RuntimeError(f"{answer.status} {content.decode(errors='replace')}")
        return seconds, json.loads(content)["rows"], put_off


class Postgres:
    """A connection of PostgreSQL's protocol."""

    def __init__(self, stream):
        host, port = stream.served["postgres"].rsplit(":", 1)
        self.connection = psycopg.connect(host=host, port=port, user="anybody", dbname="marginalia", autocommit=True)

    def ask(self, query):
        begin = time.monotonic()
        rows = self.connection.execute(query).fetchall()
        return time.monotonic() - begin, rows, 0


class Tally:
    """What was asked of a stream's server and what came of it."""

    def __init__(self, stream, queries):
        self.stream, self.queries, self.faces = stream, queries, stream.some_faces()
        self.lock, self.answers, self.errors, self.put_off = threading.Lock(), [], [], 0

    def ask(self, kind, order, wanted):
        """Asks the queries of `order`, on one connection as long as nothing goes wrong."""
        client = None
        while wanted(len(self.answers) + len(self.errors)):
            name, query = next(order)
            query = re.sub("'[0-9a-f]{64}'", f"'{random.choice(self.faces)}'", query)
            try:
                client = client or kind(self.stream)
                seconds, rows, put_off = client.ask(query)
            except Exception as error:  # Whatever it is: to count them is what this is for.
                client = None
                self.errors.append(f"{kind.__name__}, {name}: {error!r}")
                time.sleep(1)
            else:
                with self.lock:
                    self.put_off += put_off
                    self.answers.append((kind.__name__, name, time.monotonic(), seconds, len(rows)))

    def by(self, part):
        """Counts, times and rows by protocol (0) or by query (1)."""
        ordered = sorted(self.answers, key=lambda answer: (answer[part], answer[3]))
        return {key: summary(list(answers)) for key, answers in itertools.groupby(ordered, lambda answer: answer[part])}

    def outcome(self):
        return {"errors": len(self.errors), "first_errors": self.errors[:5], "put_off": self.put_off}


def summary(answers):
    """Of answers that begin with the fastest."""
    times = [round(1000 * seconds, 1) for *_, seconds, _ in answers]
    rows = [rows for *_, rows in answers]
    share = lambda part: times[round((len(times) - 1) * part)]
    spread = {"p50_ms": share(0.5), "p95_ms": share(0.95), "max_ms": times[-1]}
    return {"count": len(times), **spread, "rows": [min(rows), max(rows)]}


class Round:
    """A round in a process of its own: what its steps took, and who used the cores meanwhile."""

    def __init__(self, options, others):
        schedule = ["--epochs", str(options.epochs), "--steps", str(options.steps)]
        command = [options.marginalia, "--corpus", options.corpus, "--json", "train", *schedule]
        training = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        processes = {"train": training.pid, **others}
        steps, self.epoch_seconds, self.begun = [], [], None
        for line in training.stdout:
            now, event = time.monotonic(), json.loads(line)
            if event.get("event") == "epoch_step":
                if self.begun is None:
                    self.begun, at_first = now, used(processes)
                # Ahead of an epoch's first step the teacher was measured.
                if event["step"] > 1:
                    steps.append(now - last_step)
                last_step = now
            elif event.get("event") == "epoch_finished":
                self.epoch_seconds.append(round(event["seconds"], 2))
                self.ended, at_last = now, used(processes)
        if training.wait() or not steps:
            sys.exit(f"train ended with {training.returncode} after {len(steps)} steps")
        self.step_seconds = statistics.mean(steps)
        spent = {name: at_last[name] - at_first[name] for name in at_last}
        spent["elsewhere"] = spent.pop("machine") - sum(spent[name] for name in processes)
        self.cores = {name: round(seconds / (self.ended - self.begun), 2) for name, seconds in spent.items()}


def used(processes):
    """Seconds of processor time so far, of each process and of the whole machine."""
    ticks = {}
    for name, pid in processes.items():
        user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        ticks[name] = int(user) + int(system)
    user, nice, system, _, _, interrupts, late, stolen = Path("/proc/stat").read_text().split()[1:9]
    ticks["machine"] = sum(map(int, (user, nice, system, interrupts, late, stolen)))
    return {name: part / os.sysconf("SC_CLK_TCK") for name, part in ticks.items()}


def point(options):
    with Stream(options) as stream:
        tally = Tally(stream, POINTS)
        begin, until = stream.so_far(), time.monotonic() + options.seconds
        tally.ask(Http, itertools.cycle(POINTS), lambda _: time.monotonic() < until)
        ingested = stream.ingested_since(begin)
        status = Path(f"/proc/{stream.serve.pid}/status").read_text()
    return {
        **tally.by(1),
        **tally.outcome(),
        **ingested,
        "serve_memory_peak_mb": round(int(re.search(r"VmHWM:\s+(\d+)", status)[1]) * 1024 / 1e6),
        "exit_codes": stream.exit_codes,
    }


def mixed(options):
    command = [options.marginalia, "--corpus", options.corpus]
    alone = Round(options, {})
    listed = subprocess.run([*command, "bench", "sql", "--runs", "1", "--json"], check=True, capture_output=True)
    queries = [(query["query"], query["sql"]) for query in json.loads(listed.stdout)["queries"]]
    with Stream(options, "--postgres", "127.0.0.1:0") as stream:
        tally, begin = Tally(stream, queries), stream.so_far()
        kinds = [Postgres if psycopg and number % 2 else Http for number in range(options.connections)]
        under_load, memory = ask_beside_round(options, stream, tally, kinds)
        ingested = stream.ingested_since(begin)
    verified = subprocess.run([*command, "verify"], capture_output=True, text=True)
    cores, taken = len(os.sched_getaffinity(0)), sum(under_load.cores[name] for name in stream.processes())
    both = {"alone": alone, "under_load": under_load}
    return {
        "answers": tally.by(0),
        "answers_while_training": sum(under_load.begun <= at <= under_load.ended for _, _, at, _, _ in tally.answers),
        "queries": tally.by(1),
        **tally.outcome(),
        **ingested,
        "step_seconds": {name: round(each.step_seconds, 4) for name, each in both.items()},
        "epoch_seconds": {name: each.epoch_seconds for name, each in both.items()},
        "cores_used": {name: each.cores for name, each in both.items()},
        "cores": cores,
        "cores_taken_by_others": round(taken, 2),
        "step_slowed_by": round(under_load.step_seconds / alone.step_seconds, 2),
        "slowed_by_expected": round(cores / (cores - taken), 2),
        "serve_memory_mb": memory,
        "exit_codes": stream.exit_codes,
        "verify_exit_code": verified.returncode,
        "verify": verified.stdout.strip().splitlines()[-1:],
    }


def ask_beside_round(options, stream, tally, kinds):
    """The round that trains while a connection of each kind asks, and the server's memory meanwhile."""
    over, memory = threading.Event(), []

    def ask(kind):
        order = iter(lambda: random.choice(tally.queries), None)
        tally.ask(kind, order, lambda asked: asked < options.queries or not over.is_set())

    asking = [threading.Thread(target=ask, args=(kind,), daemon=True) for kind in kinds]

    def watch():
        while any(thread.is_alive() for thread in asking):
            memory.append(resident(stream.serve.pid)[0] / 1e6)
            time.sleep(1)

    watching = threading.Thread(target=watch, daemon=True)
    for thread in (*asking, watching):
        thread.start()
    under_load = Round(options, stream.processes())
    over.set()
    for thread in (*asking, watching):
        thread.join()
    third = lambda part: memory[len(memory) * part // 3 : len(memory) * (part + 1) // 3] or memory
    means = [round(statistics.mean(third(part))) for part in range(3)]
    return under_load, {"first": round(memory[0]), "mean_of_thirds": means, "peak": round(max(memory))}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    measures = parser.add_subparsers(required=True)
    for measure, settings in (
        (point, {"rate": 200.0, "seconds": 60.0}),
        (mixed, {"rate": 50.0, "queries": 2000, "connections": 16, "epochs": 6, "steps": 50}),
    ):
        part = measures.add_parser(measure.__name__)
        part.set_defaults(measure=measure)
        part.add_argument("marginalia")
        part.add_argument("corpus", type=Path)
        part.add_argument("faces", type=Path)
        for name, value in settings.items():
            part.add_argument(f"--{name}", type=type(value), default=value)
    options = parser.parse_args()
    document = options.measure(options)
    print(json.dumps(document, indent=2))
    sys.exit(bool(document["errors"] or document.get("verify_exit_code")))


if __name__ == "__main__":
    main()
