"""Does Label Studio hold what `export --format label-studio` wrote, and a corpus what Label Studio exported?

    python label_studio_round_trip.py MARGINALIA FACES SCRATCH [--faces 200] [--changes]

FACES is a folder of images by class. In SCRATCH/run some of them become a corpus: a few have their labels, people judge
others, a short round of `resnet-tiny` gives the rest pseudo-labels, and all is exported. Label Studio is installed into
SCRATCH/venv once (see label_studio_server.py), makes a project by the export's config.xml, takes the task files over
its API and serves the images as local files. Compared are, in this order:

- there: what Label Studio holds with what the corpus says, and each image, asked for by its URL, with its file;
- back: another account judges faces of every origin anew and skips one; Label Studio's JSON export (of all tasks: by
  itself it leaves out those that nobody judged), imported into a new corpus, has to bring all faces and judgements, the
  new ones with annotator and seconds, and the same class and split of faces that were not judged anew;
- again: the same import once more brings nothing;
- with --changes, a third account changes judgements that came along, before that export. Then, corrected: some new
  judgements are changed, exported and imported once more; home: the first corpus takes that export, too, gains what was
  judged in Label Studio and nothing else, and what was changed there takes the place of what it was.

Prints one JSON document: how many were compared, how many are missing, and how many are there that should not be: 0
and 0 everywhere, or it exits with 1. Nothing but Python's own library is needed.
"""

import argparse
import json
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
UNKNOWN = "select face_id from faces where face_id not in (select face_id from corpus) order by face_id"
KNOWN = "select min(face_id) as face_id from corpus where split = 'train' group by expression"
FACE = ("face_id", "expression", "origin", "split")
FACES = f"select {', '.join(FACE)} from corpus"
GIVEN = f"{FACES} where origin <> 'pseudo'"
JUDGEMENTS = """select face_id, expression, annotator, origin, coalesce(seconds, 0) as seconds from current_labels
    where expression is not null"""
PREDICTIONS = """select face_id, expression, confidence, concat('round-', round) as version from current_predictions
    where face_id in (select face_id from corpus)"""


class Corpus:
    def __init__(self, program, folder):
        self.program, self.folder = program, folder
        checked([program, "init", folder], "marginalia init")
        text = (folder / "marginalia.toml").read_text()
        for key, value in SETTINGS.items():
            text, found = re.subn(rf"^#?{key} = .*$", f"{key} = {value}", text, flags=re.MULTILINE)
            if found != 1:
                sys.exit(f"marginalia.toml has `{key}` {found} times")
        (folder / "marginalia.toml").write_text(text)

    def run(self, *arguments):
        return checked([self.program, "--corpus", self.folder, *arguments], f"marginalia {arguments[0]}")

    def rows(self, query):
        return [tuple(row.values()) for row in json.loads(self.run("sql", query, "--format", "json") or "[]")]


class Project(LabelStudio):
    """A project by an export's configuration, with its tasks."""

    def start(self):
        shutil.copytree(self.empty, self.folder / "label-studio")
        self.serve(self.folder / "label-studio", json.loads((self.empty / "people.json").read_text())["tokens"])
        project = {"title": "faces", "label_config": (self.faces / "config.xml").read_text()}
        self.project = self.ask("POST", "/api/projects/", project)["id"]
        storage = {"project": self.project, "title": "faces", "path": str(self.faces), "use_blob_urls": True}
        self.ask("POST", "/api/storages/localfiles", storage)
        for path in sorted(self.faces.glob("tasks-*.json")):
            self.ask("POST", f"/api/projects/{self.project}/import", json.loads(path.read_text()))

    def ask(self, method, path, document=None, who=0):
        return json.loads(self.connection(who).ask(method, path, document))

    def export(self, name):
        path = f"/api/projects/{self.project}/export?exportType=JSON&download_all_tasks=true"
        (self.folder / name).write_bytes(self.connection(0).ask("GET", path))
        return self.folder / name

    def judge(self, who, task, seconds, stored=None):
        """An account judges anew, or changes an annotation that is stored; the judgement, and the annotation."""
        result = stored["result"][0] if stored else choice(task["data"]["expression"])
        expression = CLASSES[(CLASSES.index(*result["value"]["choices"]) + 1) % len(CLASSES)]
        path = f"/api/annotations/{stored['id']}/" if stored else f"/api/tasks/{task['id']}/annotations/"
        document = {"result": [result | choice(expression)], "lead_time": seconds}
        answer = self.ask("PATCH" if stored else "POST", path, document, who)
        return (task["data"]["face_id"], expression, f"label-studio-{self.tokens[who][0]}", "human", seconds), answer


def choice(expression):
    return {"from_name": "expression", "to_name": "image", "type": "choices", "value": {"choices": [expression]}}


