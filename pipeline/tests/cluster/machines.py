"""Machines of a cluster on this one: network namespaces on a bridge, an S3 server beside them, processes in them.

Needs root and iproute2. Everything is gone when `Net` is left.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

SERVER = Path(__file__).parents[3] / "store/tests/it/remote/server.py"
BRIDGE = "mrg-bridge"
SUBNET = "10.177.0"
HOST = f"{SUBNET}.1"
PATIENCE = 120


def missing():
    """Why there can be no machines here; None where there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    try:
        subprocess.run(["ip", "netns"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        return f"`ip netns` does not work: {error}"
    return None


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True)


class Net:
    """A bridge with the host and so many namespaces on it, `machine(0)` the first."""

    def __init__(self, count):
        self.names = [f"mrg-{n}" for n in range(count)]

    def __enter__(self):
        self.__exit__()
        ip("link", "add", BRIDGE, "type", "bridge")
        ip("addr", "add", f"{HOST}/24", "dev", BRIDGE)
        ip("link", "set", BRIDGE, "up")
        for n, name in enumerate(self.names):
            ip("netns", "add", name)
            ip("link", "add", f"{name}-h", "type", "veth", "peer", "name", "eth0", "netns", name)
            ip("link", "set", f"{name}-h", "master", BRIDGE, "up")
            for words in (["addr", "add", f"{address(n)}/24", "dev", "eth0"], ["link", "set", "eth0", "up"],
                          ["link", "set", "lo", "up"]):
                ip("-n", name, *words)
        return self

    def __exit__(self, *_):
        for name in self.names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)
        subprocess.run(["ip", "link", "del", BRIDGE], capture_output=True)


def address(n):
    return f"{SUBNET}.{n + 2}"


class World:
    """The binary, an S3 server, a folder per machine; processes that end with it."""

    def __init__(self, binary, folder):
        self.binary, self.folder, self.running = binary, Path(folder), []
        self.server = subprocess.Popen([sys.executable, SERVER, HOST], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       stderr=subprocess.DEVNULL, text=True)
        self.endpoint = f"http://{HOST}:{int(self.server.stdout.readline())}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.running:
            process.kill()
            process.wait()
        self.server.kill()
        self.server.wait()

    def environment(self, machine):
        own = {"MARGINALIA_CORPUS": self.corpus, "MARGINALIA_CACHE": str(self.folder / machine),
               "AWS_ENDPOINT": self.endpoint, "AWS_ALLOW_HTTP": "true", "AWS_ACCESS_KEY_ID": "test",
               "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1", "RUST_BACKTRACE": "0"}
        return {**os.environ, **own}

    def run(self, *words, machine="host", fails=False):
        """Runs the binary on the host to its end; what it printed, or what it complained of where it must fail."""
        done = subprocess.run([self.binary, *map(str, words)], env=self.environment(machine), capture_output=True,
                              text=True, timeout=PATIENCE)
        good = done.returncode == 0
        assert good != fails, f"{words}: {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        return done.stderr if fails else done.stdout

    def json(self, *words, **how):
        return json.loads(self.run(*words, "--json", **how).splitlines()[-1])

    def start(self, *words, machine="host", netns=None, core=None):
        """Starts the binary and does not wait."""
        enter = ["ip", "netns", "exec", netns] if netns else []
        pin = ["taskset", "-c", str(core % os.cpu_count())] if core is not None else []
        log = open(self.folder / f"{machine}.log", "a")
        process = subprocess.Popen([*enter, *pin, self.binary, *map(str, words)], env=self.environment(machine),
                                   stdout=subprocess.PIPE, stderr=log, text=True)
        self.running.append(process)
        return process


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
