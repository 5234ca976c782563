"""Compares recipe.py with the reference cases: three whole steps, every Ada-CM case of the losses, and the margins.

    python torch_check.py REFERENCE_FOLDER

Prints one JSON document with the largest distances; exit code 1 where one is larger than the reference allows.
"""

import json
import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

import recipe

MASK = (1 << 64) - 1
PRESET = replace(recipe.PRESETS["released"], student_decay=0.0, over_subset=True)


def uniform(name, seed, count):
    """splitmix64 from fnv1a64(name) XOR seed; the top 24 bits of every output."""
    state = 0xCBF29CE484222325
    for byte in name.encode():
        state = ((state ^ byte) * 0x100000001B3) & MASK
    with np.errstate(over="ignore"):
        z = np.uint64(state ^ seed) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((z ^ (z >> np.uint64(31))) >> np.uint64(40)).astype(np.float32) / np.float32(1 << 24)


def generated(name, seed, shape, scale):
    u = uniform(name, seed, math.prod(shape))
    return torch.from_numpy(((np.float32(2) * u - np.float32(1)) * np.float32(scale)).reshape(shape))


def starting_model(seed):
    model = recipe.ResNet("resnet18", feature_scale=1.0, dropout=0.0).train()
    state = model.state_dict()
    for key, value in state.items():
        if key == "fc.bias":
            state[key] = generated(f"w:{key}", seed, value.shape, 0.1)
        elif value.dim() >= 2:
            state[key] = generated(f"w:{key}", seed, value.shape, math.sqrt(3 / math.prod(value.shape[1:])))
    model.load_state_dict(state)
    return model


def relative(found, expected):
    """Distance as a share of 1e-3 of the expected value, or of 1e-5."""
    found, expected = np.asarray(found, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    return float(np.max(np.abs(found - expected) / np.maximum(1e-5, 1e-3 * np.abs(expected))))


def whole_steps(case):
    """Largest distance of losses and of gradients' norms, per step, in what the reference asks for at step 1."""
    seed, batch, size = case["seed"], case["batch"], case["size"]
    preset = replace(PRESET, weights=case["lambda"], learning_rate=case["learning_rate"], ema_decay=case["ema_decay"])
    model = starting_model(seed)
    optimiser, parameters = recipe.Optimiser(model, preset), dict(model.named_parameters())
    distances = []
    for k, expected in enumerate(case["steps"]):
        x, u1, u2, us = (generated(f"{name}:{k}", seed, (batch, 3, size, size), 1.7) for name in ("x", "u1", "u2", "us"))
        labels = torch.from_numpy(np.floor(7 * uniform(f"y:{k}", seed, batch)).astype(np.int64))
        margins = torch.tensor(expected["thresholds"])
        total, terms, pseudo, sure = recipe.step_loss(model, preset, margins, x, labels, [u1, 0.8 * u1 + 0.2 * u2], us)
        assert pseudo.tolist() == expected["pseudo_labels"], f"step {k + 1}: pseudo-labels"
        assert sure.int().tolist() == expected["subset_one"], f"step {k + 1}: subset I"
        optimiser.step(total)
        keys = ("labelled_cross_entropy", "pseudo_cross_entropy_over_subset", "info_nce", "total")
        found = [term.item() for term in (*terms.values(), total)]
        norms = {name: parameters[name].grad.norm().item() for name in expected["gradients"]}
        distances.append(
            {
                "losses": relative(found, [expected[key] for key in keys]),
                "gradient_norms": relative(
                    list(norms.values()), [expected["gradients"][name]["norm"] for name in norms]
                ),
            }
        )
    return distances


def loss_cases(methods):
    """Largest distance of a loss term or gradient over the Ada-CM cases, absolute or relative."""
    worst = 0.0
    for name, case in methods["cases"].items():
        settings = case["settings"]
        preset = replace(
            PRESET,
            weights=[settings[key] for key in ("lambda_s", "lambda_u", "lambda_c")],
            temperature=settings["temperature"],
            over_subset=settings["unlabelled_over"] == "subset",
        )
        for step in case["steps"]:
            given = {
                key: torch.tensor(value, dtype=torch.float64, requires_grad=key.endswith(("logits", "features")))
                for key, value in step["given"].items()
                if not key.endswith("labels")
            }
            views = [key[:2] for key in given if key.endswith("_features")]
            expect = step["expect"]
            total, terms, pseudo, sure = recipe.ada_cm(
                preset,
                torch.tensor(expect["margins_used"], dtype=torch.float64),
                given["x_logits"],
                torch.tensor(step["given"]["labels"]),
                [(given[f"{view}_features"], given[f"{view}_logits"]) for view in views],
                given["s_logits"],
            )
            assert pseudo.tolist() == expect["pseudo_labels"], f"{name}: pseudo-labels"
            assert sure.tolist() == [bool(one) for one in expect["subset_one"]], f"{name}: subset I"
            total.backward()
            pairs = [(total.item(), expect["losses"]["total"])]
            for key, expected in expect["gradients"].items():
                gradient = given[key].grad
                found = torch.zeros_like(given[key]) if gradient is None else gradient
                expected = torch.zeros_like(found) if expected is None else torch.tensor(expected, dtype=torch.float64)
                pairs += zip(found.flatten().tolist(), expected.flatten().tolist())
            worst = max(worst, max(abs(found - wanted) / max(1.0, abs(wanted)) for found, wanted in pairs))
    return worst


def margin_cases(case):
    worst = 0.0
    for key, floor in (("no_floor", 0.0), ("floor", 0.8)):
        for t, expected in case.get(key, {}).get("exponential", {}).items():
            preset = replace(PRESET, floor=floor, beta=case["beta"])
            found = recipe.next_margins(preset, case["mean_confidence_of_right"], int(t))
            worst = max(worst, max(abs(a - b) for a, b in zip(found, expected)))
    return worst


def main():
    folder = Path(sys.argv[1])
    read = lambda name: json.loads((folder / name).read_text())
    answer = {
        "steps_in_what_is_asked_at_step_1": whole_steps(read("adacm_steps.json")),
        "losses": loss_cases(read("methods.json")["methods"]["ada-cm"]),
        "margins": margin_cases(read("margins_floor.json")),
    }
    print(json.dumps(answer))
    first, last = answer["steps_in_what_is_asked_at_step_1"][0], answer["steps_in_what_is_asked_at_step_1"][-1]
    agrees = max(first.values()) <= 1 and last["losses"] <= 10 and answer["losses"] <= 2e-5 and answer["margins"] <= 1e-5
    sys.exit(0 if agrees else 1)


if __name__ == "__main__":
    main()
