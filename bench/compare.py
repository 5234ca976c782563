"""Our speed beside that of the usual Python tools: both sides in turn, medians, ratios, and the machine they ran on.

    python compare.py MARGINALIA FACES [--only NAME,...] [--runs 3] [--scratch DIR]

FACES is a folder of images by class. Every comparison runs ours and the peer's program after one another, as often as
`--runs` says, so that whatever else the machine does meets both. Those beside Label Studio (label-FACES-ANNOTATORS) take many
minutes: they run where --only names them, take turns by themselves, and keep what they installed and filled in
DIR-label-studio. Writes what it measured to bench/measured/NAME.json and
renders all that lies there as bench/RESULTS.md: a part that was not run today keeps its figures and its date. The Python
that runs this must have the packages of bench/requirements.txt.
"""

import argparse
import datetime
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import accuracy

HERE = Path(__file__).parent
PEERS = HERE / "peers"
# Both sides compute on all cores.
THREADS = ["--threads", str(os.cpu_count())]


def torch(script, *arguments):
    """PyTorch's program in each memory layout, a process each: one alone would have the memory of both."""
    command = [sys.executable, PEERS / script, *arguments, *THREADS, "--layout"]
    return [[*command, layout] for layout in ("contiguous", "channels_last")]


def step(backbone, side, steps):
    """A training step: seconds, less is better."""
    shape = ["--backbone", backbone, "--steps", str(steps)]
    return {
        "ours": lambda run: [[run.marginalia, "bench", "step", "--json", *shape, "--image-size", str(side), *THREADS]],
        "peer": lambda run: torch("torch_step.py", *shape, "--side", str(side)),
        "keys": ("seconds_per_step", "seconds"),
        "unit": "s",
        "better": "less",
    }


def score(run):
    faces = ["--images", run.faces, "--faces", "4096", "--checkpoint", checkpoint(run)]
    return [[run.marginalia, "bench", "score", "--json", *faces, *THREADS]]


def ingest_peer(run):
    out = run.scratch / "faces.lance"
    shutil.rmtree(out, ignore_errors=True)
    return [[sys.executable, PEERS / "ingest.py", run.faces, out]]


# What has no peer: a figure of ours and what is asked of it.
ALONE = {
    "loader": {
        "what": "share of a step that waits for images, ResNet-18, 48×48, augmentation counted",
        "asked": "less than 5 %",
        "command": lambda run: [run.marginalia, "bench", "step", "--json", "--steps", "100"],
        "figure": lambda document: f"{document['waiting_share']:.1%}",
    },
    "growth": {
        "what": "resident memory at step 200 and at step 2,000, ResNet-18, 48×48",
        "asked": "no growth",
        "command": lambda run: [run.marginalia, "bench", "step", "--json", "--steps", "1997"],
        "figure": lambda document: " and ".join(f"{it / 1e6:.0f} MB" for it in document["resident_bytes"].values()),
    },
}

# Each side is one program, or several of which the best counts.
COMPARISONS = {
    "step-48": {
        "what": "Ada-CM step, ResNet-18, 48×48, 16 + 16 faces",
        "asked": 1.2,
        **step("resnet18", 48, 20),
    },
    "step-112": {
        "what": "Ada-CM step, ResNet-18, 112×112, 16 + 16 faces",
        "asked": 0.9,
        **step("resnet18", 112, 8),
    },
    "step-tiny": {
        "what": "Ada-CM step, resnet-tiny, 48×48, 16 + 16 faces",
        "asked": 1.2,
        **step("resnet-tiny", 48, 100),
    },
    "score": {
        "what": "scoring, ResNet-18, two weak views at 48×48, decoding counted",
        "asked": 1.2,
        "ours": score,
        "peer": lambda run: torch("torch_score.py", run.faces),
        "keys": ("images_per_second", "images_per_second"),
        "unit": "faces/s",
        "better": "more",
    },
    "ingest": {
        "what": "ingest of a folder into a fresh corpus",
        "asked": 4.0,
        "ours": lambda run: [[run.marginalia, "bench", "ingest", "--json", "--scratch", run.scratch, run.faces]],
        "peer": ingest_peer,
        "keys": ("images_per_second", "images_per_second"),
        "unit": "faces/s",
        "better": "more",
    },
}