def draw(source, count, folder):
    """Copies `count` images, as many of each class, where there are; the folder."""
    classes = sorted(path for path in source.iterdir() if path.is_dir())
    for number, images in enumerate(classes):
        found = sorted(path for path in images.iterdir() if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
        (folder / images.name).mkdir(parents=True)
        for path in found[: (count + number) // len(classes)]:
            shutil.copy(path, folder / images.name)
    return folder


def fill(corpus, faces):
    """People judge faces without a label, some of them two people, and a face of each class with one."""
    corpus.run("import", "imagefolder", faces, "--labels", "per-class:8", "--hold-out", "validation:20%")
    judged = corpus.rows(UNKNOWN)[:JUDGED]
    for annotator, seen in (("ada", judged + corpus.rows(KNOWN)), ("bob", judged[:SECONDED])):
        for (face,) in seen:
            corpus.run("label", face, CLASSES[int(face[:8], 16) % len(CLASSES)], "--annotator", annotator)
    corpus.run("train", "--epochs", "1", "--steps", "10")


def judgement(task, annotation):
    """One that came along, as a corpus tells it."""
    (result,) = annotation["result"]
    (expression,), meta = result["value"]["choices"], result["meta"]
    return task["data"]["face_id"], expression, meta["annotator"], meta["origin"], annotation["lead_time"] or 0


def prediction(task, found):
    (result,) = found["result"]
    return task["data"]["face_id"], *result["value"]["choices"], found["score"], found["model_version"]


def there(corpus, project, tasks):
    """By kind, what the corpus says and what Label Studio holds."""
    judgements = [judgement(task, each) for task in tasks for each in task["annotations"]]
    predictions = [prediction(task, each) for task in tasks for each in task["predictions"]]
    images = [(task["data"]["face_id"], project.connection(0).ask("GET", task["data"]["image"])) for task in tasks]
    sources = corpus.rows("select face_id, source from provenance")
    return {
        "there: faces": (corpus.rows(FACES), [tuple(task["data"][key] for key in FACE) for task in tasks]),
        "there: judgements": (corpus.rows(JUDGEMENTS), judgements),
        "there: predictions": (corpus.rows(PREDICTIONS), predictions),
        "there: images": ([(face, Path(source).read_bytes()) for face, source in sources], images),
    }


def travel(first, second, project, options):
    """By step and kind, what is wanted and what is found."""
    path = f"/api/tasks?project={project.project}&fields=all&page_size={options.faces + 1}"
    tasks = project.ask("GET", path)["tasks"]
    pairs, before = there(first, project, tasks), first.rows(JUDGEMENTS)
    of = {name: [task for task in tasks if task["data"]["origin"] == name] for name in ("human", "import", "pseudo")}
    judged = [task for some in of.values() for task in some[:ANEW]]
    anew, stored = zip(*(project.judge(1, task, 2.5) for task in judged))
    skipped = f"/api/tasks/{of['pseudo'][ANEW]['id']}/annotations/"
    project.ask("POST", skipped, {"result": [], "was_cancelled": True}, 1)
    old = [(task, task["annotations"][-1]) for task in of["human"][ANEW:][:CHANGED] if options.changes]
    changed = [project.judge(2, task, 3.5, annotation)[0] for task, annotation in old]
    kept = [*(Counter(before) - Counter(judgement(*each) for each in old)).elements()]
    touched = {row[0] for row in (*anew, *changed)}
    exported = project.export("labelled.json")
    for step in ("back", "again"):
        told = json.loads(second.run("import", "label-studio", exported, "--json").splitlines()[-1])
        ids = (first.rows("select face_id from corpus"), second.rows("select face_id from faces"))
        others = [[row for row in corpus.rows(GIVEN) if row[0] not in touched] for corpus in (first, second)]
        pairs |= {f"{step}: faces": ids, f"{step}: faces not judged anew": others}
        pairs[f"{step}: judgements"] = ([*kept, *changed, *anew], second.rows(JUDGEMENTS))
    pairs["again: told"] = ([], ["label"] * told["labels"] + ["face"] * told["new_faces"])
    if options.changes:
        corrected = [project.judge(1, task, 4.5, known)[0] for task, known in zip(judged[:CHANGED], stored)]
        now = [*changed, *corrected, *anew[CHANGED:]]
        exported = project.export("corrected.json")
        for step, corpus in (("corrected", second), ("home", first)):
            corpus.run("import", "label-studio", exported)
            pairs[f"{step}: judgements"] = ([*kept, *now], corpus.rows(JUDGEMENTS))
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
    parser.add_argument("--changes", action="store_true", help="change judgements in Label Studio, too")
    options = parser.parse_args()
    program, scratch = options.marginalia.resolve(), options.scratch.resolve()
    run = scratch / "run"
    shutil.rmtree(run, ignore_errors=True)
    run.mkdir(parents=True)
    project = Project(scratch, run / "export", run, run)
    project.install()
    first, second = Corpus(program, run / "corpus"), Corpus(program, run / "back")
    fill(first, draw(options.source, options.faces, run / "faces"))
    first.run("export", project.faces, "--format", "label-studio")
    try:
        project.start()
        pairs = travel(first, second, project, options)
    finally:
        project.stop()
    results = {step: compared(*pair) for step, pair in pairs.items()}
    versions = {"marginalia": checked([program, "--version"], "marginalia --version").split()[-1]} | project.versions()
    print(json.dumps({"results": results, "versions": versions}, indent=2))
    sys.exit(any(result["missing"] or result["surplus"] for result in results.values()))


if __name__ == "__main__":
    main()
