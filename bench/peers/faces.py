"""Faces and their views for PyTorch: reading, the weak and the strong view, and numbers.

Faces come from a folder or a tar with one folder per class, or from a csv of FER2013's layout (emotion, pixels, Usage).
Views are made for a whole batch where that is faster, and with PIL, whose operators the recipe was published with, where it
is not.
"""

import csv
import hashlib
import io
import tarfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch.nn import functional as F

from recipe import EXPRESSIONS, SYNONYMS

MEAN = torch.tensor([0.485, 0.456, 0.406])
STD = torch.tensor([0.229, 0.224, 0.225])
FILL = (125, 123, 114)
CSV_ORDER = ["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"]


def class_of(name):
    name = name.lower()
    return EXPRESSIONS.index(SYNONYMS.get(name, name))


def decode(source):
    return np.asarray(Image.open(source).convert("RGB"))


def records(path, usage=None):
    """(key of the content, class, pixels) of every face, in order of name."""
    path = Path(path)
    if path.suffix == ".csv":
        with open(path, newline="") as file:
            for row in csv.DictReader(file):
                if usage in (None, row.get("Usage")):
                    grey = np.array(row["pixels"].split(), dtype=np.uint8).reshape(48, 48)
                    yield grey.tobytes(), class_of(CSV_ORDER[int(row["emotion"])]), np.repeat(grey[:, :, None], 3, 2)
    elif path.is_dir():
        for file in sorted(path.glob("*/*")):
            data = file.read_bytes()
            yield hashlib.blake2b(data).digest(), class_of(file.parent.name), decode(io.BytesIO(data))
    else:
        with tarfile.open(path) as archive:
            for member in sorted((m for m in archive if m.isfile()), key=lambda member: member.name):
                data = archive.extractfile(member).read()
                yield hashlib.blake2b(data).digest(), class_of(Path(member.name).parent.name), decode(io.BytesIO(data))


def read(path, usage=None, without=()):
    """Distinct faces as (keys, images (N, H, W, 3) uint8, classes); those in `without` are left out."""
    known, images, classes = set(without), [], []
    keys = []
    for key, label, pixels in records(path, usage):
        if key not in known:
            known.add(key)
            keys.append(key)
            images.append(pixels)
            classes.append(label)
    return keys, np.stack(images), np.array(classes)


def padding(side):
    return max(1, int(8 * side / 224 + 0.5))


def resized(images, side):
    """A batch (n, H, W, 3) uint8 at the network's size."""
    if images.shape[1:3] == (side, side):
        return images
    batch = torch.from_numpy(images).permute(0, 3, 1, 2)
    batch = F.interpolate(batch, (side, side), mode="bilinear", antialias=True)
    return batch.permute(0, 2, 3, 1).numpy()


def weak(images, side, random):
    """Resize, half the time a padded crop, half the time a flip, for the whole batch at once."""
    images, pad, count = resized(images, side), padding(side), len(images)
    cropped = random.random(count) < 0.5
    top, left = (np.where(cropped, random.integers(0, 2 * pad + 1, count), pad) for _ in range(2))
    padded = np.pad(images, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    line = np.arange(side)
    columns = np.where((random.random(count) < 0.5)[:, None], line[::-1], line)
    rows, columns = top[:, None] + line, left[:, None] + columns
    return padded[np.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]


def affine(image, *matrix):
    return image.transform(image.size, Image.Transform.AFFINE, matrix)


OPERATORS = [
    (0, 1, lambda image, _: ImageOps.autocontrast(image)),
    (0, 1, lambda image, _: ImageOps.equalize(image)),
    (0, 1, lambda image, _: image),
    (0.05, 0.95, lambda image, v: ImageEnhance.Brightness(image).enhance(v)),
    (0.05, 0.95, lambda image, v: ImageEnhance.Color(image).enhance(v)),
    (0.05, 0.95, lambda image, v: ImageEnhance.Contrast(image).enhance(v)),
    (0.05, 0.95, lambda image, v: ImageEnhance.Sharpness(image).enhance(v)),
    (4, 8, lambda image, v: ImageOps.posterize(image, int(v))),
    (-30, 30, lambda image, v: image.rotate(v)),
    (-0.3, 0.3, lambda image, v: affine(image, 1, v, 0, 0, 1, 0)),
    (-0.3, 0.3, lambda image, v: affine(image, 1, 0, 0, v, 1, 0)),
    (0, 256, lambda image, v: ImageOps.solarize(image, v)),
    (-0.3, 0.3, lambda image, v: affine(image, 1, 0, v * image.width, 0, 1, 0)),
    (-0.3, 0.3, lambda image, v: affine(image, 1, 0, 0, 0, 1, v * image.height)),
]


def strong(images, side, random):
    """Three operators and cutout at the faces' own size, then the weak chain."""
    changed = np.empty_like(images)
    height, width = images.shape[1:3]
    for to, pixels in zip(changed, images):
        image = Image.fromarray(pixels)
        for operator in random.integers(0, len(OPERATORS), 3):
            low, high, apply = OPERATORS[operator]
            image = apply(image, random.uniform(low, high))
        to[:] = np.asarray(image)
        edge = random.uniform(0, 0.5) * width
        x0, y0 = (int(max(0, random.uniform(0, side) - edge / 2)) for side in (width, height))
        if edge > 0:
            to[y0 : int(min(height, y0 + edge)) + 1, x0 : int(min(width, x0 + edge)) + 1] = FILL
    return weak(changed, side, random)


def numbers(images, layout=torch.contiguous_format):
    """Normalised floats (n, 3, S, S)."""
    batch = torch.from_numpy(np.ascontiguousarray(images)).float().div_(255).sub_(MEAN).div_(STD)
    return batch.permute(0, 3, 1, 2).contiguous(memory_format=layout)
