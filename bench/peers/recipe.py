"""Ada-CM as one would write it in PyTorch: the network, the loss, the margins, and the student's and the teacher's step.

What the other files here measure or train is put together from this one, so that a figure and a result mean the same
program; `torch_check.py` compares it with the reference cases.
"""

import math
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

EXPRESSIONS = ["neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger"]
SYNONYMS = {"happy": "happiness", "sad": "sadness", "angry": "anger", "fearful": "fear", "surprised": "surprise"}


@dataclass
class Preset:
    """The settings in which the two presets differ, and those they share."""

    feature_scale: float
    ema_warmup: bool
    floor: float
    decay_buffers: bool
    spans_per_round: float
    learning_rate: float = 5e-4
    ema_decay: float = 0.999
    student_decay: float = 0.02
    beta: float = 0.97
    initial_margin: float = 0.8
    empty_margin: float = 0.8
    weights: tuple = (0.5, 1.0, 0.1)
    temperature: float = 0.07
    over_subset: bool = False
    momentum: float = 0.999


PRESETS = {
    "streaming": Preset(feature_scale=16.0, ema_warmup=True, floor=0.0, decay_buffers=False, spans_per_round=10),
    "released": Preset(feature_scale=1.0, ema_warmup=False, floor=0.8, decay_buffers=True, spans_per_round=0),
}


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x):
        shortcut = x if self.downsample is None else self.downsample(x)
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return F.relu(self.bn2(self.conv2(y)) + shortcut, inplace=True)


class ResNet(nn.Module):
    """torchvision's basic-block network and key names, a unit-norm feature before the head and an auxiliary one."""

    def __init__(self, backbone="resnet18", classes=7, feature_scale=16.0, dropout=0.5, auxiliary=0):
        super().__init__()
        blocks, channels = BACKBONES[backbone]
        self.conv1 = nn.Conv2d(3, channels, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        inputs = channels
        for stage, count in enumerate(blocks):
            outputs = channels << stage
            stack = [Block(inputs, outputs, 2 if stage else 1)]
            stack += [Block(outputs, outputs, 1) for _ in range(count - 1)]
            setattr(self, f"layer{stage + 1}", nn.Sequential(*stack))
            inputs = outputs
        self.fc = nn.Linear(inputs, classes)
        self.auxiliary = nn.Linear(inputs, auxiliary) if auxiliary else None
        self.feature_scale, self.dropout = feature_scale, dropout
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x)), inplace=True), 3, 2, 1)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x)))).mean((2, 3))
        feature = F.normalize(F.dropout(x, self.dropout, self.training))
        return feature, self.fc(self.feature_scale * feature)


BACKBONES = {"resnet18": ([2, 2, 2, 2], 64), "resnet34": ([3, 4, 6, 3], 64), "resnet-tiny": ([1, 1, 1, 1], 16)}


def info_nce(views, temperature):
    """Every view of every face is an anchor, the other views of its face are its positives."""
    features, count = torch.cat(views), len(views[0])
    similarity = (features @ features.T / temperature).fill_diagonal_(-1e9)
    log_share = similarity.log_softmax(1)
    anchor = torch.arange(len(features))
    positives = [log_share[anchor, (anchor + count * shift) % len(features)] for shift in range(1, len(views))]
    return -torch.stack(positives).mean()


def ada_cm(preset, margins, labelled_logits, labels, weak, strong_logits):
    """Loss, its terms and the split; `weak` are (feature, logits) of every weak view."""
    confidence, pseudo = torch.stack([logits.softmax(1) for _, logits in weak]).mean(0).detach().max(1)
    sure = confidence >= margins[pseudo]
    supervised = F.cross_entropy(labelled_logits, labels)
    divisor = sure.sum().clamp(min=1) if preset.over_subset else len(sure)
    unlabelled = (F.cross_entropy(strong_logits, pseudo, reduction="none") * sure).sum() / divisor
    unsure = ~sure
    contrastive = supervised.new_zeros(())
    if unsure.sum() > 1:
        contrastive = info_nce([feature[unsure] for feature, _ in weak], preset.temperature)
    terms = {"supervised": supervised, "unlabelled": unlabelled, "contrastive": contrastive}
    total = sum(weight * term for weight, term in zip(preset.weights, terms.values()))
    return total, terms, pseudo, sure


def step_loss(model, preset, margins, labelled, labels, weak, strong):
    """One step's forward passes, a batch per view since BatchNorm takes its statistics per view, and the loss."""
    weak = [model(view) for view in weak]
    _, labelled_logits = model(labelled)
    _, strong_logits = model(strong)
    return ada_cm(preset, margins, labelled_logits, labels, weak, strong_logits)


class Optimiser:
    """Adam, then the EMA teacher over parameters and buffers, then the student's decay, on lists of tensors."""

    def __init__(self, model, preset):
        self.preset, self.steps = preset, 0
        self.parameters = list(model.parameters())
        self.buffers = [buffer for buffer in model.buffers() if buffer.is_floating_point()]
        self.student = [tensor.detach() for tensor in [*self.parameters, *self.buffers]]
        self.teacher = [tensor.clone() for tensor in self.student]
        self.adam = torch.optim.Adam(self.parameters, lr=preset.learning_rate, fused=True)

    def step(self, loss):
        self.adam.zero_grad(set_to_none=True)
        loss.backward()
        self.adam.step()
        self.steps += 1
        preset, decay = self.preset, self.preset.ema_decay
        if preset.ema_warmup:
            decay = min(decay, (1 + self.steps) / (10 + self.steps))
        with torch.no_grad():
            torch._foreach_lerp_(self.teacher, self.student, 1 - decay)
            if preset.student_decay:
                decayed = self.student if preset.decay_buffers else self.student[: len(self.parameters)]
                torch._foreach_mul_(decayed, 1 - preset.student_decay * preset.learning_rate)

    def load_teacher(self, model):
        """Puts the teacher's weights into a model of the same shape."""
        tensors = [*model.parameters(), *(buffer for buffer in model.buffers() if buffer.is_floating_point())]
        with torch.no_grad():
            torch._foreach_copy_(tensors, self.teacher)
        return model.eval()


def mean_confidence(probabilities, labels, classes):
    """Eq. 1: mean confidence of faces predicted as a class and right; None without such a face."""
    confidence, predicted = probabilities.max(1)
    right = predicted == labels
    means = []
    for index in range(classes):
        chosen = confidence[right & (predicted == index)]
        means.append(chosen.double().mean().item() if len(chosen) else None)
    return means


def next_margins(preset, confidence, t):
    """Eq. 2 with a floor; a class without a right face has a margin of its own."""
    factor = preset.beta / (1 + math.exp(-t))
    return [preset.empty_margin if mean is None else max(preset.floor, factor * mean) for mean in confidence]
