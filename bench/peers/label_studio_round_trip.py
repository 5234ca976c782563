"""To Label Studio and back: does it hold what `export --format label-studio` wrote, and `import label-studio` what it exports?

    python label_studio_round_trip.py MARGINALIA FACES SCRATCH [--faces 200] [--labels per-class:8] [--changes]

FACES is a folder of images by class. A corpus is made of some of them in SCRATCH/run: the classes of a few are known, people judge
others, a short round of `resnet-tiny` gives the rest pseudo-labels, and all is exported. Label Studio is installed into
SCRATCH/venv once (label_studio_server.py says how it is set up); it makes a project by the export's config.xml, takes the task
files over its API and serves the images as local files. Compared are, in this order:

- there: what Label Studio holds with what SQL says of the corpus: faces with class, origin and split, judgements with their
  annotators, predictions with round and confidence, and each image, asked for by its URL, with the file it came from;
- back: after another account has judged faces of every origin anew and skipped one, Label Studio's JSON export (all tasks:
  by itself it leaves out those without an annotation) is imported into a new corpus, which has to hold the same faces, splits and
  judgements, the new ones with annotator and seconds, and to decide alike on faces that nobody judged anew;
- again: the same import once more brings nothing;
- with --changes, judgements that came along are changed by a third account before that export; afterwards corrected: some new
  judgements are changed, exported and imported once more; and home: that export is imported into the first corpus, which has to
  gain what was judged in Label Studio and nothing else.

Prints one JSON document: how many were compared, how many are missing and how many are there that should not be: 0 and 0
everywhere, or it exits with 1. Nothing but Python's own library is needed.
"""

import argparse
import json
import random
import re
import shutil
import sys
from collections import Counter
from pathlib import Path

from label_studio_server import LabelStudio
from serving import CLASSES, checked

# Margins of a network that has hardly learnt would leave it without pseudo-labels.
SETTINGS = {"backbone": '"resnet-tiny"', "beta": "0.1", "empty_class": "0.0"}
JUDGED, SECONDED, ANEW, CHANGED = 12, 4, 5, 3
JUDGEMENT = ("face_id", "expression", "annotator", "origin", "seconds")
FACE = ("face_id", "expression", "origin", "split")
PREDICTIONS = "(select *, concat('round-', round) as version from current_predictions)"
SPLITS = """(select distinct f.face_id, coalesce(s.split, 'train') as split
             from faces f left join face_splits s on f.face_id = s.face_id)"""
EXPORTED = "where face_id in (select face_id from corpus)"


class Corpus:
    def __init__(self, program, folder, **settings):
        self.program, self.folder = program, folder
        checked([program, "init", folder], "marginalia init")
        path = folder / "marginalia.toml"
        text = path.read_text()
        for key, value in settings.items():
            text, found = re.subn(rf"^#?{key} = .*$", f"{key} = {value}", text, flags=re.MULTILINE)
            if found != 1:
                sys.exit(f"{path} has `{key}` {found} times")
        path.write_text(text)

    def run(self, *arguments):
        return checked([self.program, "--corpus", self.folder, *arguments], f"marginalia {arguments[0]}")

    def rows(self, columns, of):
        told = self.run("sql", f"select {', '.join(columns)} from {of}", "--format", "jsonl")
        return [tuple(json.loads(line).get(column) for column in columns) for line in told.splitlines()]

    def judgements(self):
        return self.rows(JUDGEMENT, "current_labels where expression is not null")

    def take(self, path):
        """What `import label-studio` tells at its end."""
        return json.loads(self.run("import", "label-studio", path, "--json").splitlines()[-1])


