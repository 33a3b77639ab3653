"""The curves of `rankscope training` compared with numpy in float64. Prints a JSON object of the largest errors.

Usage: training_curves.py REPORT
"""

import json
import os
import sys

import numpy as np
from safetensors.numpy import load_file

with open(sys.argv[1]) as file:
    report = json.load(file)
steps = [load_file(os.path.join(step["path"], "model.safetensors")) for step in report["steps"]]
errors = {}


def note(measure, found, true, scale=1.0):
    errors[measure] = max(errors.get(measure, 0.0), abs(found - true) / scale)


def turn(one, two):
    """Root mean square of the principal angles in degrees; arc sines resolve small ones."""
    sines = np.clip(np.linalg.svd(two - one @ (one.T @ two), compute_uv=False), 0, 1)
    return float(np.degrees(np.sqrt((np.arcsin(sines) ** 2).mean())))


def follow(kind, curves, matrices, k):
    parts = [np.linalg.svd(matrix.astype(np.float64), full_matrices=False) for matrix in matrices]
    sides = {"Out": [u[:, :k] for u, _, _ in parts], "In": [v[:k].T for _, _, v in parts]}
    for at, (_, values, _) in enumerate(parts):
        share = values / values.sum()
        rank = float(np.exp(-(share * np.log(share)).sum()))
        note(f"effective rank{kind}", curves["effectiveRank"][at], rank, rank)
        note(f"stable rank{kind}", curves["stableRank"][at], (values**2).sum() / values[0] ** 2, 10)
        note(f"norm{kind}", curves["norm"][at], np.linalg.norm(values), np.linalg.norm(values))
        for side, spaces in sides.items():
            note(f"turn since the first{kind}", curves[f"turn{side}"][at], turn(spaces[0], spaces[at]))
            if at > 0:
                note(f"turn since the one before{kind}", curves[f"step{side}"][at], turn(spaces[at - 1], spaces[at]))
        assert (curves["stepOut"][at] is None) == (at == 0)


for matrix in report["matrices"]:
    values = [tensors[matrix["name"]] for tensors in steps]
    follow("", matrix["curves"], values, matrix["rank"])
    for index, curves in enumerate(matrix.get("heads", [])):
        count = len(matrix["heads"])
        if matrix["role"] == "output":
            blocks = [np.split(value, count, axis=1)[index] for value in values]
        else:
            blocks = [np.split(value, count, axis=0)[index] for value in values]
        follow(" of a head", curves, blocks, max(1, min(report["subspace"], min(blocks[0].shape) // 4)))
print(json.dumps(errors))
