"""Scoring there: the same numbers, faster, and whole whoever dies."""

import json
import re
import signal
import time

from answers import in_order
from cluster import SCHEDULER, change, put, settings
from machines import end

STORED = ("expression", "confidence", "entropy", "top2_gap", "probabilities")
# Of two executors over one, with images in the local page cache.
SPEEDUP = 1.6


def checkpoint(world):
    """Of the first round, which was scored here."""
    [row] = world.rows("select checkpoint, checkpoint_hash from rounds where round = 1")
    return f"{world.corpus}/{row['checkpoint']}", row["checkpoint_hash"]


def scores_are_equal_bit_for_bit(world):
    """Those of the cluster, those of SQL here, and those that the round stored."""
    place, digest = checkpoint(world)
    sql = f"select face_id, predict(image, '{place}', '{digest}') as p from faces where face_id < '2'"
    here, there = (in_order(world.rows(sql, *more)) for more in ([], ["--cluster", SCHEDULER]))
    assert here == there and len(here) > 100, f"{here[:1]} {there[:1]}"
    sql = f"select face_id, {', '.join(STORED)} from predictions where round = 1 and face_id < '2'"
    stored = {row["face_id"]: row for row in world.rows(sql)}
    scored = [row for row in there if row["face_id"] in stored]
    assert len(scored) > 100
    for row in scored:
        assert all(row["p"][name] == stored[row["face_id"]][name] for name in STORED), (row, stored[row["face_id"]])


def two_executors_score_faster_than_one(world, cluster, faces, bars):
    places = {"the local page cache": world.local, "the S3 server": world.corpus}
    measured = {(name, 2): rate(world, corpus, faces) for name, corpus in places.items()}
    cluster.kill("executor-2")
    cluster.wait_for(1)
    measured |= {(name, 1): rate(world, corpus, faces) for name, corpus in places.items()}
    cluster.executor(2)
    cluster.wait_for(2)
    for name in places:
        two, one = measured[name, 2], measured[name, 1]
        print(f"  images in {name}: {two:.0f} a second on two executors, {one:.0f} on one: {two / one:.2f} times")
        assert not bars or name == "the S3 server" or two >= SPEEDUP * one


def rate(world, corpus, faces):
    score = world.json("--corpus", corpus, "bench", "score", "--cluster", SCHEDULER)
    assert score["images"] == faces, score
    return score["images_per_second"]


def next_round(world):
    return 1 + world.rows("select max(round) as n from rounds")[0]["n"]


def pool_is_scored(world, number):
    """Every face of the pool once, in a round that was finished."""
    [row] = world.rows(f"select scored, pool from rounds where round = {number}")
    sql = f"select count(*) as n, count(distinct face_id) as faces from predictions where round = {number}"
    [count] = world.rows(sql)
    assert row["scored"] == row["pool"] == count["n"] == count["faces"], (row, count)


def nothing_shows(world, number):
    """Nothing of a round that is not finished."""
    for table in ("rounds", "predictions"):
        assert world.rows(f"select count(*) as n from {table} where round = {number}") == [{"n": 0}], table


def chunks(lines):
    return sum(json.loads(line).get("event") == "pool_scored" for line in lines)


def train(world):
    """A round there; chunks of the pool that were scored."""
    return chunks(world.run("train", "--cluster", SCHEDULER, "--json").splitlines())


def train_until_a_chunk_is_scored(world):
    driver = world.start("train", "--cluster", SCHEDULER, "--json")
    for line in driver.stdout:
        if chunks([line]):
            return driver
    raise AssertionError(f"no chunk was scored: {world.said('host')}")


def a_round_scores_there(world):
    """Chunks that it made."""
    number = next_round(world)
    scored = train(world)
    pool_is_scored(world, number)
    assert scored > 2, f"{scored} chunks: too few to be killed among"
    return scored


def a_killed_driver_goes_on(world, of):
    number = next_round(world)
    driver = train_until_a_chunk_is_scored(world)
    end(driver, signal.SIGKILL)
    before = 1 + chunks(driver.stdout)
    nothing_shows(world, number)
    after = train(world)
    pool_is_scored(world, number)
    print(f"  {before} of {of} chunks before the kill, {after} after it")
    # One may have been committed and not said.
    assert of - before - 1 <= after <= of - before


def a_killed_driver_goes_on_in_other_chunks(world, of):
    """Whatever `cluster.chunk_faces` says by then."""
    number, before = next_round(world), settings(world)
    end(train_until_a_chunk_is_scored(world), signal.SIGKILL)
    size = int(re.search(r"^chunk_faces = (\d+)$", before, re.M)[1])
    change(world, {f"chunk_faces = {size}": f"chunk_faces = {2 * size}"})
    after = train(world)
    pool_is_scored(world, number)
    print(f"  {after} chunks of twice the size after the kill")
    assert 0 < after < of - 1
    put(world, before)


def a_killed_executor_costs_its_tasks_only(world, cluster):
    number = next_round(world)
    driver = train_until_a_chunk_is_scored(world)
    cluster.kill("executor-1")
    driver.communicate(timeout=240)
    assert driver.returncode == 0, world.said("host")
    pool_is_scored(world, number)
    cluster.executor(1)
    cluster.wait_for(2)


def a_dead_scheduler_is_said_clearly(world, cluster):
    """And the next start goes on."""
    number = next_round(world)
    driver = train_until_a_chunk_is_scored(world)
    cluster.kill("scheduler")
    begun = time.monotonic()
    driver.communicate(timeout=100)
    said = world.said("host")
    assert driver.returncode == 1 and "scheduler" in said and "does not answer" in said, said
    print(f"  said after {time.monotonic() - begun:.0f} s")
    nothing_shows(world, number)
    cluster.scheduler()
    cluster.wait_for(2)
    train(world)
    pool_is_scored(world, number)