class Project(LabelStudio):
    """A project by an export's configuration, with its tasks."""

    def start(self):
        shutil.copytree(self.empty, self.folder / "label-studio")
        self.serve(self.folder / "label-studio", json.loads((self.empty / "people.json").read_text())["tokens"])
        self.admin = self.connection(0)
        project = {"title": "faces", "label_config": (self.faces / "config.xml").read_text()}
        self.project = json.loads(self.admin.ask("POST", "/api/projects/", project))["id"]
        storage = {"project": self.project, "title": "faces", "path": str(self.faces), "use_blob_urls": True}
        self.admin.ask("POST", "/api/storages/localfiles", storage)
        for path in sorted(self.faces.glob("tasks-*.json")):
            self.admin.ask("POST", f"/api/projects/{self.project}/import", json.loads(path.read_text()))

    def tasks(self, count):
        query = f"project={self.project}&fields=all&page_size={count + 1}"
        return json.loads(self.admin.ask("GET", f"/api/tasks?{query}"))["tasks"]

    def export(self, path):
        query = "exportType=JSON&download_all_tasks=true"
        path.write_bytes(self.admin.ask("GET", f"/api/projects/{self.project}/export?{query}"))
        return path

    def judge(self, number, task, seconds, annotation=None):
        """An account judges a task anew, other than it or an annotation says, or changes that; the judgement, and its id."""
        said = annotation["result"][0] if annotation else choice(task["data"]["expression"])
        (other,) = said["value"]["choices"]
        expression = CLASSES[(CLASSES.index(other) + 1) % len(CLASSES)]
        document = {"result": [said | choice(expression)], "lead_time": seconds}
        method, path = ("PATCH", f"/api/annotations/{annotation['id']}/") if annotation else self.annotations(task)
        kept = json.loads(self.connection(number).ask(method, path, document))
        return (task["data"]["face_id"], expression, f"label-studio-{self.tokens[number][0]}", "human", seconds), kept

    def skip(self, number, task):
        self.connection(number).ask(*self.annotations(task), {"result": [], "was_cancelled": True})

    def annotations(self, task):
        return "POST", f"/api/tasks/{task['id']}/annotations/"


def choice(expression):
    return {"from_name": "expression", "to_name": "image", "type": "choices", "value": {"choices": [expression]}}


