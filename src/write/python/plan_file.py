import argparse
import math
from typing import Any

from torch import Tensor

from .compression_text import Text
from .factorized import factor_dtype
from .plan_by_loss import Layer
from .settings import CHECKPOINT, REQUEST


def plan_of(
    args: argparse.Namespace, layers: list[Layer], text: Text, loss_tokens: int, state: dict[str, Tensor], seconds: float
) -> dict[str, Any]:
    """The plan with what was measured for it, so that another budget can be planned at no cost."""
    before, after = (sum(sizes) for sizes in zip(*((math.prod(each.shape), each.parameters()) for each in layers)))
    weighted = sum(math.prod(each.shape) * each.error() ** 2 for each in layers)
    sizes = [(state[each.name].dtype.itemsize, factor_dtype(each.name).itemsize) for each in layers]
    smallest = sum(each.parameters() for each in layers) / before
    return {
        "format": "rankscope.plan/1",
        "checkpoint": {"path": args.model, **{key: CHECKPOINT[key] for key in ("parameters", "bytes")}},
        "request": {**REQUEST, "budget": {"kind": "keep", "value": args.keep}},
        "matrices": [
            {
                "name": each.name,
                "shape": list(each.shape),
                "rank": each.rank,
                **({"reason": "its inputs were not seen: no token reached it, or other code reads its weight"} if each.tails is None else {}),
                "parametersBefore": math.prod(each.shape),
                "parametersAfter": each.parameters(),
                "error": each.error(),
            }
            for each in layers
        ],
        "totals": {
            "parametersBefore": before,
            "parametersAfter": after,
            "bytesBefore": sum(math.prod(each.shape) * size for each, (size, _) in zip(layers, sizes)),
            "bytesAfter": sum(
                each.parameters() * (size if each.rank is None else of_factors)
                for each, (size, of_factors) in zip(layers, sizes)
            ),
            "error": math.sqrt(weighted / before),
            "keptShare": after / before,
            "keptShareOfModel": (CHECKPOINT["parameters"] - before + after) / CHECKPOINT["parameters"],
        },
        "sensitivities": {
            "inputs": {"kind": "full", "text": text.facts["name"], "tokens": text.calibration.numel()},
            "divergences": {
                "text": text.facts["name"] or "a text that the network wrote itself",
                "tokens": loss_tokens,
                "measured": sum(each.tails is not None for each in layers),
                "filledIn": 0,
                "seconds": seconds,
            },
            "matrices": [sensitivity(each) for each in layers if each.tails is not None],
        },
        **({"unmet": f"the smallest plan keeps {smallest:.1%} of what may be cut"} if smallest > args.keep else {}),
    }


def sensitivity(layer: Layer) -> dict[str, Any]:
    tails, count = layer.tails, int(layer.break_even)
    return {
        "name": layer.name,
        "tokens": layer.tokens,
        "singularValues": layer.singular_values[:count],
        "rest": tails[min(count, len(tails) - 1)],
        "divergence": {
            "value": layer.divergence,
            "rank": layer.measured_rank,
            "tail": tails[layer.measured_rank],
            "from": "role" if layer.measured_with > 1 else "matrix",
        },
    }
