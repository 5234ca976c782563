"""FER2013's public test after the same training here and in PyTorch: accuracy, macro-F1 and seconds for each seed.

    python accuracy.py MARGINALIA TRAIN.tar TEST.tar [--seeds 1 2 3] [--methods ada-cm supervised] [--preset streaming]
                       [--per-class 100] [--epochs 20] [--steps 75] [--threads 2] [--device cpu|cuda] [--sides ours pytorch]
                       [--scratch FOLDER] [--out FILE]

For each seed and method both sides train in turn: `marginalia` on a corpus of its own, `peers/torch_train.py` beside it, each
on labels it drew with that seed, all other faces without a label. What is measured is the EMA model of the last step. One
JSON document a run goes to --out (appended, so that a run that is there already is not run again), and the means to stdout.
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

PEER = Path(__file__).parent / "peers" / "torch_train.py"


def ours(run, method, seed):
    """Trains one round and evaluates its checkpoint."""
    corpus = run.scratch / f"{run.preset}-{method}-{seed}"
    command = [run.marginalia, "--corpus", corpus]

    def do(*arguments):
        done = subprocess.run([*command, *arguments, "--json"], check=True, capture_output=True, text=True)
        return json.loads(done.stdout.splitlines()[-1])

    subprocess.run([run.marginalia, "init", corpus], check=True, capture_output=True)
    configure(corpus / "marginalia.toml", preset=f'"{run.preset}"', image_size=48, threads=run.threads)
    do("import", "imagefolder", run.test, "--split", "test")
    do("import", "imagefolder", run.train, "--labels", f"per-class:{run.per_class}", "--seed", str(seed))
    began = time.monotonic()
    schedule = ["--epochs", str(run.epochs), "--steps", str(run.steps)]
    trained = do("train", "--method", method, *schedule, "--seed", str(seed))
    whole = time.monotonic() - began
    training = do("sql", "select sum(seconds) as seconds from epochs")[0]["seconds"]
    tested = do("evaluate", "imagefolder", run.test)
    return {
        "accuracy": tested["accuracy"],
        "macro_f1": tested["macro_f1"],
        "seconds": training,
        "seconds_of_the_round": whole,
        "subset_one": trained["subset_one"],
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
    command = [sys.executable, PEER, "--train", run.train, "--test", run.test, "--method", method, "--preset", run.preset]
    command += ["--per-class", run.per_class, "--epochs", run.epochs, "--steps", run.steps, "--seed", seed]
    command += ["--threads", run.threads, "--device", run.device]
    done = subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True)
    epochs = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    last = epochs[-1]
    return {"accuracy": last["ema_accuracy"], "macro_f1": last["ema_macro_f1"], "seconds": sum(it["seconds"] for it in epochs), "last": last}


SIDES = {"ours": ours, "pytorch": peer}


def means(runs):
    table = {}
    for run in runs:
        table.setdefault((run["preset"], run["method"], run["side"]), []).append(run)
    for (preset, method, side), runs in sorted(table.items()):
        mean = {key: round(statistics.mean(run[key] for run in runs), 4) for key in ("accuracy", "macro_f1", "seconds")}
        print(json.dumps({"preset": preset, "method": method, "side": side, "seeds": len(runs), **mean}))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("marginalia", type=Path)
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--methods", nargs="+", default=["ada-cm", "supervised"])
    parser.add_argument("--preset", default="streaming")
    parser.add_argument("--per-class", type=int, default=100)
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
    known = {(it["preset"], it["method"], it["seed"], it["side"]) for it in runs}
    for seed in run.seeds:
        for method in run.methods:
            for side in run.sides:
                if (run.preset, method, seed, side) in known:
                    continue
                where = f"{os.cpu_count()} cores" if side == "ours" or run.device == "cpu" else "a GPU"
                result = {"preset": run.preset, "method": method, "seed": seed, "side": side, "machine": where}
                result |= SIDES[side](run, method, seed)
                runs.append(result)
                with run.out.open("a") as out:
                    out.write(json.dumps(result) + "\n")
    means(runs)


if __name__ == "__main__":
    main()
