"""An annotator's loop beside Label Studio's: submit a label, ask for the next face, fetch its image, while new faces come in.

    python label_studio.py MARGINALIA FACES SCRATCH [--faces 5000] [--clients 1] [--labels N]
                           [--turns 6] [--seconds 15] [--rate 100] [--keep]

FACES is a folder of images by class. Label Studio is installed into SCRATCH/venv, and both stores are filled with the same
images, once; later runs start from copies. More faces than FACES holds are made of its own by noise, each distinct.
How Label Studio is set up stands in label_studio_server.py, how Marginalia is in serving.py: both serve on loopback, both
acknowledge a label when it is on the disk.

Both servers run all the time. In turns, one after the other, annotators work at one of them, each a process with an account and
a keep-alive connection of its own, without a pause: a turn is over after --seconds, or when the side's share of --labels is
given. The first rounds of each annotator and turn are not measured. During a turn new faces come into that side, --rate a second:
as files in Marginalia's watched folder, and for Label Studio as files in the folder it serves and one request a second that
makes tasks of them; one that takes longer is followed by one with all that piled up meanwhile. What fails at the server is
asked again, and the wait counts.

Prints one JSON document: p50 and p95 of the three requests together and the p50 of each, in milliseconds, labels per second,
what came in meanwhile, memory and processor time of the servers, the ratios, and whether every acknowledged label is stored
exactly once. Ends with 1 where one is not.

What a run made of the copies goes when all is measured; where something went wrong it stays, with the servers' logs. --keep
leaves it to whoever measures on: a file system that has just removed many files is slow for minutes.
"""

import argparse
import hashlib
import io
import itertools
import json
import multiprocessing
import os
import platform
import random
import shutil
import sys
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from label_studio_server import MOST_ANNOTATORS, LabelStudio
from serving import CLASSES, Marginalia, NoFaces

WARM_UP = 4
HEAD_START = 2  # Seconds for which faces come in before anything is measured.
FORK = multiprocessing.get_context("fork")


def images_of(folder):
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    if not found:
        sys.exit(f"{folder} holds no .jpg or .png; name a folder of images by class")
    random.Random(1).shuffle(found)
    return found


def draw(source, count, folder):
    """Writes `count` distinct faces by class: those of `source`, then noisy ones made of them."""
    images, seen = images_of(source), set()
    noise = np.random.default_rng(1)
    for number, path in enumerate(itertools.cycle(images)):
        data = path.read_bytes()
        if number >= len(images):
            pixels = np.asarray(Image.open(path).convert("L"), dtype=np.float32)
            noisy = Image.fromarray((pixels + noise.normal(0, 6, pixels.shape)).clip(0, 255).astype(np.uint8))
            out = io.BytesIO()
            noisy.save(out, "PNG")
            data, path = out.getvalue(), path.with_suffix(".png")
        key = hashlib.sha256(data).digest()
        if key in seen:
            continue
        seen.add(key)
        to = folder / path.parent.name / f"{len(seen):06}{path.suffix}"
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_bytes(data)
        if len(seen) == count:
            return


class Feeder(threading.Thread):
    """Brings new faces into a side at a steady rate, or as fast as it takes them."""

    numbers = itertools.count()

    def __init__(self, side, images, rate):
        super().__init__(daemon=True)
        self.side, self.images, self.rate = side, images, rate
        self.done, self.fed, self.seconds, self.error = threading.Event(), 0, 0.0, None

    def run(self):
        began = time.monotonic()
        share = max(1, round(self.rate * self.side.feed_seconds))
        try:
            while not self.done.wait(max(0.0, began + (self.fed + share) / self.rate - time.monotonic())):
                due = int((time.monotonic() - began) * self.rate) - self.fed  # All that piled up during the last request.
                images = [self.new_face(next(self.numbers)) for _ in range(max(share, due))]
                self.side.feed(images)
                self.fed += len(images)
        except BaseException as error:
            self.error = error
        self.seconds = time.monotonic() - began

    def new_face(self, number):
        """An image of the folder, made distinct by bytes after its end."""
        path = self.images[number % len(self.images)]
        return f"fed-{number:07}{path.suffix}", path.read_bytes() + f"{os.getpid()}-{number}".encode()

    def finish(self):
        self.done.set()
        self.join()
        if self.error:
            raise self.error


