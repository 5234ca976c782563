"""A scheduler, two executors and whoever asks them, each on a machine of its own: rows, deaths, attacks.

    python run.py MARGINALIA_WITH_CLUSTER [--faces 6000] [--bars]

`--bars` asks for what docs/scale.md promises of two cores; without it the figures are printed. The corpus lies on an S3
server. Skips, loudly, where there are no network namespaces.
"""

import argparse
import json
import math
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import boto3
from machines import HOST, Net, World, address, end, missing, wait_until

SCHEDULER = f"df://{address(0)}:50050"
SETTINGS = {
    "[train]": '[train]\nbackbone = "resnet-tiny"\nimage_size = 24\nepochs_per_round = 1\nsteps_per_epoch = 3\n'
               "batch_labelled = 4\nbatch_unlabelled = 4",
    "gate_macro_f1_loss = 0.05": "gate_macro_f1_loss = 1.0",
    "max_unlabelled = 20000": "max_unlabelled = 200",
    "map_faces = 10000": "map_faces = 0",
    "from_rows = 10000000": "from_rows = 0",
    "deadline_seconds = 3600": "deadline_seconds = 90",
    "chunk_faces = 200000": "chunk_faces = 1000",
}


class Cluster:
    """The roles, each in its namespace."""

    def __init__(self, world):
        self.world, self.roles = world, {}

    def scheduler(self):
        self.roles["scheduler"] = self.world.start("cluster", "scheduler", "--listen", f"{address(0)}:50050",
                                                   machine="scheduler", netns="mrg-0")

    def executor(self, n):
        name = f"executor-{n}"
        self.roles[name] = self.world.start(
            "cluster", "executor", "--cluster", SCHEDULER, "--listen", f"{address(n)}:50051", "--cores", 1, "--memory-mb",
            512, "--work-dir", self.world.folder / name / "work", machine=name, netns=f"mrg-{n}", core=n)

    def status(self):
        return self.world.json("cluster", "status", "--cluster", SCHEDULER)

    def wait_for(self, slots):
        wait_until(f"{slots} slots", lambda: self.status()["slots"] == slots)

    def kill(self, name):
        end(self.roles.pop(name), signal.SIGKILL)


