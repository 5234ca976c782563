"""One step of a student: the faces it gets, and what a method may do with it.

Every view is a batch of its own to BatchNorm. Dropout and a method's draws come from PyTorch's generator.
"""

from dataclasses import dataclass

import torch
from torch import nn


@dataclass
class Batch:
    """A step's views, (n, 3, S, S) each: one of the labelled faces, weak and strong ones of the unlabelled faces."""

    labelled: torch.Tensor
    labels: torch.Tensor
    weak: list
    strong: list
    progress: float = 0.0  # share of the training that is done, for ramps

    def to(self, device):
        weak, strong = ([view.to(device) for view in views] for views in (self.weak, self.strong))
        return Batch(self.labelled.to(device), self.labels.to(device), weak, strong, self.progress)


class Student:
    """Sends views through the network in train mode; each gives (feature, logits)."""

    def __init__(self, model):
        self.model = model
        self.norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]

    def __call__(self, view):
        """BatchNorm's running statistics move."""
        return self.model(view)

    def aside(self, view):
        """Running statistics stay as they are, for a view that the teacher should not be shaped by."""
        self.track(False)
        outputs = self.model(view)
        self.track(True)
        return outputs

    @torch.no_grad()
    def predict(self, view):
        """The same without gradient, to guess labels by."""
        return self.aside(view)

    def auxiliary(self, feature):
        """Logits of the method's own head."""
        return self.model.auxiliary(self.model.feature_scale * feature)

    def mixing(self, alpha, rows):
        """A mixing share from Beta(alpha, alpha), and for every row the one it is mixed with."""
        return torch.distributions.Beta(alpha, alpha).sample().item(), torch.randperm(rows)

    def quarter_turns(self, rows):
        return torch.randint(4, (rows,))

    def track(self, moves):
        for norm in self.norms:
            norm.track_running_stats = moves
