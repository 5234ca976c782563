"""Ada-CM or plain supervised training in PyTorch, the twin of `marginalia train` (the program is in recipe.py).

    python torch_train.py --train fer2013-train.tar --test fer2013-publictest.tar --per-class 100 [--method ada-cm]
                          [--preset streaming|released] [--backbone resnet18] [--side 48] [--epochs 5] [--steps 100]
                          [--seed 1] [--threads 2] [--device cpu|cuda]

Faces are read as faces.py says, each content once, and none that is also in the test. The labelled ones are drawn by class
and seed, all others are unlabelled. Images lie decoded in memory, and a thread makes the next step's views while this one
computes. Prints one JSON document per epoch: mean losses, margins, share of the unlabelled faces accepted, accuracy and
macro-F1 of the EMA model on the test faces, seconds.
"""

import argparse
import json
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch.nn import functional as F

import faces
import recipe

LAYOUT = torch.channels_last
BATCH = 16


class Dealer:
    """Shuffles a set and deals it out in batches without replacement; the last partial batch of a pass is dropped."""

    def __init__(self, items, random):
        self.items, self.random, self.dealt = items, random, np.empty(0, dtype=np.int64)

    def batch(self):
        while len(self.dealt) < BATCH:
            order = self.random.permutation(self.items)
            whole = len(order) // BATCH * BATCH
            self.dealt = order[:whole] if whole else np.concatenate([self.dealt, order])
        batch, self.dealt = self.dealt[:BATCH], self.dealt[BATCH:]
        return batch


def draw_labelled(classes, per_class, random):
    chosen = [random.permutation(np.flatnonzero(classes == index))[:per_class] for index in range(len(recipe.EXPRESSIONS))]
    return np.concatenate(chosen)


def predictions(model, images, side, view=None):
    device = next(model.parameters()).device
    with torch.inference_mode():
        parts = []
        for at in range(0, len(images), 128):
            batch = images[at : at + 128]
            batch = view(batch) if view else faces.resized(batch, side)
            parts.append(model(faces.numbers(batch, LAYOUT).to(device))[1].double().softmax(1))
        return torch.cat(parts).cpu()


def accuracy_and_f1(probabilities, labels):
    predicted = probabilities.argmax(1)
    scores = []
    for index in range(probabilities.shape[1]):
        right = ((predicted == index) & (labels == index)).sum().item()
        count = (predicted == index).sum().item() + (labels == index).sum().item()
        if count:
            scores.append(2 * right / count)
    return (predicted == labels).double().mean().item(), sum(scores) / len(scores)


