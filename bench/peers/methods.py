"""The six methods of the comparison as one would write them in PyTorch: what each makes of a step's views.

A method has `views`, how many weak and strong ones it needs of every unlabelled face, and a `loss`, which sends a batch
through a student (both of student.py) and says what is to be minimised. Defaults are those of `marginalia train`.
`torch_check.py` compares every method with the reference cases.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch.nn import functional as F

import recipe


class Loss(NamedTuple):
    """What is minimised, its terms without their weights, and how the unlabelled faces were split, if they were."""

    total: torch.Tensor
    terms: dict
    pseudo_labels: torch.Tensor = None
    accepted: torch.Tensor = None


class Method:
    views = (0, 0)
    auxiliary = 0  # classes of a second head

    def after_epoch(self, confidence, t):
        """Takes the teacher's mean confidence in each class (Eq. 1 of Ada-CM) after epoch t."""


class Supervised(Method):
    def loss(self, student, batch):
        _, logits = student(batch.labelled)
        return weighted({"supervised": F.cross_entropy(logits, batch.labels)}, [1.0])


@dataclass
class PseudoLabel(Method):
    """Lee, 2013: what a weak view is sure of is taught to the same view."""

    margin: float = 0.95
    weight: float = 1.0
    ramp: float = 0.4
    views = (1, 0)

    def loss(self, student, batch):
        _, weak = student(batch.weak[0])
        _, labelled = student(batch.labelled)
        weight = self.weight * grown(batch.progress, self.ramp)
        return taught(labelled, batch.labels, weak, weak, self.margin, weight)


@dataclass
class FixMatch(Method):
    """Sohn et al., 2020: what a weak view is sure of is taught to a strong one."""

    margin: float = 0.95
    weight: float = 1.0
    views = (1, 1)

    def loss(self, student, batch):
        with torch.no_grad():
            _, weak = student(batch.weak[0])
        _, labelled = student(batch.labelled)
        _, strong = student(batch.strong[0])
        return taught(labelled, batch.labels, weak, strong, self.margin, self.weight)


@dataclass
class MixMatch(Method):
    """Berthelot et al., 2019: guessed labels, mixup of all faces, squared error where the label was guessed."""

    temperature: float = 0.5
    alpha: float = 0.5
    weight: float = 100.0
    ramp: float = 0.4
    views = (2, 0)

    def loss(self, student, batch):
        predicted = torch.stack([student.predict(view)[1].softmax(1) for view in batch.weak]).mean(0)
        guessed = sharpen(predicted, self.temperature)
        labelled, (logits, targets) = mixed(student, self.alpha, batch, batch.weak, guessed)
        terms = {"supervised": F.cross_entropy(*labelled), "unlabelled": F.mse_loss(logits.softmax(1), targets)}
        return weighted(terms, [1.0, self.weight * grown(batch.progress, self.ramp)])


@dataclass
class ReMixMatch(Method):
    """Berthelot et al., 2020: mixes strong views too; guesses follow the class shares `target`, turns are told."""

    target: torch.Tensor
    momentum: float
    temperature: float = 0.5
    alpha: float = 0.75
    weight: float = 1.5
    strong_weight: float = 0.5
    rotation_weight: float = 0.5
    ramp: float = 1 / 64
    mean: torch.Tensor = None  # moving average of the predictions; none before the first
    views = (1, 2)
    auxiliary = 4

    def loss(self, student, batch):
        predicted = student.predict(batch.weak[0])[1].softmax(1)
        guessed = sharpen(self.aligned(predicted), self.temperature)
        labelled, unlabelled = mixed(student, self.alpha, batch, [*batch.strong, *batch.weak], guessed)
        first = batch.strong[0]
        turns = student.quarter_turns(len(first))
        _, unmixed = student.aside(first)
        feature, _ = student.aside(turned(first, turns))
        terms = {
            "supervised": F.cross_entropy(*labelled),
            "unlabelled": F.cross_entropy(*unlabelled),
            "strong": F.cross_entropy(unmixed, guessed),
            "rotation": F.cross_entropy(student.auxiliary(feature), turns),
        }
        share = grown(batch.progress, self.ramp)
        return weighted(terms, [1.0, share * self.weight, share * self.strong_weight, self.rotation_weight])

    @torch.no_grad()
    def aligned(self, predicted):
        now = predicted.mean(0)
        self.mean = now if self.mean is None else self.mean.lerp(now, 1 - self.momentum)
        aligned = predicted * (self.target + 1e-6) / (self.mean + 1e-6)
        return aligned / aligned.sum(1, keepdim=True)


