"""Training in PyTorch by one of six methods, the twin of `marginalia train` (see recipe.py and methods.py).

    python torch_train.py --train fer2013-train.tar --test fer2013-publictest.tar [--labels per-class:100]
                          [--method ada-cm] [--preset streaming|released] [--backbone resnet18] [--side 48]
                          [--epochs 5] [--steps 100] [--seed 1] [--threads 2] [--device cpu|cuda]

Faces are read as faces.py says, each content once, and none that is also in the test. The labelled ones are drawn by
class and seed, as many as `marginalia import --labels` takes; all others are unlabelled. Images lie decoded in memory,
and a thread makes the next step's views while this one computes. Prints one JSON document per epoch: mean losses, class
confidences of the EMA model (Eq. 1), share of the unlabelled faces accepted (null for a method that accepts none), its
accuracy and macro-F1 on the test faces, seconds.
"""

import argparse
import json
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

import faces
import methods
import recipe
from student import Batch, Student

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


def budget(text, available):
    """Labels of each class: per-class:N, ada-cm:N in the shares of Ada-CM's table, or N in those of what is there."""
    kind, _, number = text.rpartition(":")
    number = int(number)
    if kind == "per-class":
        return [number] * len(available)
    if kind == "ada-cm":
        fear, other = (250, 625) if number == 4000 else (10, 15)
        available = [fear if name == "fear" else other for name in recipe.EXPRESSIONS]
    elif kind:
        raise SystemExit(f"--labels {text}: valid are N, per-class:N and ada-cm:N")
    whole, rest = np.divmod(number * np.array(available), sum(available))
    whole[np.argsort(-rest, kind="stable")[: number - whole.sum()]] += 1
    return whole.tolist()


def draw_labelled(classes, labels, random):
    of_class = [np.flatnonzero(classes == index) for index in range(len(recipe.EXPRESSIONS))]
    counts = budget(labels, [len(known) for known in of_class])
    for name, known, count in zip(recipe.EXPRESSIONS, of_class, counts):
        if count > len(known):
            raise SystemExit(f"--labels {labels}: of {name} there are {len(known)} faces, {count} are asked for")
    return np.concatenate([random.permutation(known)[:count] for known, count in zip(of_class, counts)])


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
        preset = recipe.PRESETS[arguments.preset]
        shares = np.bincount(classes[labelled], minlength=len(recipe.EXPRESSIONS)) / len(labelled)
        self.steps = arguments.epochs * arguments.steps
        self.method = methods.build(arguments.method, preset, shares, self.steps)
        self.random = np.random.default_rng(arguments.seed)
        self.dealers = Dealer(labelled, self.random), Dealer(unlabelled, self.random)
        shape = {"feature_scale": preset.feature_scale, "auxiliary": self.method.auxiliary}
        model = recipe.ResNet(arguments.backbone, **shape).to(memory_format=LAYOUT).train()
        self.teacher = recipe.ResNet(arguments.backbone, **shape).to(memory_format=LAYOUT)
        self.student = Student(model)
        self.optimiser = recipe.Optimiser(model, preset)

    def batch(self):
        """The next step's views; the progress is not known here."""
        of_labelled = self.dealers[0].batch()
        labels = torch.from_numpy(self.classes[of_labelled])
        labelled = self.view(faces.weak, self.images[of_labelled])
        if not any(self.method.views):
            return Batch(labelled, labels, [], [])
        unlabelled = self.images[self.dealers[1].batch()]
        weak, strong = (
            [self.view(make, unlabelled) for _ in range(count)]
            for make, count in zip((faces.weak, faces.strong), self.method.views)
        )
        return Batch(labelled, labels, weak, strong)

    def view(self, make, images):
        return faces.numbers(make(images, self.arguments.side, self.random), LAYOUT)

    def step(self, batch):
        """Losses by name, and the share of the unlabelled faces that was accepted."""
        batch = batch.to(self.arguments.device)
        batch.progress = self.optimiser.steps / self.steps
        loss = self.method.loss(self.student, batch)
        self.optimiser.step(loss.total)
        losses = {"total": loss.total.item(), **{name: term.item() for name, term in loss.terms.items()}}
        return losses, None if loss.accepted is None else loss.accepted.double().mean().item()

    def epoch(self, t):
        """Trains and measures; gives mean losses, the share accepted and the teacher's confidence in each class."""
        steps, accepted = [], []
        with ThreadPoolExecutor(1) as ahead:
            waiting = ahead.submit(self.batch)
            for step in range(self.arguments.steps):
                batch = waiting.result()
                if step + 1 < self.arguments.steps:
                    waiting = ahead.submit(self.batch)
                losses, share = self.step(batch)
                steps.append(losses)
                accepted += [] if share is None else [share]
        losses = {name: statistics.mean(step[name] for step in steps) for name in steps[0]}
        self.optimiser.load_teacher(self.teacher)
        weak = lambda batch: faces.weak(batch, self.arguments.side, self.random)
        known = predictions(self.teacher, self.images[self.labelled], self.arguments.side, weak)
        labels = torch.from_numpy(self.classes[self.labelled])
        confidence = recipe.mean_confidence(known, labels, len(recipe.EXPRESSIONS))
        self.method.after_epoch(confidence, t)
        return losses, statistics.mean(accepted) if accepted else None, confidence


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", required=True)
    parser.add_argument("--test", required=True)
    parser.add_argument("--labels", default="per-class:100")
    parser.add_argument("--method", choices=methods.METHODS, default="ada-cm")
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
    labelled = draw_labelled(classes, arguments.labels, np.random.default_rng(arguments.seed))
    unlabelled = np.setdiff1d(np.arange(len(classes)), labelled)
    trainer = Trainer(arguments, images, classes, labelled, unlabelled)
    for epoch in range(1, arguments.epochs + 1):
        start = time.perf_counter()
        losses, accepted, confidence = trainer.epoch(epoch)
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
            "confidence": {name: it and round(it, 4) for name, it in zip(recipe.EXPRESSIONS, confidence)},
            "subset_one_share": accepted and round(accepted, 4),
            "ema_accuracy": round(accuracy, 4),
            "ema_macro_f1": round(macro_f1, 4),
            "seconds": round(trained, 2),
        }
        print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