class Trainer:
    def __init__(self, arguments, images, classes, labelled, unlabelled):
        self.arguments, self.images, self.classes, self.labelled = arguments, images, classes, labelled
        self.preset = recipe.PRESETS[arguments.preset]
        self.random = np.random.default_rng(arguments.seed)
        self.dealers = Dealer(labelled, self.random), Dealer(unlabelled, self.random)
        shape = {"backbone": arguments.backbone, "feature_scale": self.preset.feature_scale}
        self.model = recipe.ResNet(**shape).to(memory_format=LAYOUT).train()
        self.teacher = recipe.ResNet(**shape).to(memory_format=LAYOUT)
        self.optimiser = recipe.Optimiser(self.model, self.preset)
        self.margins = [self.preset.initial_margin] * len(recipe.EXPRESSIONS)

    def views(self):
        """The next step's views: labelled, labels, weak ones, strong one."""
        side, random = self.arguments.side, self.random
        of_labelled = self.dealers[0].batch()
        labels = torch.from_numpy(self.classes[of_labelled])
        x = faces.numbers(faces.weak(self.images[of_labelled], side, random), LAYOUT)
        if self.arguments.method == "supervised":
            return x, labels, [], None
        unlabelled = self.images[self.dealers[1].batch()]
        weak = [faces.numbers(faces.weak(unlabelled, side, random), LAYOUT) for _ in range(2)]
        return x, labels, weak, faces.numbers(faces.strong(unlabelled, side, random), LAYOUT)

    def step(self, x, labels, weak, strong):
        """Losses by name and the number of accepted faces."""
        device = self.arguments.device
        x, labels, weak = x.to(device), labels.to(device), [view.to(device) for view in weak]
        if strong is None:
            loss = F.cross_entropy(self.model(x)[1], labels)
            terms, accepted = {"supervised": loss}, 0
        else:
            margins = torch.tensor(self.margins)
            strong = strong.to(device)
            loss, terms, _, sure = recipe.step_loss(self.model, self.preset, margins, x, labels, weak, strong)
            accepted = int(sure.sum())
        self.optimiser.step(loss)
        return {"total": loss.item(), **{name: term.item() for name, term in terms.items()}}, accepted

    def epoch(self, t):
        """Trains, measures the margins of the next epoch; gives mean losses and the share accepted."""
        sums, accepted = {}, 0
        with ThreadPoolExecutor(1) as ahead:
            waiting = ahead.submit(self.views)
            for step in range(self.arguments.steps):
                views = waiting.result()
                if step + 1 < self.arguments.steps:
                    waiting = ahead.submit(self.views)
                losses, count = self.step(*views)
                accepted += count
                for name, value in losses.items():
                    sums[name] = sums.get(name, 0.0) + value / self.arguments.steps
        self.optimiser.load_teacher(self.teacher)
        weak = lambda batch: faces.weak(batch, self.arguments.side, self.random)
        known = predictions(self.teacher, self.images[self.labelled], self.arguments.side, weak)
        labels = torch.from_numpy(self.classes[self.labelled])
        confidence = recipe.mean_confidence(known, labels, len(recipe.EXPRESSIONS))
        self.margins = recipe.next_margins(self.preset, confidence, t)
        return sums, accepted / (self.arguments.steps * BATCH)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", required=True)
    parser.add_argument("--test", required=True)
    parser.add_argument("--per-class", type=int, default=100)
    parser.add_argument("--method", choices=["ada-cm", "supervised"], default="ada-cm")
    parser.add_argument("--preset", choices=recipe.PRESETS, default="streaming")
    parser.add_argument("--backbone", choices=recipe.BACKBONES, default="resnet18")
    parser.add_argument("--side", type=int, default=48)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.set_default_device(arguments.device)
    torch.manual_seed(arguments.seed)

    csv = arguments.test.endswith(".csv")
    test_keys, test_images, test_classes = faces.read(arguments.test, "PublicTest" if csv else None)
    csv = arguments.train.endswith(".csv")
    _, images, classes = faces.read(arguments.train, "Training" if csv else None, without=test_keys)
    labelled = draw_labelled(classes, arguments.per_class, np.random.default_rng(arguments.seed))
    unlabelled = np.setdiff1d(np.arange(len(classes)), labelled)
    trainer = Trainer(arguments, images, classes, labelled, unlabelled)
    for epoch in range(1, arguments.epochs + 1):
        start = time.perf_counter()
        losses, share = trainer.epoch(epoch)
        trained = time.perf_counter() - start
        probabilities = predictions(trainer.teacher, test_images, arguments.side)
        accuracy, macro_f1 = accuracy_and_f1(probabilities, torch.from_numpy(test_classes))
        report = {
            "epoch": epoch,
            "method": arguments.method,
            "preset": arguments.preset,
            "labelled": len(labelled),
            "unlabelled": len(unlabelled),
            "losses": {name: round(value, 5) for name, value in losses.items()},
            "margins": dict(zip(recipe.EXPRESSIONS, (round(margin, 4) for margin in trainer.margins))),
            "subset_one_share": round(share, 4),
            "ema_accuracy": round(accuracy, 4),
            "ema_macro_f1": round(macro_f1, 4),
            "seconds": round(trained, 2),
        }
        print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