def labelling(faces, annotators):
    """A round of annotators at a server: milliseconds, less is better."""
    people = "1 annotator" if annotators == 1 else f"{annotators} annotators"
    # What all runs leave is removed at the end.
    shape = ["--faces", str(faces), "--clients", str(annotators), "--keep"]
    return {
        "what": f"server: submit + next + image, {faces:,} faces, {people}, new faces coming in",
        "asked": {"p50": 15, "p95": 10},
        "command": lambda run: [sys.executable, PEERS / "label_studio.py", run.marginalia, run.faces, kept(run), *shape],
    }


# One program drives both sides in turns.
TOGETHER = {f"label-{faces}-{people}": labelling(faces, people) for faces in (5000, 100000) for people in (1, 8)}


def kept(run):
    """Where Label Studio stays installed."""
    return run.scratch.with_name(f"{run.scratch.name}-label-studio")


def checkpoint(run):
    """A ResNet-18 checkpoint to score with, trained for one step."""
    corpus = run.scratch / "corpus"
    if not corpus.exists():
        command = [run.marginalia, "--corpus", corpus]
        for arguments in (
            [run.marginalia, "init", corpus],
            [*command, "import", "imagefolder", run.faces, "--labels", "per-class:5"],
            [*command, "train", "--epochs", "1", "--steps", "1"],
        ):
            subprocess.run(arguments, check=True, capture_output=True)
    return next((corpus / "checkpoints").glob("round-*"))


def measure(command):
    """The document a program prints, and the most memory it had, bytes."""
    started = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, text=True)
    out = started.stdout.read()
    _, status, usage = os.wait4(started.pid, 0)
    if status:
        sys.exit(f"{' '.join(str(part) for part in command)} ended with {os.waitstatus_to_exitcode(status)}")
    return json.loads(out.strip().splitlines()[-1]), usage.ru_maxrss * 1024


def best(commands, key, better):
    """What the best of these programs prints, and its peak memory."""
    choose = min if better == "less" else max
    return choose((measure(command) for command in commands), key=lambda measured: measured[0][key])


def compare(comparison, run):
    """Both sides in turn."""
    sides = {"ours": [], "peer": []}
    memory = {"ours": 0, "peer": 0}
    versions = {}
    for _ in range(run.runs):
        for side, key in zip(sides, comparison["keys"]):
            document, peak = best(comparison[side](run), key, comparison["better"])
            sides[side].append(document[key])
            memory[side] = max(memory[side], peak)
            versions |= document.get("versions", {})
    medians = {side: statistics.median(values) for side, values in sides.items()}
    ours, peer = medians["ours"], medians["peer"]
    return {
        "what": comparison["what"],
        "asked": comparison["asked"],
        "unit": comparison["unit"],
        "runs": sides,
        "medians": medians,
        "ratio": round(peer / ours if comparison["better"] == "less" else ours / peer, 2),
        "peak_memory": memory,
        "versions": versions,
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
        "load": round(os.getloadavg()[0], 1),
    }


def together(comparison, run):
    """Both sides in turns that the program makes itself."""
    document, _ = measure(comparison["command"](run))
    sides = {"ours": document["ours"], "peer": document["label_studio"]}
    return {
        "what": comparison["what"],
        "asked": comparison["asked"],
        "unit": "ms",
        "medians": {side: {"p50": it["p50_ms"], "p95": it["p95_ms"]} for side, it in sides.items()},
        "ratio": document["ratio"],
        "peak_memory": {side: it["memory_bytes"] for side, it in sides.items()},
        "versions": {name: version for name, version in document["versions"].items() if name != "marginalia"},
        "document": document,
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
        "load": max(document["load"]),
    }


def alone(figure, run):
    """What is ours only, once."""
    document, _ = measure(figure["command"](run))
    return {
        "what": figure["what"],
        "asked": figure["asked"],
        "figure": figure["figure"](document),
        "document": document,
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
        "load": round(os.getloadavg()[0], 1),
    }


