"""All measures of every matrix of a safetensors file in float64, by numpy and by their formulas alone: an independent second opinion.

python measures.py FILE    prints {name: {measure: value}} as JSON
"""

import json
import sys

import numpy as np
from safetensors import safe_open

LEVELS = {"0.9": 0.90, "0.95": 0.95, "0.99": 0.99, "0.999": 0.999}


def entropy_rank(weights):
    shares = weights / weights.sum()
    shares = shares[shares > 0]
    return float(np.exp(-(shares * np.log(shares)).sum()))


def power_law(eigenvalues):
    """Clauset, Shalizi and Newman 2009, over every start of the tail; None under 50 values."""
    if len(eigenvalues) < 50:
        return None, None
    ascending = np.sort(eigenvalues)
    best = (None, np.inf)
    for start in range(len(ascending) - 1):
        tail = ascending[start:]
        total = np.log(tail / tail[0]).sum()
        if total == 0:
            continue
        alpha = 1 + len(tail) / total
        theory = 1 - (tail / tail[0]) ** (1 - alpha)
        empirical = np.arange(len(tail)) / len(tail)
        distance = np.abs(theory - empirical).max()
        if distance < best[1]:
            best = (alpha, distance)
    return best


def measures(matrix):
    m, n = matrix.shape
    sigma = np.linalg.svd(matrix, compute_uv=False)
    energies = sigma**2
    kept = np.cumsum(energies) / energies.sum()
    beta = min(m, n) / max(m, n)
    omega = 0.56 * beta**3 - 0.95 * beta**2 + 1.82 * beta + 1.43
    deviation = np.median(np.abs(matrix)) / 0.6744897501960817
    edge = deviation * (np.sqrt(m) + np.sqrt(n))
    floor = max(m, n) * np.finfo(np.float32).eps * sigma[0]
    alpha, distance = power_law(energies[sigma > floor])
    return {
        "shape": [m, n],
        "singularValues": sigma.tolist(),
        "frobeniusNorm": float(np.linalg.norm(matrix)),
        "spectralNorm": float(sigma[0]),
        "effectiveRank": entropy_rank(sigma),
        "effectiveRankEnergy": entropy_rank(energies),
        "stableRank": float(energies.sum() / energies[0]),
        "participationRatio": float(energies.sum() ** 2 / (energies**2).sum()),
        "numericalRank": int((sigma > floor).sum()),
        "noiseDeviation": float(deviation),
        "noiseEdge": float(edge),
        "noiseRank": int((sigma > max(edge, floor)).sum()),
        "optimalThresholdRank": int((sigma > max(omega * np.median(sigma), floor)).sum()),
        "energyRanks": {level: int(np.searchsorted(kept, share - 1e-15) + 1) for level, share in LEVELS.items()},
        "breakEvenRank": m * n // (m + n),
        "alpha": alpha,
        "alphaDistance": distance,
    }


with safe_open(sys.argv[1], "np") as file:
    tensors = {name: file.get_tensor(name).astype(np.float64) for name in file.keys()}
json.dump({name: measures(tensor) for name, tensor in tensors.items() if tensor.ndim == 2}, sys.stdout)
