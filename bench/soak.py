"""`marginalia run` under a steady stream: memory, versions and files over time.

    python soak.py MARGINALIA FOLDER FACES [--minutes 30] [--rate 200] [--label-every 20] [--labels 20]

FACES holds a folder of images per class. Makes a corpus in FOLDER with that many known labels per class, runs
`marginalia run` on it with rounds of `resnet-tiny`, and copies images into the watched folder at the given rate, each made
distinct by bytes after its end, while the command line labels the top of the queue now and then. Once a second the
process's resident memory is read, once in ten the number of versions and files. Ends `run` with Ctrl-C, has `verify`
read everything, and prints one JSON document: means and peaks per third, the growth of the last third over the second,
and what was written. Nothing but Python's own library is needed.
"""

import argparse
import json
import random
import signal
import subprocess
import threading
import time
from pathlib import Path


def images_of(folder):
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".png"))


def feed(inbox, images, rate, until, count, mark="soak"):
    """Copies images at a steady rate, distinct by `mark` and their number; `count` says how many there were."""
    begin = time.monotonic()
    while time.monotonic() < until:
        due = int((time.monotonic() - begin) * rate)
        while count[0] < due:
            image = images[count[0] % len(images)]
            part = inbox / f".{count[0]:09}.part"
            part.write_bytes(image.read_bytes() + f"{mark}-{count[0]}".encode())
            part.rename(inbox / f"{count[0]:09}.jpg")
            count[0] += 1
        time.sleep(0.02)


def label(program, corpus, classes, every, until, count, errors):
    """Labels the top of the queue from the command line."""
    choose = random.Random(1)
    while time.monotonic() < until:
        time.sleep(every)
        query = "select face_id from queue order by rank limit 3"
        found = subprocess.run([program, "--corpus", corpus, "sql", query, "--format", "jsonl"], capture_output=True, text=True)
        for line in found.stdout.splitlines():
            done = subprocess.run(
                [program, "--corpus", corpus, "label", json.loads(line)["face_id"], choose.choice(classes)],
                capture_output=True,
                text=True,
            )
            count[0] += done.returncode == 0
            if done.returncode:
                errors.append(done.stderr.strip())
        if found.returncode:
            errors.append(found.stderr.strip())


def resident(pid):
    """Resident memory of a process and of that the part that is no file's, bytes."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    return tuple(int(fields[name].split()[0]) * 1024 for name in ("VmRSS", "RssAnon"))


def stored(corpus):
    """Versions of all tables, and files."""
    versions = files = 0
    for path in (corpus / "tables").rglob("*"):
        files += 1
        versions += path.suffix == ".manifest"
    return versions, files


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("folder", type=Path)
    parser.add_argument("faces", type=Path)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--label-every", type=float, default=20)
    parser.add_argument("--labels", type=int, default=20)
    options = parser.parse_args()
    corpus, inbox = options.folder / "corpus", options.folder / "inbox"
    inbox.mkdir(parents=True)
    program = options.program
    subprocess.run([program, "init", corpus], check=True, capture_output=True)
    settings = corpus / "marginalia.toml"
    settings.write_text(settings.read_text().replace('#backbone = "resnet18"', 'backbone = "resnet-tiny"'))
    known = ["import", "imagefolder", options.faces, "--labels", f"per-class:{options.labels}"]
    subprocess.run([program, "--corpus", corpus, *known], check=True, capture_output=True)
    listed = subprocess.run(
        [program, "--corpus", corpus, "sql", "select distinct expression from corpus", "--format", "jsonl"],
        check=True,
        capture_output=True,
        text=True,
    )
    classes = [json.loads(line)["expression"] for line in listed.stdout.splitlines()]
    images = images_of(options.faces)

    log = open(options.folder / "run.log", "w")
    running = subprocess.Popen([program, "--corpus", corpus, "run", inbox], stdout=log, stderr=log)
    until, fed, labels, errors = time.monotonic() + 60 * options.minutes, [0], [0], []
    threads = [
        threading.Thread(target=feed, args=(inbox, images, options.rate, until, fed)),
        threading.Thread(target=label, args=(program, corpus, classes, options.label_every, until, labels, errors)),
    ]
    for thread in threads:
        thread.start()
    memory, tables = [], []
    begin = time.monotonic()
    with open(options.folder / "memory.csv", "w") as samples:
        while time.monotonic() < until and running.poll() is None:
            memory.append(resident(running.pid))
            if len(memory) % 10 == 1:
                try:
                    tables.append(stored(corpus))
                except FileNotFoundError:
                    pass
            print(round(time.monotonic() - begin), *memory[-1], *tables[-1], sep=",", file=samples, flush=True)
            time.sleep(1)
    for thread in threads:
        thread.join()
    running.send_signal(signal.SIGINT)
    code = running.wait()
    verified = subprocess.run([program, "--corpus", corpus, "verify"], capture_output=True, text=True)
    third = lambda rows, part: rows[len(rows) * part // 3 : len(rows) * (part + 1) // 3] or rows[-1:]
    means = [round(sum(row[0] for row in third(memory, part)) / len(third(memory, part)) / 1e6) for part in range(3)]
    print(
        json.dumps(
            {
                "minutes": options.minutes,
                "faces_fed": fed[0],
                "labels": labels[0],
                "exit_code": code,
                "memory_mean_mb": means,
                "memory_peak_mb": [round(max(row[0] for row in third(memory, part)) / 1e6) for part in range(3)],
                "last_over_second": round(means[2] / means[1], 3),
                "versions": [max(row[0] for row in third(tables, part)) for part in range(3)],
                "files": [max(row[1] for row in third(tables, part)) for part in range(3)],
                "verify_exit_code": verified.returncode,
                "verify": verified.stdout.strip().splitlines()[-3:],
                "errors": errors[:5],
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
