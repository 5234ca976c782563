"""What answers annotators, as they meet it: a server on loopback, a connection of one's own; and Marginalia as one of the sides.

Each side is a class with the same methods. `prepare` fills an empty store from a folder of images by class and leaves it where
later runs copy it from; `start` serves a copy and waits until it answers; `annotator(n)` is the n-th annotator's own keep-alive
connection, with `next`, `image` and `submit`; `feed` brings new faces in; `stored` reads every label back from the stopped
server's own store. Nothing but Python's own library is needed.
"""


import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path

CLASSES = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger")
PATIENCE = 180
TRIES = 5


class NoFaces(Exception):
    """The server has nothing to judge; says what it answered."""


class Refused(Exception):
    """An answer that is no success; status 0 is no answer."""

    def __init__(self, method, path, status, content):
        super().__init__(method, path, status, content)
        self.status = status

    def __str__(self):
        method, path, status, content = self.args
        text = content.decode(errors="replace").strip()
        return f"{method} {path}: {status} {'a page' if text[:5].lower() in ('<!doc', '<html') else text[:300]}"


class Connection:
    """One keep-alive connection; where the server closes it after an answer, the next request opens it again."""

    def __init__(self, port, headers):
        self.http = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        self.headers = headers
        self.failures = []

    def ask(self, method, path, document=None, headers=None):
        """The body of an answer. What fails at the server is asked again, as a person would, and noted."""
        body = None if document is None else json.dumps(document)
        headers = {**self.headers, **(headers or {}), **({"Content-Type": "application/json"} if body else {})}
        for _ in range(TRIES):
            try:
                self.http.request(method, path, body, headers)
                answer = self.http.getresponse()
                content = answer.read()
            except (OSError, http.client.HTTPException) as error:
                self.http.close()
                status, content = 0, repr(error).encode()
            else:
                status = answer.status
            if 200 <= status < 300:
                return content
            if 400 <= status < 500:
                break
            self.failures.append(str(Refused(method, path, status, content)))
        raise Refused(method, path, status, content)


class Server:
    """A process that serves, its group, and what it holds in memory."""

    def __init__(self, command, log, environment=None):
        self.log = log
        command = [str(part) for part in command]
        with open(log, "ab") as out:
            quiet = {"stdin": subprocess.DEVNULL, "stdout": out, "stderr": out}
            self.process = subprocess.Popen(command, env=environment, start_new_session=True, **quiet)

    def wait_for(self, port, path, headers=None):
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self.process.poll() is None:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
            try:
                connection.request("GET", path, headers=headers or {})
                if connection.getresponse().status == 200:
                    return
            except (OSError, http.client.HTTPException):
                pass
            finally:
                connection.close()
            time.sleep(0.2)
        self.stop()
        sys.exit(f"no answer at {path} of port {port}; its log is {self.log}")

    def usage(self):
        """Of all its processes: bytes in memory, what several share counted once, and seconds of processor time so far."""
        group, memory, ticks = os.getpgid(self.process.pid), 0, 0
        for process in Path("/proc").iterdir():
            try:
                if process.name.isdigit() and os.getpgid(int(process.name)) == group:
                    rollup = (process / "smaps_rollup").read_text()
                    memory += int(re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)[1]) * 1024
                    ticks += sum(int(part) for part in (process / "stat").read_text().rpartition(")")[2].split()[11:13])
            except (OSError, TypeError):
                continue  # It ended meanwhile.
        return memory, ticks / os.sysconf("SC_CLK_TCK")

    def stop(self, how=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def checked(command, what, **options):
    """The output of a program that must succeed."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)
    if done.returncode:
        sys.exit(f"{what} failed ({done.returncode}): {done.stderr.strip()[-2000:] or done.stdout.strip()[-2000:]}")
    return done.stdout


class Marginalia:
    """`serve` and, in a process of its own, `ingest --watch`.

    A round has scored every face, and the floor of the margins is 1, so that all of them wait in the queue, the one that the
    round was least sure about first.
    """

    name = "marginalia"
    durable = "fsync of data, manifest and folders before the answer (store.durability = \"commit\", the default)"
    feed_seconds = 0.1

    def __init__(self, program, faces, prepared, folder):
        self.program, self.faces, self.prepared, self.folder = program, faces, prepared / "corpus", folder
        self.corpus, self.inbox = folder / "corpus", folder / "inbox"
        self.servers = []

    def versions(self):
        return {"marginalia": checked([self.program, "--version"], "marginalia --version").split()[-1]}

    def prepare(self):
        command = [self.program, "--corpus", self.prepared]
        checked([self.program, "init", self.prepared], "marginalia init")
        settings = self.prepared / "marginalia.toml"
        text = settings.read_text()
        for key, value in {"backbone": '"resnet-tiny"', "floor": "1.0", "empty_class": "1.0"}.items():
            text, found = re.subn(rf"^#?{key} = .*$", f"{key} = {value}", text, flags=re.MULTILINE)
            if found != 1:
                sys.exit(f"{settings} has `{key}` {found} times")
        settings.write_text(text)
        checked([*command, "import", "imagefolder", self.faces, "--labels", "100"], "marginalia import")
        checked([*command, "train", "--epochs", "1", "--steps", "10"], "marginalia train")

    def start(self):
        shutil.copytree(self.prepared, self.corpus)
        self.inbox.mkdir()
        self.port = free_port()
        command = [self.program, "--corpus", self.corpus]
        log = self.folder / "marginalia.log"
        self.servers.append(Server([*command, "serve", "--addr", f"127.0.0.1:{self.port}"], log))
        self.servers[0].wait_for(self.port, "/readyz")
        self.servers.append(Server([*command, "ingest", "--watch", self.inbox], log))

    def annotator(self, number):
        return MarginaliaAnnotator(self.port, f"annotator{number}")

    def feed(self, images):
        """Files appear in the watched folder, each whole at once."""
        for name, data in images:
            part = self.inbox / f".{name}.part"
            part.write_bytes(data)
            part.rename(self.inbox / name)
        return len(images)

    def usage(self):
        return tuple(sum(part) for part in zip(*(server.usage() for server in self.servers)))

    def stop(self):
        for server in reversed(self.servers):
            server.stop(signal.SIGINT)

    def stored(self):
        """(label id, face, expression, annotator) of every judgement."""
        query = "select label_id, face_id, expression, annotator from labels where origin = 'human'"
        return [tuple(row.values()) for row in self.sql(query)]

    def fed(self):
        """Faces that came in through the watched folder."""
        query = f"select count(distinct face_id) as n from sightings where source like '{self.inbox.resolve()}/%'"
        return self.sql(query)[0]["n"]

    def sql(self, query):
        command = [self.program, "--corpus", self.corpus, "sql", query, "--format", "jsonl"]
        return [json.loads(line) for line in checked(command, "marginalia sql").splitlines()]


class MarginaliaAnnotator(Connection):
    def __init__(self, port, who):
        super().__init__(port, {})
        self.who = who

    def next(self):
        answer = json.loads(self.ask("GET", f"/api/queue?annotator={self.who}&limit=1"))
        if not answer["tasks"]:
            raise NoFaces(answer["nothing"]["message"])
        face = answer["tasks"][0]["face_id"]
        return face, f"/api/faces/{face}/image"

    def submit(self, face, expression):
        document = {"face_id": face, "expression": expression, "annotator": self.who}
        answer = self.ask("POST", "/api/labels", document, {"Idempotency-Key": str(uuid.uuid4())})
        return json.loads(answer)["labels"][0]["label_id"], face, expression, self.who
