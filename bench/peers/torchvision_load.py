"""Loads a checkpoint of ours into torchvision's own ResNet and prints what it says about images.

    python torchvision_load.py CHECKPOINT IMAGE…

CHECKPOINT is a checkpoint folder, or the teacher.safetensors in it. Its weights go into torchvision.models.resnet18 (or
what its metadata names) with strict=True; size, channel order, normalisation and feature_scale are taken from the
metadata. Prints one JSON document with the keys classes, logits (one row per image, in order) and the versions used.
Needs torch, torchvision, safetensors, numpy and pillow.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import safetensors
import torch
import torchvision
from PIL import Image
from safetensors.torch import load_file


def model_of(path, metadata, classes):
    if float(metadata["width"]) != 1.0 or metadata["backbone"] not in ("resnet18", "resnet34"):
        raise SystemExit(f"torchvision has no {metadata['backbone']} of width {metadata['width']}")
    model = getattr(torchvision.models, metadata["backbone"])(num_classes=len(classes))
    if metadata.get("input_channels") == "1":
        model.conv1 = torch.nn.Conv2d(1, 64, 7, 2, 3, bias=False)
    model.load_state_dict(load_file(path), strict=True)
    return model.eval()


def image_tensor(path, metadata):
    size = int(metadata["image_size"])
    grey = metadata.get("input_channels") == "1"
    image = Image.open(path).convert("L" if grey else "RGB")
    if image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.BILINEAR)
    pixels = np.asarray(image, dtype=np.float32).reshape(size, size, -1) / 255.0
    if metadata["channel_order"] == "bgr":
        pixels = pixels[:, :, ::-1]
    mean, std = (np.array(json.loads(metadata[key]), dtype=np.float32) for key in ("mean", "std"))
    return torch.from_numpy(((pixels - mean) / std).transpose(2, 0, 1).copy())


@torch.inference_mode()
def logits(model, images, feature_scale):
    """torchvision's forward pass, but the pooled feature is brought to length 1 and scaled before the head."""
    head, model.fc = model.fc, torch.nn.Identity()
    features = torch.nn.functional.normalize(model(images), dim=1)
    return head(features * feature_scale)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("images", type=Path, nargs="+")
    arguments = parser.parse_args()
    path = arguments.checkpoint
    if path.is_dir():
        path = path / "teacher.safetensors"
    with safetensors.safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    classes = json.loads(metadata["classes"])
    model = model_of(path, metadata, classes)
    images = torch.stack([image_tensor(image, metadata) for image in arguments.images])
    answer = logits(model, images, float(metadata["feature_scale"]))
    versions = {"torch": torch.__version__, "torchvision": torchvision.__version__}
    print(json.dumps({"classes": classes, "logits": answer.tolist(), "versions": versions}))


if __name__ == "__main__":
    main()
