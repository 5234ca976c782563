"""The walk through three machines in docs/scale.md, as it is written there.

A comment in its shell block names the machine on which the lines below it are typed. A role stays there in the
background; every other line has to end well and to say what it should.
"""

import re
import shlex
from pathlib import Path

from cluster import Cluster
from machines import WORK, address, end, wait_until
from scoring import next_round, pool_is_scored

DOCUMENT = Path(__file__).parents[3] / "docs/scale.md"
MACHINES = range(3)


def the_walk_through_works_as_written(world):
    walk = Walk(world)
    for on, line in lines():
        walk.take(on, line)
    assert walk.taken == {"scheduler", "executor", "status", "sql", "train"}, walk.taken
    for role in reversed(walk.roles):
        end(role)


def lines():
    """Each line with the machine that it is for."""
    section = re.search(r"^## Three machines$(.*?)^## ", DOCUMENT.read_text(), re.M | re.S)[1]
    for block in re.findall(r"^```sh$(.*?)^```$", section, re.M | re.S):
        machines = []
        for line in filter(None, block.splitlines()):
            if line.startswith("#"):
                machines = named(line)
            assert machines, f"no comment says where: {line}"
            if not line.startswith("#"):
                yield from ((on, line) for on in machines)


def named(comment):
    if "all three" in comment:
        return list(MACHINES)
    if "any of them" in comment:
        return [MACHINES[-1]]
    return [n for n in MACHINES if re.search(rf"\b{re.escape(address(n))}\b", comment)]


class Walk:
    """What was typed so far."""

    def __init__(self, world):
        self.world, self.cluster, self.roles, self.taken = world, Cluster(world), [], set()
        self.exports = {on: [] for on in MACHINES}

    def take(self, on, line):
        if line.startswith("export "):
            self.exports[on].append(line)
            return
        program, *words = shlex.split(line)
        assert program == "marginalia", line
        what = words[1] if words[0] == "cluster" else words[0]
        self.taken.add(what)
        print(f"  {address(on)}$ {line}", flush=True)
        getattr(self, what)(on, line)

    def typed(self, on, line):
        return self.world.shell([*self.exports[on], f"exec {line}"], f"walk-{on}", on)

    def says(self, on, line):
        process = self.typed(on, line)
        said, _ = process.communicate(timeout=WORK)
        assert process.returncode == 0, f"{line}: {self.world.said(f'walk-{on}')}"
        return said

    def scheduler(self, on, line):
        self.stays(on, line, self.cluster.status)

    def executor(self, on, line):
        hosts = lambda: [executor["host"] for executor in self.cluster.status()["executors"]]
        self.stays(on, line, lambda: address(on) in hosts())

    def stays(self, on, line, is_ready):
        role = self.typed(on, line)
        self.roles.append(role)

        def is_there():
            if role.poll() is not None:
                raise RuntimeError(f"{line} ended: {self.world.said(f'walk-{on}')}")
            return is_ready()

        wait_until(line, is_there)

    def status(self, on, line):
        said = self.says(on, line)
        assert all(f"{address(n)}:50051" in said for n in (1, 2)), said

    def sql(self, on, line):
        """The same as without the cluster, in any order."""
        before, there = self.cluster.jobs(), self.says(on, line)
        here = self.says(on, re.sub(r" --cluster \S+", "", line))
        assert sorted(there.splitlines()) == sorted(here.splitlines()), f"{there}\n{here}"
        assert len(there.splitlines()) > 4 and self.cluster.jobs() > before, there

    def train(self, on, line):
        before, number = self.cluster.jobs(), next_round(self.world)
        said = self.says(on, line)
        assert f"round {number}" in said, said
        pool_is_scored(self.world, number)
        assert self.cluster.jobs() > before, "the pool was scored here"