class AdaCm(Method):
    """Li et al., 2022: the loss of recipe.py with margins that follow the teacher."""

    views = (2, 1)

    def __init__(self, preset):
        self.preset, self.margins = preset, [preset.initial_margin] * len(recipe.EXPRESSIONS)

    def loss(self, student, batch):
        margins = torch.tensor(self.margins)
        views = batch.labelled, batch.labels, batch.weak, batch.strong[0]
        return Loss(*recipe.step_loss(student, self.preset, margins, *views))

    def after_epoch(self, confidence, t):
        self.margins = recipe.next_margins(self.preset, confidence, t)


METHODS = {
    "supervised": Supervised,
    "pseudo-label": PseudoLabel,
    "mixmatch": MixMatch,
    "remixmatch": ReMixMatch,
    "fixmatch": FixMatch,
    "ada-cm": AdaCm,
}


def build(name, preset, shares, steps):
    """The method of that name, for so many steps and labelled faces with these class shares."""
    momentum = max(0.0, min(preset.momentum, 1 - preset.spans_per_round / steps))
    needs = {"ada-cm": [preset], "remixmatch": [torch.tensor(shares, dtype=torch.float32), momentum]}
    return METHODS[name](*needs.get(name, []))


def weighted(terms, weights):
    return Loss(sum(weight * term for weight, term in zip(weights, terms.values())), terms)


def grown(progress, ramp):
    """From 0 to 1 over the first `ramp` of the training."""
    return min(1.0, progress / ramp)


def taught(labelled, labels, weak, logits, margin, weight):
    """Cross-entropy of labelled faces, and of `logits` with the classes that reach the margin in the weak view."""
    confidence, pseudo_labels = weak.softmax(1).max(1)
    accepted = confidence >= margin
    unlabelled = (F.cross_entropy(logits, pseudo_labels, reduction="none") * accepted).mean()
    loss = weighted({"supervised": F.cross_entropy(labelled, labels), "unlabelled": unlabelled}, [1.0, weight])
    return loss._replace(pseudo_labels=pseudo_labels, accepted=accepted)


@torch.no_grad()
def sharpen(probabilities, temperature):
    return (probabilities.log() / temperature).softmax(1)


def mixed(student, alpha, batch, views, guessed):
    """Mixed in pairs: (logits, targets) of the labelled faces, and of all `views`, whose targets were guessed."""
    views = [batch.labelled, *views]
    labels = F.one_hot(batch.labels, guessed.shape[1]).to(guessed.dtype)
    images, targets = torch.cat(views), torch.cat([labels, *[guessed] * (len(views) - 1)])
    drawn, partners = student.mixing(alpha, len(images))
    share = max(drawn, 1 - drawn)
    images, targets = (share * rows + (1 - share) * rows[partners] for rows in (images, targets))
    logits = torch.cat([student(view)[1] for view in images.split([len(view) for view in views])])
    count = len(labels)
    return (logits[:count], targets[:count]), (logits[count:], targets[count:])


def turned(images, turns):
    """Every image turned by its number of quarters."""
    result = images.clone()
    for turn in range(1, 4):
        result[turns == turn] = images[turns == turn].rot90(turn, (2, 3))
    return result
