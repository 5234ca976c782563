"""FER2013's public test after the same training here and in PyTorch: accuracy, macro-F1 and seconds for each seed.

    python accuracy.py MARGINALIA TRAIN.tar TEST.tar [--seeds 1 2 3] [--methods ada-cm supervised …]
                       [--preset streaming] [--backbone resnet18] [--labels per-class:100] [--epochs 20] [--steps 75]
                       [--threads 2] [--device cpu|cuda] [--sides ours pytorch] [--scratch FOLDER] [--out FILE]

For each seed and method both sides train in turn: `marginalia` on a corpus of its own, `peers/torch_train.py` beside
it, each on labels it drew with that seed, all other faces without a label. What is measured is the EMA model of the
last step. One JSON document a run goes to --out (appended, so that a run that is there already is not run again; keep
one file for each length of training), and a table of both sides' means and their difference to stdout.
--device is PyTorch's; seconds compare only where both sides ran on the same one.
Needs what requirements.txt names.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

from scipy import stats

PEER = Path(__file__).parent / "peers" / "torch_train.py"


def ours(run, method, seed):
    """Trains one round and evaluates its checkpoint."""
    corpus = run.scratch / f"{run.preset}-{run.backbone}-{run.labels.replace(':', '-')}-{method}-{seed}"
    command = [run.marginalia, "--corpus", corpus]

    def do(*arguments):
        done = subprocess.run([*command, *arguments, "--json"], check=True, capture_output=True, text=True)
        return json.loads(done.stdout.splitlines()[-1])

    subprocess.run([run.marginalia, "init", corpus], check=True, capture_output=True)
    names = {key: f'"{getattr(run, key)}"' for key in ("preset", "backbone")}
    configure(corpus / "marginalia.toml", **names, image_size=48, threads=run.threads)
    do("import", "imagefolder", run.test, "--split", "test")
    do("import", "imagefolder", run.train, "--labels", run.labels, "--seed", str(seed))
    began = time.monotonic()
    schedule = ["--epochs", str(run.epochs), "--steps", str(run.steps)]
    trained = do("train", "--method", method, *schedule, "--seed", str(seed))
    whole = time.monotonic() - began
    epochs = do("sql", "select seconds, subset_one, subset_two from epochs order by epoch")
    split = epochs[-1]["subset_one"] + epochs[-1]["subset_two"]
    tested = do("evaluate", "imagefolder", run.test)
    return {
        "accuracy": tested["accuracy"],
        "macro_f1": tested["macro_f1"],
        "seconds": sum(it["seconds"] for it in epochs),
        "seconds_of_the_round": whole,
        "subset_one": trained["subset_one"],
        "accepted": epochs[-1]["subset_one"] / split if split else None,
    }


def configure(path, **settings):
    """Gives settings their values, those that are commented out too; each key must stand in the file once."""
    text = path.read_text()
    for key, value in settings.items():
        text, found = re.subn(rf"^#?{key} = .*$", f"{key} = {value}", text, flags=re.MULTILINE)
        assert found == 1, f"{path} has `{key}` {found} times"
    path.write_text(text)


def peer(run, method, seed):
    """Trains the twin; its last epoch says how it did."""
    command = [sys.executable, PEER, "--method", method, "--seed", seed]
    for key in ("train", "test", "preset", "backbone", "labels", "epochs", "steps", "threads", "device"):
        command += [f"--{key}", getattr(run, key)]
    done = subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True)
    epochs = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    last = epochs[-1]
    seconds = sum(it["seconds"] for it in epochs)
    return {"accuracy": last["ema_accuracy"], "macro_f1": last["ema_macro_f1"], "seconds": seconds, "last": last}


SIDES = {"ours": ours, "pytorch": peer}


METHODS = ["supervised", "pseudo-label", "mixmatch", "remixmatch", "fixmatch", "ada-cm"]
# What runs must share to be compared.
SETTINGS = ("preset", "backbone", "labels", "method")
# Points of accuracy that ours may lie below PyTorch's.
ALLOWED = 1.0


def table(runs):
    """All runs as lines of Markdown: each setting's means on both sides, their difference and whether it is allowed."""
    head = ["setting", "ours", "PyTorch", "ours − PyTorch, points", "95 % interval"]
    head += [f"at most {ALLOWED:.1f} points below, or the interval holds 0"]
    head += [f"{what}, ours and PyTorch" for what in ("accepted", "macro-F1", "training")]
    lines = [f"| {' | '.join(head)} |", "| --- " * len(head) + "|"]
    settings = {}
    for run in sorted(runs, key=lambda run: run["seed"]):
        sides = settings.setdefault(tuple(run[key] for key in SETTINGS), {side: [] for side in SIDES})
        sides[run["side"]].append(run)
    for setting, sides in sorted(settings.items()):
        values = [[run["accuracy"] * 100 for run in sides[side]] for side in SIDES]
        cells = [accuracies(side) for side in values] + compared(*values)
        cells += [" and ".join(cell(sides[side]) for side in SIDES) for cell in (accepted, macro_f1, training)]
        lines.append(f"| {', '.join(setting)} | " + " | ".join(cells) + " |")
    return lines