def hold(*held):
    """What an annotator's process has of the one that forked it."""
    global side, gate
    side, gate = held


def annotate(number, labels, seconds):
    """One annotator's turn: seconds of each request of each measured round, what was acknowledged, what failed."""
    annotator = side.annotator(number)
    choose = random.Random()
    rounds, acknowledged, over = [], [], None

    def judge(face):
        began = time.perf_counter()
        acknowledged.append(annotator.submit(face, choose.choice(CLASSES)))
        submitted = time.perf_counter()
        face, image = annotator.next()
        asked = time.perf_counter()
        if not annotator.ask("GET", image):
            sys.exit(f"{image} of {side.name} is empty")
        return face, (submitted - began, asked - submitted, time.perf_counter() - asked)

    try:
        face, image = annotator.next()
        annotator.ask("GET", image)
        for _ in range(WARM_UP):
            face, _ = judge(face)
    except BaseException:
        gate.abort()
        raise
    gate.wait()
    began = time.monotonic()
    try:
        while len(rounds) < labels and time.monotonic() < began + seconds:
            face, round = judge(face)
            rounds.append(round)
    except NoFaces as error:
        over = str(error)
    return rounds, acknowledged, annotator.failures, over, time.monotonic() - began


class Tally:
    """What annotators of one side measured, over its turns."""

    def __init__(self, side):
        self.side = side
        self.rounds, self.acknowledged, self.failures, self.over = [], [], [], []
        self.rates, self.fed, self.fed_seconds, self.memory, self.processor = [], 0, 0.0, 0, 0.0

    def turn(self, options, images):
        gate = FORK.Barrier(options.clients + 1, timeout=300)
        share = max(1, round(options.labels / options.turns / options.clients))
        _, processor = self.side.usage()
        with ProcessPoolExecutor(options.clients, FORK, initializer=hold, initargs=(self.side, gate)) as people:
            turns = [people.submit(annotate, number, share, options.seconds) for number in range(options.clients)]
            feeder = Feeder(self.side, images, options.rate)
            feeder.start()
            time.sleep(HEAD_START)
            try:
                gate.wait()
            except threading.BrokenBarrierError:
                print(f"an annotator of {self.side.name} did not get to work", file=sys.stderr)
            try:
                turns = [turn.result() for turn in turns]
            finally:
                feeder.finish()
        measured = 0.0
        for rounds, acknowledged, failures, over, seconds in turns:
            self.rounds += rounds
            self.acknowledged += acknowledged
            self.failures += failures
            self.over += [over] if over else []
            measured = max(measured, seconds)
        self.rates.append((sum(len(turn[0]) for turn in turns), measured))
        self.fed += feeder.fed
        self.fed_seconds += feeder.seconds
        memory, after = self.side.usage()
        self.memory = max(self.memory, memory)
        self.processor += after - processor

    def document(self):
        """The figures; to be asked for after the side has stopped."""
        whole = [sum(round) for round in self.rounds]
        labels, seconds = (sum(part) for part in zip(*self.rates))
        return {
            "p50_ms": quantile(whole, 0.5),
            "p95_ms": quantile(whole, 0.95),
            "p99_ms": quantile(whole, 0.99),
            "longest_ms": quantile(whole, 1.0),
            "p50_ms_of": {name: quantile(part, 0.5) for name, part in zip(("submit", "next", "image"), zip(*self.rounds))},
            "p95_ms_of": {name: quantile(part, 0.95) for name, part in zip(("submit", "next", "image"), zip(*self.rounds))},
            "labels": labels,
            "labels_per_second": round(labels / seconds, 1),
            "fed": self.fed,
            "fed_per_second": round(self.fed / self.fed_seconds, 1),
            "arrived": self.side.fed(),
            "failed_requests": len(self.failures),
            "failures": sorted(set(self.failures))[:3],
            "ran_out": self.over[:3],
            "memory_bytes": self.memory,
            "processor_seconds": round(self.processor, 1),
            "durable": self.side.durable,
            "check": self.check(),
        }

    def check(self):
        """Every acknowledged label against the store of the stopped server."""
        stored = self.side.stored()
        known, acknowledged = {}, set(self.acknowledged)
        for row in stored:
            known[row] = known.get(row, 0) + 1
        faces = [face for _, face, _, _ in self.acknowledged]
        return {
            "acknowledged": len(self.acknowledged),
            "stored": len(stored),
            "missing": sum(row not in known for row in self.acknowledged),
            "stored_more_than_once": sum(known.get(row, 0) > 1 for row in acknowledged),
            "never_acknowledged": sum(row not in acknowledged for row in stored),
            "faces_judged_twice": len(faces) - len(set(faces)),
        }


