"""Label Studio as one of the sides of serving.py: installed, filled, served, asked, fed and read back.

It runs as its makers deploy it: uWSGI with the settings of their image (two processes a core, each with a whole application of
its own, the lock around accept), except that no process is restarted after so many requests and that its HTTP router keeps
connections open. The database is SQLite, its default, with the settings that Label Studio gives it. Images are local files that
it serves itself, tasks come in order (its default and its fastest), and nobody asks it for predictions.
"""

import json
import os
import re
import shutil
import sqlite3
import sys

from serving import CLASSES, Connection, NoFaces, Refused, Server, checked, free_port

MOST_ANNOTATORS = 16
LABEL_STUDIO = "label-studio==1.23.2"
UWSGI = "pyuwsgi==2.0.30.post1"


class LabelStudio:
    """Installed, with a project of one choice among seven, whose tasks are local files."""

    name = "label_studio"
    feed_seconds = 1.0

    def __init__(self, scratch, faces, prepared, folder):
        self.venv, self.empty = scratch / "venv", scratch / "label-studio"
        self.faces, self.prepared, self.folder = faces, prepared / "label-studio", folder
        self.servers = []

    def install(self):
        """The packages, and an empty store with its accounts; once."""
        ready = self.venv / "ready"
        wanted = f"{LABEL_STUDIO} {UWSGI}"
        if not (ready.exists() and ready.read_text() == wanted):
            if sys.version_info < (3, 10):
                sys.exit(f"{LABEL_STUDIO} needs Python 3.10 or newer; this is {sys.version.split()[0]}")
            checked([sys.executable, "-m", "venv", "--clear", self.venv], "making a virtual environment")
            checked([self.venv / "bin" / "pip", "install", "--quiet", LABEL_STUDIO, UWSGI], "installing Label Studio")
            shutil.rmtree(self.empty, ignore_errors=True)
            ready.write_text(wanted)
        self.application = next(self.venv.glob("lib/python*/site-packages/label_studio"))
        if not (self.empty / "people.json").exists():
            shutil.rmtree(self.empty, ignore_errors=True)
            self.empty.mkdir()
            self.manage("migrate")
            told = self.manage("shell", input=PEOPLE.format(people=MOST_ANNOTATORS + 1))
            (self.empty / "people.json").write_text(re.search(r"^PEOPLE (.*)$", told, re.MULTILINE)[1])

    def versions(self):
        listed = json.loads(checked([self.venv / "bin" / "pip", "list", "--format", "json"], "pip list"))
        known = {package["name"].lower(): package["version"] for package in listed}
        return {name: known[name] for name in ("label-studio", "django", "pyuwsgi")} | {"sqlite": sqlite3.sqlite_version}

    def environment(self, data):
        """Its settings: all as they come, but for serving local files, fixed tokens, and that it calls nobody outside."""
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("LABEL_STUDIO")},
            "DJANGO_SETTINGS_MODULE": "core.settings.label_studio",
            "DJANGO_DB": "sqlite",
            "LABEL_STUDIO_BASE_DATA_DIR": str(data),
            "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
            "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(self.faces.parent),
            "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
            "COLLECT_ANALYTICS": "false",
            "LATEST_VERSION_CHECK": "false",
            "SENTRY_DSN": "",
            "FRONTEND_SENTRY_DSN": "",
            "LOG_LEVEL": "ERROR",
        }

    def manage(self, *arguments, **options):
        command = [self.venv / "bin" / "python", "manage.py", *arguments]
        environment = self.environment(self.empty)
        return checked(command, f"manage.py {arguments[0]}", cwd=self.application, env=environment, **options)

    def prepare(self):
        shutil.copytree(self.empty, self.prepared)
        people = json.loads((self.prepared / "people.json").read_text())
        self.serve(self.prepared, people["tokens"])
        try:
            admin = self.connection(0)
            choices = "".join(f'<Choice value="{name}"/>' for name in CLASSES)
            choices = f'<Choices name="expression" toName="image">{choices}</Choices>'
            project = {"title": "faces", "label_config": f'<View><Image name="image" value="$image"/>{choices}</View>'}
            people["project"] = json.loads(admin.ask("POST", "/api/projects/", project))["id"]
            storage = {"project": people["project"], "title": "faces", "path": str(self.faces), "use_blob_urls": True}
            admin.ask("POST", "/api/storages/localfiles", storage)
            names = sorted(path.relative_to(self.faces.parent) for path in self.faces.rglob("*.*"))
            for at in range(0, len(names), 5000):
                self.import_tasks(admin, people["project"], names[at : at + 5000])
        finally:
            self.stop()
        (self.prepared / "people.json").write_text(json.dumps(people))

    def import_tasks(self, admin, project, names):
        tasks = [{"image": f"/data/local-files/?d={name}"} for name in names]
        answer = json.loads(admin.ask("POST", f"/api/projects/{project}/import", tasks))
        if answer["task_count"] != len(names):
            sys.exit(f"Label Studio took {answer['task_count']} of {len(names)} tasks: {answer}")

    def serve(self, data, tokens):
        self.data, self.tokens, self.port = data, tokens, free_port()
        options = {"chdir": self.application, "virtualenv": self.venv, "module": "core.wsgi:application"}
        options |= {"http": f"127.0.0.1:{self.port}", "http-timeout": 300, "buffer-size": 65535, "post-buffering": 4096}
        options |= {"processes": 2 * os.cpu_count()}
        switches = ["master", "single-interpreter", "need-app", "lazy-apps", "thunder-lock", "enable-threads"]
        switches += ["http-keepalive", "disable-logging", "vacuum", "die-on-term"]
        command = [self.venv / "bin" / "uwsgi", *(f"--{name}={value}" for name, value in options.items())]
        command += [f"--{name}" for name in switches]
        self.servers = [Server(command, self.folder / "label-studio.log", self.environment(data))]
        self.servers[0].wait_for(self.port, "/api/projects/", self.headers(0))

    def start(self):
        people = json.loads((self.prepared / "people.json").read_text())
        shutil.copytree(self.prepared, self.folder / "label-studio")
        self.durable, self.project = people["durable"], people["project"]
        self.arrivals = self.faces / f"arrivals-{self.folder.name}"
        self.arrivals.mkdir()
        self.serve(self.folder / "label-studio", people["tokens"])
        self.admin = self.connection(0)
        self.imported = 0

    def headers(self, number):
        return {"Authorization": f"Token {self.tokens[number][1]}"}

    def connection(self, number):
        return Connection(self.port, self.headers(number))

    def annotator(self, number):
        return LabelStudioAnnotator(self.port, self.headers(number + 1), self.tokens[number + 1][0], self.project)

    def feed(self, images):
        """Files appear in the folder it serves, and one request makes tasks of them."""
        for name, data in images:
            (self.arrivals / name).write_bytes(data)
        names = [(self.arrivals / name).relative_to(self.faces.parent) for name, _ in images]
        self.import_tasks(self.admin, self.project, names)
        self.imported += len(names)

    def usage(self):
        return self.servers[0].usage()

    def stop(self):
        for server in self.servers:
            server.stop()

    def stored(self):
        """(label id, task, expression, annotator) of every annotation."""
        database = sqlite3.connect(self.data / "label_studio.sqlite3")
        rows = database.execute("select id, task_id, result, completed_by_id from task_completion").fetchall()
        database.close()
        return [(label, task, json.loads(result)[0]["value"]["choices"][0], who) for label, task, result, who in rows]

    def fed(self):
        """Tasks that were made while annotators worked."""
        return self.imported