def compared(ours, theirs):
    """Difference of the means, its interval by Welch's t-test, and the verdict; an interval needs two seeds a side."""
    if not ours or not theirs:
        return ["–"] * 3
    difference = statistics.mean(ours) - statistics.mean(theirs)
    shown, agrees = "–", difference >= -ALLOWED
    if min(len(ours), len(theirs)) > 1:
        interval = stats.ttest_ind(ours, theirs, equal_var=False).confidence_interval(0.95)
        shown = f"{interval.low:+.2f} to {interval.high:+.2f}"
        agrees |= interval.low <= 0 <= interval.high
    return [f"{difference:+.2f}", shown, "yes" if agrees else "no"]


def accuracies(values):
    return f"**{statistics.mean(values):.2f}%** ({', '.join(f'{it:.1f}' for it in values)})" if values else "–"


def accepted(runs):
    """Mean share of the last epoch's unlabelled faces that became pseudo-labels; of our runs that did not record it,
    how many faces of the pool did afterwards."""
    shares = [run["last"]["subset_one_share"] if "last" in run else run.get("accepted") for run in runs]
    shares = [share for share in shares if share is not None]
    if shares:
        return f"{statistics.mean(shares):.1%}"
    counts = [run["subset_one"] for run in runs if "accepted" not in run and "subset_one" in run]
    return f"{statistics.mean(counts):,.0f} of the pool" if counts else "–"


def macro_f1(runs):
    return f"{statistics.mean(run['macro_f1'] for run in runs):.2%}" if runs else "–"


def training(runs):
    """Mean seconds by machine."""
    seconds = {}
    for run in runs:
        seconds.setdefault(run["machine"], []).append(run["seconds"])
    return ", ".join(f"{statistics.mean(it):.0f} s on {machine}" for machine, it in seconds.items()) or "–"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("marginalia", type=Path)
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--preset", default="streaming")
    parser.add_argument("--backbone", default="resnet18", help="resnet18, resnet34 or resnet-tiny")
    parser.add_argument("--labels", default="per-class:100", help="N (by the classes' shares), per-class:N or ada-cm:N")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--steps", type=int, default=75)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--sides", choices=SIDES, nargs="+", default=list(SIDES))
    parser.add_argument("--scratch", type=Path, default=Path("accuracy"))
    parser.add_argument("--out", type=Path, default=Path("accuracy.jsonl"))
    run = parser.parse_args()
    run.scratch.mkdir(parents=True, exist_ok=True)
    runs = [json.loads(line) for line in run.out.read_text().splitlines()] if run.out.exists() else []
    known = [tuple(it[key] for key in (*SETTINGS, "seed", "side")) for it in runs]
    for seed in run.seeds:
        for method in run.methods:
            for side in run.sides:
                if (run.preset, run.backbone, run.labels, method, seed, side) in known:
                    continue
                where = f"{os.cpu_count()} cores" if side == "ours" or run.device == "cpu" else "a GPU"
                setting = {"preset": run.preset, "backbone": run.backbone, "labels": run.labels, "method": method}
                result = {**setting, "seed": seed, "side": side, "machine": where, **SIDES[side](run, method, seed)}
                runs.append(result)
                with run.out.open("a") as out:
                    out.write(json.dumps(result) + "\n")
    print("\n".join(table(runs)))


if __name__ == "__main__":
    main()
