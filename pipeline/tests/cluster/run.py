"""A scheduler, two executors and whoever asks them, each on a machine of its own: rows, scores, deaths, attacks.

    python run.py MARGINALIA_WITH_CLUSTER [--faces 6000] [--bars]

The corpus lies on an S3 server, and a copy of it in a folder. Figures are printed; `--bars` asks for two executors to
be 1.6 times as fast as one, on 20,000 faces of the usual size. Skips, loudly, where there are no network namespaces.
"""

import argparse
import tempfile

from answers import and_so_through_psql, views_have_the_same_rows_there
from attacks import attacks_are_refused, with_certificates_only
from cluster import Cluster, corpus
from machines import Net, World, missing
from scoring import (
    a_dead_scheduler_is_said_clearly,
    a_killed_driver_goes_on,
    a_killed_driver_goes_on_in_other_chunks,
    a_killed_executor_costs_its_tasks_only,
    a_round_scores_there,
    scores_are_equal_bit_for_bit,
    two_executors_score_faster_than_one,
)
from walk_through import the_walk_through_works_as_written


def play(scene, *of):
    print(scene.__name__.replace("_", " "), flush=True)
    return scene(*of)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("binary")
    arguments.add_argument("--faces", type=int, help="at least 6000")
    arguments.add_argument("--bars", action="store_true")
    arguments = arguments.parse_args()
    faces, side = (20_000, 48) if arguments.bars else (6000, 24)
    faces = arguments.faces or faces
    if reason := missing():
        print(f"SKIPPED: {reason}; nothing of the cluster was tested")
        return
    with tempfile.TemporaryDirectory() as folder, Net(3), World(arguments.binary, folder) as world:
        play(corpus, world, faces, side)
        play(the_walk_through_works_as_written, world)
        cluster = Cluster(world).start()
        here = play(views_have_the_same_rows_there, world, cluster)
        play(and_so_through_psql, world, cluster, here)
        play(scores_are_equal_bit_for_bit, world)
        play(two_executors_score_faster_than_one, world, cluster, faces, arguments.bars)
        chunks = play(a_round_scores_there, world)
        play(a_killed_driver_goes_on, world, chunks)
        play(a_killed_driver_goes_on_in_other_chunks, world, chunks)
        play(a_killed_executor_costs_its_tasks_only, world, cluster)
        play(attacks_are_refused, world, cluster)
        play(a_dead_scheduler_is_said_clearly, world, cluster)
        cluster.kill_all()
        play(with_certificates_only, world)
    print("all well")


if __name__ == "__main__":
    main()