class LabelStudioAnnotator(Connection):
    def __init__(self, port, headers, who, project):
        super().__init__(port, headers)
        self.who, self.project = who, project

    def next(self):
        try:
            task = json.loads(self.ask("GET", f"/api/projects/{self.project}/next"))
        except Refused as refused:
            raise NoFaces(str(refused)) if refused.status == 404 else refused
        return task["id"], task["data"]["image"]

    def submit(self, task, expression):
        choice = {"from_name": "expression", "to_name": "image", "type": "choices", "value": {"choices": [expression]}}
        document = {"project": self.project, "result": [choice], "lead_time": 1.0}
        answer = json.loads(self.ask("POST", f"/api/tasks/{task}/annotations/", document))
        return answer["id"], task, expression, self.who


# Run by Label Studio's own shell: accounts with tokens that stay, and how its connections write to the database.
PEOPLE = """
import json
from django.db import connection
from organizations.models import Organization
from rest_framework.authtoken.models import Token
from users.models import User

tokens = []
for number in range({people}):
    email = f"annotator{{number}}@example.org"
    user = User.objects.create_user(email=email, username=email, password=None)
    organization = Organization.objects.first()
    if organization is None:
        organization = Organization.create_organization(created_by=user, title="Faces")
        organization.jwt.legacy_api_tokens_enabled = True
        organization.jwt.save()
    else:
        organization.add_user(user)
    user.active_organization = organization
    user.save()
    tokens.append((user.id, Token.objects.get_or_create(user=user)[0].key))

cursor = connection.cursor()
journal, synchronous = (cursor.execute(f"pragma {{name}}").fetchone()[0] for name in ("journal_mode", "synchronous"))
durable = f"SQLite as Label Studio sets it up: journal_mode {{journal}}, synchronous {{synchronous}} (2: fsync in every commit)"
print("PEOPLE", json.dumps({{"tokens": tokens, "durable": durable}}))

"""