def same(a, b):
    """Equal, floats to 1e-9."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float) or isinstance(b, float):
        return a is not None and b is not None and math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9)
    return a == b


def rows(world, sql, *more):
    return [json.loads(line) for line in world.run("sql", sql, "--format", "jsonl", *more).splitlines()]


def in_order(found):
    rounded = lambda value: f"{value:.6g}" if isinstance(value, float) else str(value)
    return sorted(found, key=lambda row: [rounded(value) for value in row.values()])


def queries(world):
    return [query["sql"] for query in world.json("bench", "sql", "--runs", 1)["queries"]]


def views_have_the_same_rows(world, cluster):
    before = len(cluster.status()["jobs"])
    for sql in queries(world):
        here, there = (in_order(rows(world, sql, *more)) for more in ([], ["--cluster", SCHEDULER]))
        assert same(here, there), f"{sql}\nhere  {here[:3]}\nthere {there[:3]}"
    ran = len(cluster.status()["jobs"]) - before
    assert ran >= 6, f"only {ran} of the queries ran on the cluster"
    print(f"  12 views, {ran} jobs")


def and_so_through_psql(world):
    if not shutil.which("psql"):
        print("  SKIPPED (no psql: `make tools` installs it)")
        return
    serving = world.start("serve", "--addr", "127.0.0.1:0", "--postgres", "127.0.0.1:0", "--cluster", SCHEDULER, "--json")
    port = json.loads(serving.stdout.readline())["postgres"].rsplit(":", 1)[1]
    for sql in queries(world):
        said = subprocess.run(["psql", "-XqAt", "-h", "127.0.0.1", "-p", port, "-U", "anybody", "-d", "x", "-c", sql],
                              capture_output=True, text=True, timeout=120)
        assert said.returncode == 0, f"{sql}: {said.stderr}"
        assert len(said.stdout.splitlines()) == len(rows(world, sql)), sql
    end(serving)


def checkpoint(world):
    [row] = rows(world, "select checkpoint, checkpoint_hash from rounds order by round desc limit 1")
    return f"{world.corpus}/{row['checkpoint']}", row["checkpoint_hash"]


def scores_are_equal_bit_for_bit(world):
    place, digest = checkpoint(world)
    sql = f"select face_id, predict(image, '{place}', '{digest}') as p from faces where face_id < '2'"
    here, there = (in_order(rows(world, sql, *more)) for more in ([], ["--cluster", SCHEDULER]))
    assert here == there and len(here) > 100, f"{here[:1]} {there[:1]}"
    stored = {row["face_id"]: row for row in rows(world, "select face_id, expression, confidence from current_predictions")}
    for row in here:
        if row["face_id"] in stored:
            assert row["p"]["confidence"] == stored[row["face_id"]]["confidence"], row


def two_executors_score_faster_than_one(world, cluster, bars):
    two = world.json("bench", "score", "--cluster", SCHEDULER)["images_per_second"]
    cluster.kill("executor-2")
    cluster.wait_for(1)
    one = world.json("bench", "score", "--cluster", SCHEDULER)["images_per_second"]
    cluster.executor(2)
    cluster.wait_for(2)
    print(f"  {two:.0f} images/s on two executors, {one:.0f} on one: {two / one:.2f} times (over the S3 server)")
    assert not bars or two >= 1.6 * one


def pool_is_scored(world, number):
    """Every face of the pool once, in a round that was finished."""
    [row] = rows(world, f"select scored, pool from rounds where round = {number}")
    [count] = rows(world, f"select count(*) as n, count(distinct face_id) as faces from predictions where round = {number}")
    assert row["scored"] == row["pool"] == count["n"] == count["faces"], (row, count)


def a_round_scores_there(world):
    world.run("train", "--cluster", SCHEDULER)
    pool_is_scored(world, 2)


def a_killed_driver_goes_on(world, cluster):
    driver = world.start("train", "--cluster", SCHEDULER, "--json")
    for line in driver.stdout:
        if "pool_scored" in line:
            break
    end(driver, signal.SIGKILL)
    [unfinished] = rows(world, "select count(*) as n from rounds where round = 3")
    assert unfinished["n"] == 0
    [hidden] = rows(world, "select count(*) as n from predictions where round = 3")
    assert hidden["n"] == 0, "half a round shows"
    before = len(cluster.status()["jobs"])
    world.run("train", "--cluster", SCHEDULER)
    pool_is_scored(world, 3)
    print(f"  {len(cluster.status()['jobs']) - before} jobs after the kill")


def a_killed_executor_costs_its_tasks_only(world, cluster):
    driver = world.start("train", "--cluster", SCHEDULER, "--json")
    for line in driver.stdout:
        if "pool_scored" in line:
            break
    cluster.kill("executor-1")
    assert driver.wait(timeout=240) == 0, (world.folder / "host.log").read_text()[-2000:]
    pool_is_scored(world, 4)
    cluster.executor(1)
    cluster.wait_for(2)


def attacks_are_refused(world, cluster, folder):
    place, digest = checkpoint(world)
    wrong = f"select count(predict(image, '{place}', '{'0' * 64}')['confidence']) from faces"
    assert "hash" in world.run("sql", wrong, "--cluster", SCHEDULER, fails=True)
    elsewhere = f"select count(predict(image, '{folder}/checkpoints/x', '{digest}')['confidence']) from faces"
    assert "is no checkpoint of" in world.run("sql", elsewhere, "--cluster", SCHEDULER, fails=True)
    other = folder / "other"
    world.run("init", other)
    world.run("bench", "faces", folder / "few", "--faces", 50, "--side", 24)
    world.run("--corpus", other, "ingest", folder / "few")
    config = other / "marginalia.toml"
    config.write_text(config.read_text().replace("from_rows = 10000000", "from_rows = 0"))
    said = world.run("--corpus", other, "sql", "select max(face_id) from faces", "--cluster", SCHEDULER, fails=True)
    assert "is no table that this cluster reads" in said, said
    assert cluster.status()["slots"] == 2, "the cluster did not survive"


def a_dead_scheduler_is_said_clearly(world, cluster):
    driver = world.start("train", "--cluster", SCHEDULER, "--json")
    for line in driver.stdout:
        if "pool_scored" in line:
            break
    cluster.kill("scheduler")
    begun = time.monotonic()
    assert driver.wait(timeout=100) == 1
    said = (world.folder / "host.log").read_text()[-3000:]
    assert "scheduler" in said and "does not answer" in said, said
    print(f"  said after {time.monotonic() - begun:.0f} s")
    [hidden] = rows(world, "select count(*) as n from predictions where round = 5")
    assert hidden["n"] == 0


def certificates(folder):
    """An authority, and one certificate for all machines."""
    folder.mkdir()
    names = ",".join(f"IP:{address(n)}" for n in range(3)) + f",IP:{HOST}"
    make = lambda *words: subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)
    make("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=authority", "-keyout", "ca.key",
         "-out", "ca.pem")
    make("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=machine", "-keyout", "key.pem", "-out", "node.csr")
    (folder / "names").write_text(f"subjectAltName={names}\nextendedKeyUsage=serverAuth,clientAuth\n")
    make("x509", "-req", "-in", "node.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile",
         "names", "-out", "cert.pem")


def with_certificates_only(world, folder):
    certificates(folder / "tls")
    plain = settings(world)
    secured = plain
    for name, file in (("tls_cert", "cert.pem"), ("tls_key", "key.pem"), ("tls_ca", "ca.pem")):
        secured = secured.replace(f'{name} = ""', f'{name} = "{folder}/tls/{file}"')
    put(world, secured)
    cluster = Cluster(world)
    cluster.scheduler()
    time.sleep(1)
    cluster.executor(1)
    cluster.executor(2)
    cluster.wait_for(2)
    sql = "select expression, count(*) as n from predictions group by 1 order by 1"
    assert rows(world, sql) == rows(world, sql, "--cluster", SCHEDULER)
    url = f"https://{address(0)}:50050/api/state"
    stranger = subprocess.run(["curl", "-sk", "--max-time", "5", url], capture_output=True)
    assert stranger.returncode != 0 and not stranger.stdout, "a client without a certificate was answered"
    put(world, plain)
    world.run("cluster", "status", "--cluster", SCHEDULER, fails=True)
    put(world, secured)
    assert cluster.status()["slots"] == 2


def settings(world):
    return world.store.get_object(Bucket="faces", Key="corpus/marginalia.toml")["Body"].read().decode()


def put(world, text):
    world.store.put_object(Bucket="faces", Key="corpus/marginalia.toml", Body=text.encode())


def corpus(world, folder, faces):
    """A corpus on the S3 server with one round, so that there is a checkpoint."""
    world.corpus = "s3://faces/corpus"
    world.store = boto3.client("s3", endpoint_url=world.endpoint, aws_access_key_id="test", aws_secret_access_key="test",
                               region_name="us-east-1")
    world.run("init", world.corpus)
    text = settings(world)
    for old, new in SETTINGS.items():
        assert old in text, old
        text = text.replace(old, new)
    put(world, text)
    world.run("bench", "faces", folder / "pool", "--faces", faces, "--side", 24)
    world.run("ingest", folder / "pool")
    ids = [row["face_id"] for row in rows(world, "select face_id from faces order by face_id limit 42")]
    classes = [row["expression"] for row in rows(world, "select expression from classes order by position")]
    for n, face_id in enumerate(ids):
        world.run("label", face_id, classes[n % len(classes)])
    world.run("train")
    assert rows(world, "select accepted from rounds") == [{"accepted": True}]


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("binary")
    arguments.add_argument("--faces", type=int, default=6000)
    arguments.add_argument("--bars", action="store_true")
    arguments = arguments.parse_args()
    if reason := missing():
        print(f"SKIPPED: {reason}; nothing of the cluster was tested")
        return
    with tempfile.TemporaryDirectory() as folder, Net(3), World(arguments.binary, folder) as world:
        folder = Path(folder)
        corpus(world, folder, arguments.faces)
        cluster = Cluster(world)
        cluster.scheduler()
        cluster.executor(1)
        cluster.executor(2)
        cluster.wait_for(2)
        for scene in (
            lambda: views_have_the_same_rows(world, cluster),
            lambda: and_so_through_psql(world),
            lambda: scores_are_equal_bit_for_bit(world),
            lambda: two_executors_score_faster_than_one(world, cluster, arguments.bars),
            lambda: a_round_scores_there(world),
            lambda: a_killed_driver_goes_on(world, cluster),
            lambda: a_killed_executor_costs_its_tasks_only(world, cluster),
            lambda: attacks_are_refused(world, cluster, folder),
            lambda: a_dead_scheduler_is_said_clearly(world, cluster),
        ):
            print(scene.__code__.co_names[0].replace("_", " "), flush=True)
            scene()
        for name in list(cluster.roles):
            cluster.kill(name)
        print("with certificates only", flush=True)
        with_certificates_only(world, folder)
    print("all well")


if __name__ == "__main__":
    main()