def draw(source, count, folder, choose):
    """Copies `count` images, as many of each class, where there are."""
    classes = sorted(path for path in source.iterdir() if path.is_dir())
    for number, images in enumerate(classes):
        found = sorted(path for path in images.iterdir() if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
        (folder / images.name).mkdir(parents=True)
        for path in choose.sample(found, min(len(found), (count + number) // len(classes))):
            shutil.copy(path, folder / images.name)


def fill(corpus, faces, labels, choose):
    """Some labels are known; people judge faces without one, some of them two, and one of each class with one; a round."""
    corpus.run("import", "imagefolder", faces, "--labels", labels, "--hold-out", "validation:20%")
    unknown = corpus.rows(["face_id"], "faces where face_id not in (select face_id from corpus) order by face_id")
    by_class = "(select min(face_id) as face_id from corpus where split = 'train' group by expression)"
    judged = choose.sample(unknown, JUDGED)
    for face, annotator in [(face, "ada") for face in judged + corpus.rows(["face_id"], by_class)] + [
        (face, "bob") for face in judged[:SECONDED]
    ]:
        corpus.run("label", *face, CLASSES[int(face[0][:8], 16) % len(CLASSES)], "--annotator", annotator)
    corpus.run("train", "--epochs", "1", "--steps", "10")


def there(corpus, project, tasks):
    """By kind, what the corpus says and what Label Studio holds."""
    predictions = [
        (task["data"]["face_id"], *each["result"][0]["value"]["choices"], each["score"], each["model_version"])
        for task in tasks
        for each in task["predictions"]
    ]
    predicted = corpus.rows(["face_id", "expression", "confidence", "version"], f"{PREDICTIONS} {EXPORTED}")
    sources = corpus.rows(["face_id", "source"], "provenance")
    images = [(task["data"]["face_id"], project.admin.ask("GET", task["data"]["image"])) for task in tasks]
    faces = [tuple(task["data"][column] for column in FACE) for task in tasks]
    return {
        "there: faces": (corpus.rows(FACE, "corpus"), faces),
        "there: judgements": (corpus.judgements(), [said(task, each) for task in tasks for each in task["annotations"]]),
        "there: predictions": (predicted, predictions),
        "there: images": ([(face, Path(source).read_bytes()) for face, source in sources], images),
    }


def there_and_back(first, second, project, count, with_changes):
    """By step and kind, what was wanted and what was found."""
    tasks = project.tasks(count)
    pairs, before = there(first, project, tasks), first.judgements()
    of = {origin: [task for task in tasks if task["data"]["origin"] == origin] for origin in ("human", "import", "pseudo")}
    judged = [task for some in of.values() for task in some[:ANEW]]
    anew, ids = zip(*(project.judge(1, task, 2.5) for task in judged))
    project.skip(1, of["pseudo"][ANEW])
    changed = [(task, task["annotations"][-1]) for task in of["human"][ANEW : ANEW + CHANGED] if with_changes]
    gone = Counter(said(*each) for each in changed)
    changes = [project.judge(2, task, 3.5, annotation)[0] for task, annotation in changed]
    others = [*(Counter(before) - gone).elements(), *changes]
    exported = project.export(project.folder / "labelled.json")
    second.take(exported)
    touched = {judgement[0] for judgement in (*anew, *changes)}
    alike = [row for row in first.rows(FACE, "corpus where origin <> 'pseudo'") if row[0] not in touched]
    found = [row for row in second.rows(FACE, "corpus") if row[0] not in touched]
    splits = [corpus.rows(["face_id", "split"], f"{SPLITS} {which}") for corpus, which in ((first, EXPORTED), (second, ""))]
    pairs |= {"back: faces and splits": splits, "back: judgements": ([*others, *anew], second.judgements())}
    pairs |= {"back: classes decided": (alike, found)}
    told = second.take(exported)
    pairs["again: judgements"] = ([*others, *anew], second.judgements())
    pairs["again: told"] = ([], ["label"] * told["labels"] + ["face"] * told["new_faces"])
    if with_changes:
        corrected = [project.judge(1, *each)[0] for each in zip(judged[:CHANGED], [4.5] * CHANGED, ids)]
        exported = project.export(project.folder / "corrected.json")
        second.take(exported)
        anew = [*corrected, *anew[CHANGED:]]
        pairs["corrected: judgements"] = ([*others, *anew], second.judgements())
        first.take(exported)
        pairs["home: judgements"] = ([*before, *changes, *anew], first.judgements())
    return pairs


def compared(wanted, found):
    wanted, found = Counter(wanted), Counter(found)
    return {"compared": wanted.total(), "missing": (wanted - found).total(), "surplus": (found - wanted).total()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("marginalia", type=Path)
    parser.add_argument("source", metavar="faces", type=Path)
    parser.add_argument("scratch", type=Path)
    parser.add_argument("--faces", type=int, default=200)
    parser.add_argument("--labels", default="per-class:8", help="N (by the classes' shares), per-class:N or ada-cm:N")
    parser.add_argument("--changes", action="store_true", help="change judgements in Label Studio, too")
    options = parser.parse_args()
    if options.faces < 100:
        parser.error(f"--faces is {options.faces}; valid: 100 and more")
    program, scratch = options.marginalia.resolve(), options.scratch.resolve()
    run = scratch / "run"
    shutil.rmtree(run, ignore_errors=True)
    run.mkdir(parents=True)
    project = Project(scratch, run / "export", run, run)
    project.install()
    choose = random.Random(1)
    draw(options.source, options.faces, run / "faces", choose)
    first, second = (Corpus(program, run / name, **SETTINGS) for name in ("corpus", "back"))
    fill(first, run / "faces", options.labels, choose)
    first.run("export", project.faces, "--format", "label-studio")
    exported = Counter(origin for (origin,) in first.rows(["origin"], "corpus"))
    try:
        project.start()
        pairs = there_and_back(first, second, project, options.faces, options.changes)
    finally:
        project.stop()
    results = {step: compared(*pair) for step, pair in pairs.items()}
    versions = {"marginalia": checked([program, "--version"], "marginalia --version").split()[-1]} | project.versions()
    print(json.dumps({"exported": exported, "results": results, "versions": versions}, indent=2))
    sys.exit(any(result["missing"] or result["surplus"] for result in results.values()))


if __name__ == "__main__":
    main()
