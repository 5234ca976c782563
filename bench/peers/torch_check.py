"""Compares recipe.py and methods.py with the reference cases: three whole steps, every method's losses, the margins.

    python torch_check.py REFERENCE_FOLDER

Prints one JSON document with the largest distances; exit code 1 where one is larger than the reference allows.
Pseudo-labels and what was accepted must be the same.
"""

import json
import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

import recipe
from methods import METHODS, AdaCm
from student import Batch

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


class Given:
    """Stands for the student: says and draws what a step of a case gives, in this order, and keeps what it is shown."""

    def __init__(self, given, arrays, said, predicted, aside):
        self.given, self.arrays, self.shown = given, arrays, []
        self.said, self.predicted, self.asides = iter(said), iter(predicted), iter(aside)

    def __call__(self, view):
        self.shown.append(view)
        return next(self.said)

    def predict(self, _):
        return next(self.predicted)

    def aside(self, _):
        return next(self.asides)

    def auxiliary(self, _):
        return self.arrays["rotation_logits"]

    def mixing(self, _alpha, _rows):
        return self.given["beta_draw"], torch.tensor(self.given["permutation"])

    def quarter_turns(self, _):
        return torch.tensor(self.given["rotation_labels"])


def student_and_batch(method, given, arrays):
    """The student and the views that a step's numbers stand for."""
    outputs = lambda views: [(arrays.get(f"{view}_features"), arrays[f"{view}_logits"]) for view in views]
    known = [key.removesuffix("_logits") for key in arrays if key.endswith("_logits")]
    weak, strong = ([view for view in known if view[0] in initials] for initials in ("wu", "s"))
    labels, progress = torch.tensor(given["labels"]), given.get("ramp", 0) * getattr(method, "ramp", 0)
    if "inputs" not in given:
        return Given(given, arrays, outputs([*weak, "x", *strong]), [], []), Batch(None, labels, weak, strong, progress)
    # Rows are mixed in the order labelled, strong, weak; a number stands for an image.
    sizes = [len(labels)] + [len(arrays[f"{weak[0]}_logits"])] * sum(method.views)
    labelled, *views = torch.tensor(given["inputs"], dtype=torch.float64)[:, :, None, None].split(sizes)
    said = [(None, logits) for logits in arrays["mixed_logits"].split(sizes)]
    student = Given(given, arrays, said, outputs(weak), [*outputs(strong), (None, None)])
    return student, Batch(labelled, labels, views[method.views[1] :], views[: method.views[1]], progress)


SETTINGS = {
    "threshold": "margin",
    "lambda_u": "weight",
    "lambda_1": "strong_weight",
    "lambda_rotation": "rotation_weight",
    "alignment_target": "target",
}


def method_of(name, case):
    """A method with a case's settings and the state before it."""
    settings, state = case["settings"], case.get("state_before", {})
    if name != "ada-cm":
        method = METHODS[name](**{SETTINGS.get(key, key): value for key, value in settings.items()})
        if name == "remixmatch":
            method.target = torch.tensor(method.target, dtype=torch.float64)
            method.mean = None if state["p_model"] is None else torch.tensor(state["p_model"], dtype=torch.float64)
        return method
    preset = replace(
        PRESET,
        weights=[settings[key] for key in ("lambda_s", "lambda_u", "lambda_c")],
        temperature=settings["temperature"],
        over_subset=settings["unlabelled_over"] == "subset",
        beta=settings["beta"],
        floor=settings["margin_floor"] or 0.0,
        empty_margin=settings["empty_class_margin"],
    )
    method = AdaCm(preset)
    method.margins = state["margins"]
    return method


def pairs_of_step(method, step, t):
    """(found, expected) of all numbers of a step; the method's state moves on."""
    given, expect = step["given"], step["expect"]
    arrays = {
        key: torch.tensor(value, dtype=torch.float64, requires_grad=True)
        for key, value in given.items()
        if key.endswith(("logits", "features"))
    }
    student, batch = student_and_batch(method, given, arrays)
    loss = method.loss(student, batch)
    accepted = expect.get("accepted", expect.get("subset_one"))
    if accepted is not None:
        assert loss.pseudo_labels.tolist() == expect["pseudo_labels"], "pseudo-labels"
        assert loss.accepted.int().tolist() == accepted, "accepted"
    loss.total.backward()
    found = {"total": loss.total, **loss.terms}
    pairs = [(found[name], expected) for name, expected in expect["losses"].items()]
    for key, expected in expect["gradients"].items():
        gradient = arrays[key].grad
        gradient = torch.zeros_like(arrays[key]) if gradient is None else gradient
        pairs.append((gradient, gradient.new_zeros(gradient.shape).tolist() if expected is None else expected))
    if "mixed_inputs" in expect:
        pairs.append((torch.cat(student.shown).flatten(1), expect["mixed_inputs"]))
    after = expect.get("state_after", {})
    if "measured_logits" in given:
        measured = arrays["measured_logits"].softmax(1), torch.tensor(given["measured_labels"])
        method.after_epoch(recipe.mean_confidence(*measured, len(recipe.EXPRESSIONS)), t)
        pairs.append((torch.tensor(method.margins), after["margins"]))
    elif "p_model" in after:
        pairs.append((method.mean, after["p_model"]))
    return pairs


def loss_cases(name, cases):
    """Largest distance of a loss, gradient or state over a method's cases, absolute or relative."""
    worst = 0.0
    for case in cases.values():
        # Votes as targets are no part of the training here.
        if "votes" in case["steps"][0]["given"]:
            continue
        method = method_of(name, case)
        for number, step in enumerate(case["steps"]):
            for found, expected in pairs_of_step(method, step, number + 1):
                expected = torch.tensor(expected, dtype=torch.float64)
                assert found.shape == expected.shape
                distance = (found.detach() - expected).abs() / expected.abs().clamp(min=1)
                worst = max(worst, distance.max().item())
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
    cases = {name: method["cases"] for name, method in read("methods.json")["methods"].items()}
    answer = {
        "steps_in_what_is_asked_at_step_1": whole_steps(read("adacm_steps.json")),
        "losses": {name: loss_cases(name, cases[name]) for name in METHODS},
        "margins": margin_cases(read("margins_floor.json")),
    }
    print(json.dumps(answer))
    first, last = answer["steps_in_what_is_asked_at_step_1"][0], answer["steps_in_what_is_asked_at_step_1"][-1]
    steps_agree = max(first.values()) <= 1 and last["losses"] <= 10
    losses_agree = max(answer["losses"].values()) <= 2e-5
    sys.exit(0 if steps_agree and losses_agree and answer["margins"] <= 1e-5 else 1)


if __name__ == "__main__":
    main()
