"""The roles of a cluster, each on its machine, and the corpus that they work on."""

import signal

import boto3
from machines import address, end, wait_until

SCHEDULER = f"df://{address(0)}:50050"
# Jobs that a round's scoring makes, each of as many tasks as there are executors.
CHUNKS = 6
TRAIN = """[train]
backbone = "resnet-tiny"
image_size = {}
epochs_per_round = 1
steps_per_epoch = 3
batch_labelled = 4
batch_unlabelled = 4"""
SETTINGS = {
    "gate_macro_f1_loss = 0.05": "gate_macro_f1_loss = 1.0",
    "max_unlabelled = 20000": "max_unlabelled = 200",
    "map_faces = 10000": "map_faces = 0",
    "from_rows = 10000000": "from_rows = 0",
    "deadline_seconds = 3600": "deadline_seconds = 90",
    # Whole views, some of which people ask for the first rows of.
    "timeout_seconds = 30": "timeout_seconds = 600",
    # Compacted, they would be one fragment, which is one task.
    "maintenance_every_seconds = 60": "maintenance_every_seconds = 3600",
}
QUESTION = "select count(distinct face_id) as n from predictions"


class Cluster:
    """The scheduler on the first machine, an executor of one core on each of the others."""

    def __init__(self, world):
        self.world, self.roles = world, {}

    def start(self):
        self.scheduler()
        for n in (1, 2):
            self.executor(n)
        self.wait_for(2)
        return self

    def scheduler(self):
        words = f"cluster scheduler --listen {address(0)}:50050".split()
        self.roles["scheduler"] = self.world.start(*words, name="scheduler", on=0)

    def executor(self, n):
        name = f"executor-{n}"
        words = f"cluster executor --cluster {SCHEDULER} --listen {address(n)}:50051 --cores 1 --memory-mb 512".split()
        work = self.world.folder / name / "work"
        self.roles[name] = self.world.start(*words, "--work-dir", work, name=name, on=n, core=n)

    def status(self):
        return self.world.json("cluster", "status", "--cluster", SCHEDULER)

    def jobs(self):
        return len(self.status()["jobs"])

    def wait_for(self, slots):
        wait_until(f"{slots} slots", lambda: self.status()["slots"] == slots)

    def is_well(self):
        """All that was there is there, and answers."""
        slots = self.status()["slots"]
        assert slots == 2, f"{slots} slots"
        before = self.jobs()
        assert self.world.rows(QUESTION, "--cluster", SCHEDULER) == self.world.rows(QUESTION)
        assert self.jobs() > before, "the cluster was not asked"

    def kill(self, name):
        end(self.roles.pop(name), signal.SIGKILL)

    def kill_all(self):
        for name in list(self.roles):
            self.kill(name)


def corpus(world, faces, side):
    """A corpus on the S3 server with labels and a round, so that there is a checkpoint. And the same in a folder, which
    the cluster may read too."""
    world.corpus = "s3://faces/corpus"
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
    world.store = boto3.client("s3", endpoint_url=world.endpoint, **keys)
    world.run("init", world.corpus)
    change(world, SETTINGS)
    change(world, {"[train]": TRAIN.format(side), "chunk_faces = 200000": f"chunk_faces = {-(-faces // CHUNKS)}"})
    fill(world, faces, side)
    world.run("train")
    assert world.rows("select accepted from rounds") == [{"accepted": True}]
    world.local = world.folder / "local"
    world.run("backup", world.folder / "backup")
    world.run("restore", world.folder / "backup", world.local)
    change(world, {"corpora = []": f'corpora = ["{world.local}"]'})


def fill(world, faces, side):
    """Faces in two fragments for each job, and labels of some."""
    parts = 2 * CHUNKS
    for part in range(parts):
        pool = world.folder / "pool" / str(part)
        count = faces // parts + (part < faces % parts)
        world.run("bench", "faces", pool, "--faces", count, "--side", side, "--seed", part + 1)
        world.run("ingest", pool)
    assert world.rows("select count(*) as n from faces") == [{"n": faces}]
    ids = [row["face_id"] for row in world.rows("select face_id from faces order by face_id limit 42")]
    classes = [row["expression"] for row in world.rows("select expression from classes order by position")]
    for n, face_id in enumerate(ids):
        world.run("label", face_id, classes[n % len(classes)])


def change(world, changes):
    """Changes lines of the settings, in the store."""
    text = settings(world)
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    put(world, text)


def settings(world):
    return world.store.get_object(Bucket="faces", Key="corpus/marginalia.toml")["Body"].read().decode()


def put(world, text):
    world.store.put_object(Bucket="faces", Key="corpus/marginalia.toml", Body=text.encode())
