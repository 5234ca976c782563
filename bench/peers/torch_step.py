"""One Ada-CM training step as one would write it in PyTorch: four views, backward, Adam, EMA.

    python torch_step.py [--backbone resnet18|resnet-tiny] [--side 48] [--steps 20] [--threads 2]

Every view is a forward pass of its own, since BatchNorm takes its statistics per view. Adam is fused, the EMA runs over
lists of tensors (foreach), and both memory layouts are tried. Prints one JSON document: seconds per step (median) for
each layout and for the better one, peak memory in MiB and the versions used.
"""

import argparse
import json
import resource
import statistics
import time

import torch
from torch import nn
from torch.nn import functional as F

CLASSES = 7
BATCH = 16


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
    """torchvision's layout of basic blocks, with a unit-norm feature before the head."""

    def __init__(self, blocks, channels):
        super().__init__()
        self.conv1 = nn.Conv2d(3, channels, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        layers, inputs = [], channels
        for stage, count in enumerate(blocks):
            outputs = channels << stage
            for block in range(count):
                layers.append(Block(inputs, outputs, 2 if stage and not block else 1))
                inputs = outputs
        self.layers = nn.Sequential(*layers)
        self.fc = nn.Linear(inputs, CLASSES)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        x = self.layers(F.max_pool2d(x, 3, 2, 1))
        feature = F.normalize(F.dropout(x.mean((2, 3)), 0.5, self.training))
        return feature, self.fc(16.0 * feature)


BACKBONES = {"resnet18": ([2, 2, 2, 2], 64), "resnet-tiny": ([1, 1, 1, 1], 16)}


def info_nce(a, b, temperature=0.07):
    features = torch.cat([a, b])
    count = len(a)
    similarity = features @ features.T / temperature
    similarity.fill_diagonal_(-1e9)
    positives = torch.arange(2 * count).roll(count)
    return F.cross_entropy(similarity, positives)


def loss_of(model, x, labels, weak, strong, margins):
    (feature1, logits1), (feature2, logits2) = model(weak[0]), model(weak[1])
    _, logits = model(x)
    _, logits_strong = model(strong)
    confidence, pseudo = ((logits1.softmax(1) + logits2.softmax(1)) / 2).detach().max(1)
    sure = confidence >= margins[pseudo]
    loss = 0.5 * F.cross_entropy(logits, labels)
    loss = loss + (F.cross_entropy(logits_strong, pseudo, reduction="none") * sure).mean()
    unsure = ~sure
    if unsure.sum() > 1:
        loss = loss + 0.1 * info_nce(feature1[unsure], feature2[unsure])
    return loss


def measure(arguments, layout):
    torch.manual_seed(1)
    model = ResNet(*BACKBONES[arguments.backbone]).to(memory_format=layout).train()
    adam = torch.optim.Adam(model.parameters(), lr=5e-4, fused=True)
    student = [*model.parameters(), *(b for b in model.buffers() if b.is_floating_point())]
    teacher = [tensor.detach().clone() for tensor in student]
    views = [
        torch.rand(BATCH, 3, arguments.side, arguments.side).mul(3.4).sub(1.7).to(memory_format=layout)
        for _ in range(4)
    ]
    labels = torch.arange(BATCH) % CLASSES
    margins = torch.full((CLASSES,), 0.3)
    times = []
    for step in range(arguments.steps + 3):
        start = time.perf_counter()
        adam.zero_grad(set_to_none=True)
        loss_of(model, views[0], labels, views[1:3], views[3], margins).backward()
        adam.step()
        with torch.no_grad():
            torch._foreach_lerp_(teacher, [tensor.detach() for tensor in student], 0.001)
            torch._foreach_mul_(list(model.parameters()), 1 - 0.02 * 5e-4)
        if step >= 3:
            times.append(time.perf_counter() - start)
    return statistics.median(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", choices=BACKBONES, default="resnet18")
    parser.add_argument("--side", type=int, default=48)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--layout", choices=["contiguous", "channels_last"], help="only this one")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    layouts = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
    seconds = {
        name: measure(arguments, layout)
        for name, layout in layouts.items()
        if arguments.layout in (None, name)
    }
    print(
        json.dumps(
            {
                "backbone": arguments.backbone,
                "side": arguments.side,
                "seconds_by_layout": {name: round(value, 4) for name, value in seconds.items()},
                "seconds": round(min(seconds.values()), 4),
                "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
                "versions": {"torch": torch.__version__},
            }
        )
    )


if __name__ == "__main__":
    main()