def machine():
    model, flags = platform.processor(), ""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            model = value.strip()
        elif name.strip() == "flags":
            flags = value
    wide = "AVX-512" if "avx512f" in flags else "AVX2" if "avx2" in flags else "no AVX2"
    return f"{model}, {os.cpu_count()} cores, {wide}"


def render(folder):
    """RESULTS.md from all that was measured."""

    def measured(names):
        return [json.loads(path.read_text()) for name in names if (path := folder / f"{name}.json").exists()]

    def cell(value, unit=""):
        """A figure, or one for each percentile."""
        if isinstance(value, dict):
            return ", ".join(f"{name} {cell(part, unit)}" for name, part in value.items())
        return f"{value:.4g}{unit}"

    found = measured([*COMPARISONS, *TOGETHER])
    lines = [
        "# Measured",
        "",
        "Written by `make bench` from what lies in `bench/measured`. Both sides ran in turn on the same machine,",
        "networks on all its cores, PyTorch's in both memory layouts, of which the faster counts; a ratio above 1",
        "means that we are faster.",
        "",
        "| what | ours | peer | ratio | asked | peak memory, ours and peer | when, where |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for it in found:
        shown = {side: cell(value, f" {it['unit']}") for side, value in it["medians"].items()}
        memory = " and ".join(f"{it['peak_memory'][side] / 1e6:.0f} MB" for side in ("ours", "peer"))
        lines.append(
            f"| {it['what']} | {shown['ours']} | {shown['peer']} | {cell(it['ratio'])} | {cell(it['asked'])} | "
            f"{memory}{it.get('note', '')} | {it['date']}, {it['machine']} |"
        )
    versions = {}
    for it in found:
        versions |= it["versions"]
    lines += ["", "| ours alone | measured | asked | when, where |", "| --- | --- | --- | --- |"]
    for it in measured(ALONE):
        lines.append(f"| {it['what']} | {it['figure']} | {it['asked']} | {it['date']}, {it['machine']} |")
    lines += accuracies(folder / "accuracy.jsonl")
    lines += ["", "Peers: " + ", ".join(f"{name} {version}" for name, version in sorted(versions.items())) + "."]
    (HERE / "RESULTS.md").write_text("\n".join(lines) + "\n")


def accuracies(path):
    """The table of bench/accuracy.py's runs."""
    if not path.exists():
        return []
    head = [
        "",
        "FER2013's public test after training from scratch on its training faces, the EMA model of the last step: the",
        "mean of all seeds and, in brackets, each one's accuracy; the interval is Welch's. `make bench` does not",
        "train: `bench/accuracy.py --out bench/measured/accuracy.jsonl` does. Accepted is the share of the last epoch's",
        "unlabelled faces that became pseudo-labels or, in runs that did not record it, how many faces of the pool did",
        "afterwards.",
        "",
    ]
    return head + accuracy.table([json.loads(line) for line in path.read_text().splitlines()])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("marginalia")
    parser.add_argument("faces", type=Path)
    parser.add_argument("--only", default=",".join([*COMPARISONS, *ALONE]), metavar="NAME,...")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--scratch", type=Path, default=Path("/tmp/marginalia-compare"))
    run = parser.parse_args()
    known = [*COMPARISONS, *ALONE, *TOGETHER]
    unknown = set(run.only.split(",")) - set(known)
    if unknown:
        parser.error(f"no comparison {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    run.scratch.mkdir(parents=True, exist_ok=True)
    measured = HERE / "measured"
    measured.mkdir(exist_ok=True)
    for name in run.only.split(","):
        print(f"{name} …", file=sys.stderr)
        if name in ALONE:
            result = alone(ALONE[name], run)
            print(f"{name}: {result['figure']}", file=sys.stderr)
        else:
            result = together(TOGETHER[name], run) if name in TOGETHER else compare(COMPARISONS[name], run)
            print(f"{name}: {result['medians']}, ratio {result['ratio']}", file=sys.stderr)
        (measured / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n")
    shutil.rmtree(run.scratch)
    for left in [*kept(run).glob("run-*"), *kept(run).glob("faces-*/faces/arrivals-*")]:
        shutil.rmtree(left)
    render(measured)


if __name__ == "__main__":
    main()
