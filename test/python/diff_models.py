"""Two models compared with numpy in float64. Prints a JSON object of the largest errors of each measure.

Usage: diff_models.py DIFF BASE OTHER HEADS

DIFF is what `rankscope diff --spectra --json` printed, HEADS the same without --spectra.
"""

import json
import sys

import numpy as np
from safetensors.numpy import load_file

diff_file, base_file, other_file, heads_file = sys.argv[1:]
base = {name: value.astype(np.float64) for name, value in load_file(base_file).items()}
other = {name: value.astype(np.float64) for name, value in load_file(other_file).items()}
errors = {}


def note(measure, found, true, scale=1.0):
    found, true = np.asarray(found, np.float64), np.asarray(true, np.float64)
    assert found.shape == true.shape, f"{measure}: {found.shape} against {true.shape}"
    errors[measure] = max(errors.get(measure, 0.0), float(np.max(np.abs(found - true), initial=0)) / scale)


def entropy_rank(values):
    share = values[values > 0] / values.sum()
    return float(np.exp(-(share * np.log(share)).sum()))


def energy_rank(values, share):
    kept = np.cumsum(values**2)
    return int(np.argmax(kept >= share * kept[-1] * (1 - 1e-12)) + 1)


def angles(one, two):
    """Principal angles in degrees, ascending, by sines and cosines as each resolves them."""
    cosines = np.clip(np.linalg.svd(one.T @ two, compute_uv=False), 0, 1)
    sines = np.clip(np.linalg.svd(two - one @ (one.T @ two), compute_uv=False)[::-1], 0, 1)
    return np.degrees(np.where(cosines > 0.7, np.arcsin(sines), np.arccos(cosines)))


with open(diff_file) as file:
    diff = json.load(file)
for matrix in diff["matrices"]:
    a, b = base[matrix["name"]], other[matrix["name"]]
    d = b - a
    size = np.linalg.norm(a)
    note("change", matrix["change"], np.linalg.norm(d) / size)
    note("cosine", matrix["cosine"], (a * b).sum() / size / np.linalg.norm(b))
    note("largest difference", matrix["largestDifference"], np.abs(d).max())
    (ua, sa, va), (ub, sb, vb) = np.linalg.svd(a, full_matrices=False), np.linalg.svd(b, full_matrices=False)
    sd = np.linalg.svd(d, compute_uv=False)
    spectra, k = matrix["spectra"], matrix["turn"]["rank"]
    note("spectrum of the base", spectra["base"], sa, sa[0])
    note("spectrum of the other", spectra["other"], sb, sb[0])
    note("spectrum of the difference", spectra["difference"], sd, sd[0])
    note("change of the values", matrix["valueChange"], np.linalg.norm(sb[:k] - sa[:k]) / np.linalg.norm(sa[:k]))
    measured = matrix["difference"]
    note("effective rank", measured["effectiveRank"], entropy_rank(sd), entropy_rank(sd))
    note("stable rank", measured["stableRank"], (sd**2).sum() / sd[0] ** 2, 10)
    note("rank of 99 %", measured["energyRanks"]["0.99"], energy_rank(sd, 0.99))
    for side, one, two in [("left", ua, ub), ("right", va.T, vb.T)]:
        true = angles(one[:, :k], two[:, :k])
        note("angles in degrees", spectra["angles"][side], true)
        note("angles in degrees", matrix["turn"][side]["largest"], true[-1])
        note("mean angle in degrees", matrix["turn"][side]["mean"], np.sqrt((true**2).mean()))

with open(heads_file) as file:
    whole = json.load(file)
queries, keys = whole["heads"]["queries"], whole["heads"]["keys"]
errors["matrices with heads"] = abs(sum("heads" in matrix for matrix in whole["matrices"]) - 4)
for matrix in whole["matrices"]:
    role = matrix["role"]
    for index, head in enumerate(matrix.get("heads", [])):
        a, b = base[matrix["name"]], other[matrix["name"]]
        if role == "output":
            a, b = a.T, b.T
        count = queries if role in ("query", "output") else keys
        block = slice(index * len(a) // count, (index + 1) * len(a) // count)
        a, b = a[block], b[block]
        values = np.linalg.svd(b, compute_uv=False)
        difference = np.linalg.svd(b - a, compute_uv=False)
        note("change of a head", head["change"], np.linalg.norm(b - a) / np.linalg.norm(a))
        note("effective rank of a head", head["rank"], entropy_rank(values), entropy_rank(values))
        note("stable rank of a head", head["stableRank"], (values**2).sum() / values[0] ** 2, 10)
        note("rank of a head's change", head["differenceRank"], energy_rank(difference, 0.99))
print(json.dumps(errors))