def quantile(values, share):
    values = sorted(values)
    return round(1000 * values[round((len(values) - 1) * share)], 2) if values else None


def prepare(side, faces):
    """Fills the side's store, unless that was done; seconds it took, None where it was there."""
    done = side.prepared.with_name(side.prepared.name + ".done")
    if done.exists():
        return None
    print(f"filling {side.name} with {faces} faces …", file=sys.stderr)
    shutil.rmtree(side.prepared, ignore_errors=True)
    began = time.monotonic()
    side.prepare()
    seconds = round(time.monotonic() - began, 1)
    done.write_text(f"{seconds}\n")
    return seconds


def machine():
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    return f"{model}, {os.cpu_count()} cores"


def compare(options, sides):
    """Both sides in turn."""
    images = images_of(options.source)
    tallies = {side.name: Tally(side) for side in sides}
    load = [round(os.getloadavg()[0], 2)]
    try:
        for side in sides:
            side.start()
        for turn in range(options.turns):
            for tally in tallies.values():
                print(f"turn {turn + 1} of {options.turns}, {tally.side.name} …", file=sys.stderr)
                tally.turn(options, images)
            load.append(round(os.getloadavg()[0], 2))
    finally:
        for side in sides:
            side.stop()
    ours, peer = (tally.document() for tally in tallies.values())
    return {
        "faces": options.faces,
        "clients": options.clients,
        "ours": ours,
        "label_studio": peer,
        "ratio": {name: round(peer[f"{name}_ms"] / ours[f"{name}_ms"], 1) for name in ("p50", "p95")},
        "load": load,
        "machine": machine(),
        "versions": sides[0].versions() | sides[1].versions(),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("marginalia", type=Path)
    parser.add_argument("source", metavar="faces", type=Path)
    parser.add_argument("scratch", type=Path)
    parser.add_argument("--faces", type=int, default=5000)
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--labels", type=int, help="of a side at most; default 3000, or 3 of 5 faces where that is less")
    parser.add_argument("--turns", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=15, help="of a turn at most")
    parser.add_argument("--rate", type=float, default=100, help="faces a second that come in meanwhile")
    parser.add_argument("--keep", action="store_true", help="remove nothing of this run")
    options = parser.parse_args()
    if not 1 <= options.clients <= MOST_ANNOTATORS:
        parser.error(f"--clients is {options.clients}; valid: 1 to {MOST_ANNOTATORS}")
    if not options.marginalia.is_file():
        parser.error(f"{options.marginalia} is no program; build it with `cargo build --workspace`")
    options.labels = options.labels or min(3000, options.faces * 3 // 5)
    scratch = options.scratch.resolve()
    scratch.mkdir(parents=True, exist_ok=True)
    # New each time, and nothing is removed before: ext4 without a journal does not give inodes away again for five minutes,
    # and whoever makes files next looks for others, one by one.
    filled, run = scratch / f"faces-{options.faces}", Path(tempfile.mkdtemp(prefix="run-", dir=scratch))
    faces = filled / "faces"
    if not (filled / "drawn").exists():
        shutil.rmtree(filled, ignore_errors=True)
        draw(options.source, options.faces, faces)
        (filled / "drawn").touch()
    sides = [Marginalia(options.marginalia.resolve(), faces, filled, run), LabelStudio(scratch, faces, filled, run)]
    sides[1].install()
    filling = {side.name: prepare(side, options.faces) for side in sides}
    document = compare(options, sides) | {"filling_seconds": filling}
    print(json.dumps(document))
    for name in ("ours", "label_studio"):
        check = document[name]["check"]
        if check["missing"] or check["stored_more_than_once"]:
            sys.exit(f"{name} lost or doubled acknowledged labels: {check}")
    if not options.keep:
        for left in (run, sides[1].arrivals):
            shutil.rmtree(left)


if __name__ == "__main__":
    main()
