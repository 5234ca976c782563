"""Looking back in a corpus of several real rounds: do `--at-round`, `--at` and `flips` give what was read at the time?

    python history.py MARGINALIA CORPUS TRAIN [--rounds 5] [--labels per-class:100] [--epochs 2] [--steps 40]

Makes a corpus in CORPUS from TRAIN (a tar or folder of images by class) with some of its labels, and trains rounds of
`resnet-tiny`, after each of which the top of the queue is labelled with classes drawn by chance. After the import,
every round and every labelling the state is read, and the time noted. At the end each state is asked for again: by
its time, and after a round by the round's number too; `flips` of any two accepted rounds is compared with what the
predictions read after them come to. Prints one JSON document: how many rows were compared, how many were not the same
in the state before (there was something to tell apart), and how many were not given back as they had been read: 0
everywhere, or it exits with 1. Nothing but Python's own library is needed.
"""

import argparse
import itertools
import json
import random
import subprocess
import sys
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path

LABELLED = 20
STATE = {
    "predictions": "select face_id, expression, subset, confidence from current_predictions order by face_id",
    "corpus": "select face_id, expression, origin from corpus order by face_id",
    "class_balance": "select * from class_balance order by expression",
}
# Versions that no round names stay so long: all that the rounds may take.
KEPT_MINUTES = 525600


class Corpus:
    """A corpus, and the states that it was in."""

    def __init__(self, program, folder):
        self.program, self.folder = program, folder
        self.states = []

    def run(self, *arguments):
        done = subprocess.run([self.program, "--corpus", self.folder, *arguments], capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def rows(self, query, *moment):
        return json.loads(self.run("sql", query, "--format", "json", *moment) or "[]")

    def state(self, *moment):
        return {name: self.rows(query, *moment) for name, query in STATE.items()}

    def note(self, *moment):
        """Reads the state, and notes by which moments it should be found again."""
        state = self.state()
        now = datetime.now(timezone.utc).isoformat(timespec="microseconds")
        self.states.append((state, ([moment] if moment else []) + [("--at", now)]))
        return state


def configure(path, **settings):
    """Gives settings their values; each stands in the file with its default, commented out or not."""
    lines = path.read_text().splitlines()
    for key, value in settings.items():
        (place,) = [at for at, line in enumerate(lines) if line.removeprefix("#").startswith(f"{key} = ")]
        lines[place] = f"{key} = {value}"
    path.write_text("\n".join(lines) + "\n")


def train(corpus, rounds, schedule):
    """Trains and labels in turns; predictions of the accepted rounds, by their number."""
    choose, predictions = random.Random(1), {}
    classes = [row["expression"] for row in corpus.note()["class_balance"]]
    for seed in range(1, rounds + 1):
        told = json.loads(corpus.run("train", *schedule, "--seed", str(seed), "--json").splitlines()[-1])
        state = corpus.note("--at-round", str(told["round"]))
        if told["accepted"]:
            predictions[told["round"]] = state["predictions"]
        for row in corpus.rows(f"select face_id from queue order by rank limit {LABELLED}"):
            corpus.run("label", row["face_id"], choose.choice(classes))
        corpus.note()
    return predictions


def flips(earlier, later, predictions):
    """What `flips` should say of two rounds."""
    before, after = ({row["face_id"]: row for row in predictions[number]} for number in (earlier, later))
    return [
        {"face_id": face, "from_round": earlier, "to_round": later}
        | {f"from_{key}": before[face][key] for key in ("expression", "confidence", "subset")}
        | {f"to_{key}": after[face][key] for key in ("expression", "confidence", "subset")}
        for face in sorted(before.keys() & after.keys())
        if before[face]["expression"] != after[face]["expression"]
    ]


def differing(wanted, found):
    """How many rows, duplicates included, only one of two answers has, or that differ between them."""
    wanted, found = (Counter(tuple(sorted(row.items())) for row in rows) for rows in (wanted, found))
    return max((wanted - found).total(), (found - wanted).total())


def look_back(corpus, predictions):
    """Rows compared, and rows that differ, by how they were asked for."""
    compared, differences = Counter(), Counter()

    def compare(kind, wanted, found):
        compared[kind] += len(wanted)
        differences[kind] += differing(wanted, found)

    for state, moments in corpus.states:
        for moment in moments:
            found = corpus.state(*moment)
            for name, wanted in state.items():
                compare(f"{name} {moment[0]}", wanted, found[name])
    for pair in itertools.permutations(predictions, 2):
        found = corpus.rows("select * from flips({}, {}) order by face_id".format(*pair))
        compare("flips", flips(*pair, predictions), found)
    return compared, differences


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("corpus", type=Path)
    parser.add_argument("train")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--labels", default="per-class:100", help="N (by the classes' shares), per-class:N or ada-cm:N")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--steps", type=int, default=40)
    options = parser.parse_args()
    subprocess.run([options.program, "init", options.corpus], check=True, capture_output=True)
    kept = {"keep_rounds": max(20, options.rounds), "keep_untagged_minutes": KEPT_MINUTES}
    configure(options.corpus / "marginalia.toml", backbone='"resnet-tiny"', **kept)
    corpus = Corpus(options.program, options.corpus)
    corpus.run("import", "imagefolder", options.train, "--labels", options.labels, "--keep-truth")
    predictions = train(corpus, options.rounds, ["--epochs", str(options.epochs), "--steps", str(options.steps)])
    compared, differences = look_back(corpus, predictions)
    states = [state for state, _ in corpus.states]
    changed = {name: [differing(a[name], b[name]) for a, b in itertools.pairwise(states)] for name in STATE}
    print(
        json.dumps(
            {
                "rounds": options.rounds,
                "accepted": list(predictions),
                "faces": corpus.rows("select count(*) as faces from faces")[0]["faces"],
                "states": len(states),
                "changed_since_the_state_before": changed,
                "rows_compared": compared,
                "differences": differences,
            },
            indent=2,
        )
    )
    sys.exit(1 if differences.total() else 0)


if __name__ == "__main__":
    main()
