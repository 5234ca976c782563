"""Faces scored per second in PyTorch: files decoded, two weak views each, mean probabilities, features, entropy.

    python torch_score.py [FOLDER] [--backbone resnet18] [--side 48] [--threads 2] [--faces 4096] [--batch 128]
                          [--layout contiguous|channels_last]

FOLDER holds image files (in folders or not); without it, faces are drawn and written as PNG and as JPEG to a
temporary folder. Decoding runs on a pool of threads (Pillow lets go of the lock), a batch ahead of the network, which
runs in eval mode under inference_mode with BatchNorm folded into the convolutions; both memory layouts are tried
unless one is named. Prints one JSON document: images per second of the better layout and of each, for every file type
where it drew them itself.
"""

import argparse
import json
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn.utils.fusion import fuse_conv_bn_eval

import faces
import recipe

VIEWS = 2
LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


def folded(model):
    """BatchNorm folded into the convolutions before it."""
    pairs = [(model, "conv1", "bn1")]
    for block in (module for module in model.modules() if isinstance(module, recipe.Block)):
        pairs += [(block, "conv1", "bn1"), (block, "conv2", "bn2")]
        if block.downsample is not None:
            pairs.append((block.downsample, "0", "1"))
    for parent, convolution, norm in pairs:
        fused = fuse_conv_bn_eval(getattr(parent, convolution), getattr(parent, norm))
        setattr(parent, convolution, fused)
        setattr(parent, norm, torch.nn.Identity())
    return model


def prepare(pool, paths, side, random, layout):
    images = list(pool.map(faces.decode, paths))
    sizes = {image.shape for image in images}
    if len(sizes) == 1:
        images = np.stack(images)
    else:
        images = np.concatenate([faces.resized(image[None], side) for image in images])
    return torch.cat([faces.numbers(faces.weak(images, side, random), layout) for _ in range(VIEWS)])


@torch.inference_mode()
def score(model, paths, arguments, layout):
    random = np.random.default_rng(1)
    batches = [paths[at : at + arguments.batch // VIEWS] for at in range(0, len(paths), arguments.batch // VIEWS)]
    answers = []
    with ThreadPoolExecutor(arguments.threads) as decoders, ThreadPoolExecutor(1) as ahead:
        task = lambda batch: ahead.submit(prepare, decoders, batch, arguments.side, random, layout)
        waiting = task(batches[0])
        for number, _ in enumerate(batches):
            images = waiting.result()
            if number + 1 < len(batches):
                waiting = task(batches[number + 1])
            feature, logits = model(images)
            probabilities = logits.softmax(1).unflatten(0, (VIEWS, -1)).mean(0)
            top = probabilities.topk(2, 1).values
            entropy = torch.special.entr(probabilities).sum(1)
            feature = torch.nn.functional.normalize(feature.unflatten(0, (VIEWS, -1)).mean(0))
            answers.append((probabilities, entropy, top[:, 0] - top[:, 1], feature))
    return [torch.cat(part) for part in zip(*answers)]


def drawn(folder, count, suffix):
    """Smooth noise around a bright oval: about as many bytes as a grey face."""
    random = np.random.default_rng(1)
    y, x = np.mgrid[-1:1:48j, -1:1:48j]
    for number in range(count):
        noise = Image.fromarray(random.integers(0, 80, (12, 12), dtype=np.uint8)).resize((48, 48), Image.Resampling.BICUBIC)
        pixels = np.where(x**2 + 1.5 * y**2 < 0.8, 150, 40) + np.asarray(noise)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{number}.{suffix}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--backbone", choices=recipe.BACKBONES, default="resnet18")
    parser.add_argument("--side", type=int, default=48)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--faces", type=int, default=4096)
    parser.add_argument("--batch", type=int, default=128, help="views in one forward pass")
    parser.add_argument("--layout", choices=LAYOUTS, help="only this one")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(1)
    measured = {}
    with tempfile.TemporaryDirectory() as temporary:
        sets = {"files": arguments.folder}
        if arguments.folder is None:
            sets = {suffix: Path(temporary) / suffix for suffix in ("png", "jpg")}
            for suffix, folder in sets.items():
                folder.mkdir()
                drawn(folder, arguments.faces, suffix)
        for kind, folder in sets.items():
            paths = sorted(path for path in folder.rglob("*") if path.is_file())[: arguments.faces]
            measured[kind] = {}
            for name, layout in LAYOUTS.items():
                if arguments.layout not in (None, name):
                    continue
                model = folded(recipe.ResNet(arguments.backbone).eval()).to(memory_format=layout)
                score(model, paths[: 2 * arguments.batch], arguments, layout)
                start = time.perf_counter()
                probabilities, *_ = score(model, paths, arguments, layout)
                measured[kind][name] = round(len(probabilities) / (time.perf_counter() - start), 1)
    rates = {kind: max(layouts.values()) for kind, layouts in measured.items()}
    answer = {
        "backbone": arguments.backbone,
        "side": arguments.side,
        "threads": arguments.threads,
        "images_per_second_by_layout": measured,
        "images_per_second": rates if arguments.folder is None else rates["files"],
        "versions": {"torch": torch.__version__},
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
