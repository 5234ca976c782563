"""One Ada-CM training step in PyTorch: four views, backward, Adam, EMA (the program is in recipe.py).

    python torch_step.py [--backbone resnet18|resnet-tiny] [--side 48] [--steps 20] [--threads 2]
                         [--layout contiguous|channels_last]

Adam is fused, the EMA runs over lists of tensors (foreach), and both memory layouts are tried unless one is named.
Prints one JSON document: seconds per step (median and fastest) for each layout and for the better one, peak memory in
MiB (of all that were tried) and the versions used.
"""

import argparse
import json
import resource
import statistics
import time

import torch

import recipe

BATCH = 16
WARM_UP = 3
LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


def measure(arguments, layout):
    torch.manual_seed(1)
    preset = recipe.PRESETS["streaming"]
    model = recipe.ResNet(arguments.backbone, feature_scale=preset.feature_scale)
    model = model.to(memory_format=layout).train()
    optimiser = recipe.Optimiser(model, preset)
    views = [
        torch.rand(BATCH, 3, arguments.side, arguments.side).mul(3.4).sub(1.7).to(memory_format=layout)
        for _ in range(4)
    ]
    labels = torch.arange(BATCH) % model.fc.out_features
    margins = torch.full((model.fc.out_features,), 0.3)
    times = []
    for step in range(arguments.steps + WARM_UP):
        start = time.perf_counter()
        loss, *_ = recipe.step_loss(model, preset, margins, views[0], labels, views[1:3], views[3])
        optimiser.step(loss)
        if step >= WARM_UP:
            times.append(time.perf_counter() - start)
    return statistics.median(times), min(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", choices=recipe.BACKBONES, default="resnet18")
    parser.add_argument("--side", type=int, default=48)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--layout", choices=LAYOUTS, help="only this one")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    measured = {
        name: measure(arguments, layout)
        for name, layout in LAYOUTS.items()
        if arguments.layout in (None, name)
    }
    median, fastest = min(measured.values())
    answer = {
        "backbone": arguments.backbone,
        "side": arguments.side,
        "threads": arguments.threads,
        "seconds_by_layout": {name: round(median, 4) for name, (median, _) in measured.items()},
        "seconds": round(median, 4),
        "fastest_seconds": round(fastest, 4),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "versions": {"torch": torch.__version__},
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
