"""Machines of a cluster on this one: network namespaces on a bridge, an S3 server beside them, processes in them.

Needs root and iproute2. The bridge lies in a network namespace of its own too, so that whatever addresses this machine
uses are free there. Everything is gone when `Net` is left.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

SERVER = Path(__file__).parents[3] / "store/tests/it/remote/server.py"
BRIDGE = "mrg-bridge"
# Those of docs/scale.md, and one for the store and whoever asks.
SUBNET = "10.0.0"
HOST = f"{SUBNET}.254"
PATIENCE = 120
# Of whatever computes.
WORK = 600
CLONE_NEWNET = 0x40000000


def missing():
    """Why there can be no machines here; None where there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for words in (["ip", "netns"], ["unshare", "--net", "true"]):
        try:
            subprocess.run(words, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            return f"`{' '.join(words)}` does not work: {error}"
    return None


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True)


class Net:
    """So many machines and a bridge, on which this process is too from then on."""

    def __init__(self, count):
        self.names = [machine(n) for n in range(count)]

    def __enter__(self):
        self.__exit__()
        if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "no network namespace")
        ip("link", "set", "lo", "up")
        ip("link", "add", BRIDGE, "type", "bridge")
        ip("addr", "add", f"{HOST}/24", "dev", BRIDGE)
        ip("link", "set", BRIDGE, "up")
        for n, name in enumerate(self.names):
            ip("netns", "add", name)
            ip("link", "add", f"{name}-h", "type", "veth", "peer", "name", "eth0", "netns", name)
            ip("link", "set", f"{name}-h", "master", BRIDGE, "up")
            ip("-n", name, "addr", "add", f"{address(n)}/24", "dev", "eth0")
            for device in ("eth0", "lo"):
                ip("-n", name, "link", "set", device, "up")
        return self

    def __exit__(self, *_):
        for name in self.names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)


def machine(n):
    return f"mrg-{n}"


def address(n):
    return f"{SUBNET}.{n + 1}"


class World:
    """The binary, an S3 server, a folder per machine; processes that end with it."""

    def __init__(self, binary, folder):
        self.folder, self.running = Path(folder), []
        (self.folder / "bin").mkdir()
        self.binary = self.folder / "bin/marginalia"
        self.binary.symlink_to(Path(binary).resolve())
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self.server = subprocess.Popen([sys.executable, SERVER, HOST], **pipes, text=True)
        self.endpoint = f"http://{HOST}:{int(self.server.stdout.readline())}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.running:
            process.kill()
            process.wait()
        self.server.kill()
        self.server.wait()

    def environment(self, name):
        own = {
            "MARGINALIA_CORPUS": self.corpus,
            "MARGINALIA_CACHE": str(self.folder / name / "cache"),
            "PATH": f"{self.folder}/bin:{os.environ['PATH']}",
            "RUST_BACKTRACE": "0",
            "AWS_ENDPOINT": self.endpoint,
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
        }
        return {**os.environ, **own}

    def run(self, *words, fails=False):
        """Runs the binary beside the machines to its end; what it printed, or its complaint where it must fail."""
        command, environment = [self.binary, *map(str, words)], self.environment("host")
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=WORK)
        good = done.returncode == 0
        assert good != fails, f"{words}: {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        return done.stderr if fails else done.stdout

    def json(self, *words):
        return json.loads(self.run(*words, "--json").splitlines()[-1])

    def rows(self, sql, *more):
        return [json.loads(line) for line in self.run("sql", sql, "--format", "jsonl", *more).splitlines()]

    def start(self, *words, name="host", on=None, core=None):
        """Starts the binary, on that machine or beside them, and does not wait."""
        pin = ["taskset", "-c", str(core % os.cpu_count())] if core is not None else []
        return self.launch([*pin, self.binary, *map(str, words)], name, on)

    def shell(self, lines, name, on):
        """Starts lines as somebody would type them on that machine, whose /var/tmp is its own."""
        own = self.folder / name / "var-tmp"
        own.mkdir(parents=True, exist_ok=True)
        lines = [f"mount --bind '{own}' /var/tmp", "unset MARGINALIA_CORPUS", *lines]
        return self.launch(["sh", "-ec", "\n".join(lines)], name, on)

    def launch(self, command, name, on):
        enter = ["ip", "netns", "exec", machine(on)] if on is not None else []
        with open(self.folder / f"{name}.log", "a") as log:
            pipes = {"stdout": subprocess.PIPE, "stderr": log}
            process = subprocess.Popen([*enter, *command], env=self.environment(name), **pipes, text=True)
        self.running.append(process)
        return process

    def said(self, name):
        """The end of what processes of this name complained of."""
        return (self.folder / f"{name}.log").read_text()[-3000:]


def end(process, by=signal.SIGTERM):
    process.send_signal(by)
    process.wait(timeout=PATIENCE)


def wait_until(what, is_so, seconds=PATIENCE):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if is_so():
                return
        except AssertionError:
            pass
        time.sleep(0.5)
    raise AssertionError(f"not within {seconds} s: {what}")
