import functools
import json
import os

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from .two_factors import LowRank


def _read(
    path: str | os.PathLike[str], dtype: torch.dtype
) -> tuple[dict[str, tuple[Tensor, ...]], dict[str, Tensor], dict[str, Tensor]]:
    """Reads the factors, their products (out x in), and the original checkpoint with these products in their places.

    The first two have the names of the weights as keys. Products are multiplied in single precision at least, and
    rounded to `dtype`.
    """
    with safe_open(path, "pt") as file:
        metadata = {key.removeprefix("rankscope."): value for key, value in (file.metadata() or {}).items()}
    ties, stored = (json.loads(metadata.get(key, "{}")) for key in ("ties", "stored"))
    state = load_file(path)
    mark = "." + LowRank.FACTORS[0]
    factors: dict[str, tuple[Tensor, ...]] = {}
    products: dict[str, Tensor] = {}
    for stem in [name.removesuffix(mark) for name in state if name.endswith(mark)]:
        name = f"{stem}.weight"
        parts = [state.pop(f"{stem}.{suffix}", None) for suffix in LowRank.FACTORS]
        if any(part is None for part in parts):
            raise KeyError(f"{path} is incomplete: {stem} lacks one of {LowRank.FACTORS}; write it again")
        factors[name] = tuple(parts)
        precision = functools.reduce(torch.promote_types, (part.dtype for part in parts), dtype)
        precision = torch.promote_types(precision, torch.float32)
        products[name] = LowRank.product(*(part.to(precision) for part in parts)).to(dtype)
        # Kernels have more sizes than two, and some layers store the transpose.
        layout = stored.get(name, {"shape": products[name].shape, "transposed": False})
        matrix = products[name].T.contiguous() if layout["transposed"] else products[name]
        state[name] = matrix.reshape(layout["shape"])
    state.update({name: state[same] for name, same in ties.items() if same in state})
    return factors, products, state
