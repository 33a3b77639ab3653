import functools
import json
import os
import sys
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from .two_factors import LowRank


def _read(
    path: str | os.PathLike[str], model: nn.Module, dtype: torch.dtype
) -> tuple[dict[str, tuple[Tensor, ...]], dict[str, Tensor], dict[str, Tensor]]:
    """Reads the factors, their products (out x in), and the original checkpoint with these products in their places.

    The first two have the names of the weights as keys. Products are multiplied in single precision at least, and
    rounded to `dtype`.
    """
    with safe_open(path, "pt") as file:
        metadata = file.metadata() or {}
    return _multiplied(load_file(path), metadata, path, model, dtype)


def _multiplied(
    state: dict[str, Tensor],
    metadata: dict[str, str],
    path: str | os.PathLike[str],
    model: nn.Module,
    dtype: torch.dtype,
) -> tuple[dict[str, tuple[Tensor, ...]], dict[str, Tensor], dict[str, Tensor]]:
    """As `_read`, of what the file holds."""
    ties, stored, stacks = (json.loads(metadata.get(f"rankscope.{key}", "{}")) for key in ("ties", "stored", "stacks"))
    described = any(key.startswith("rankscope.") for key in metadata)
    if not described:  # Where safetensors wrote the file, it names what several names share.
        ties = {name: same for name, same in metadata.items() if same in state and name not in state}
    # Factors that matrices share.
    state.update({name: state[same] for name, same in ties.items() if same in state})
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
        try:
            products[name] = LowRank.product(*(part.to(precision) for part in parts)).to(dtype)
        except RuntimeError as error:
            shapes = [tuple(part.shape) for part in parts]
            raise ValueError(f"{path}: the factors of {stem} do not fit together: {shapes}; write it again") from error
        # Kernels have more sizes than two, and some layers store the transpose.
        layout = stored.get(name, {"shape": products[name].shape, "transposed": False})
        if not described:
            layout = _layout(model, stem, products[name], path)
        matrix = products[name].T.contiguous() if layout["transposed"] else products[name]
        state[name] = matrix.reshape(layout["shape"])
    if not described:
        stacks = _stacks(model, state, path)
    state.update({name: _stacked(state, name, path, dtype, **stack) for name, stack in stacks.items()})
    state.update({name: state[same] for name, same in ties.items() if same in state})
    return factors, products, state


def _stacked(
    state: dict[str, Tensor],
    name: str,
    path: str | os.PathLike[str],
    dtype: torch.dtype,
    shape: list[int],
    transposed: bool,
) -> Tensor:
    """Takes the experts of a stack, each (out x in), and returns them as the one tensor that they were."""
    experts = []
    for stem in (f"{name}.experts.{number}" for number in range(shape[0])):
        expert = state.pop(f"{stem}.weight", None)
        if expert is None:
            raise KeyError(f"{path} is incomplete: {stem} has neither factors nor a weight; write it again")
        experts.append((expert.mT if transposed else expert).to(dtype))
        if list(experts[-1].shape) != shape[1:]:
            raise ValueError(f"{path}: {stem} is {tuple(expert.shape)}, which is no part of {shape}; write it again")
    return torch.stack(experts)


def _stacks(model: nn.Module, state: dict[str, Tensor], path: str | os.PathLike[str]) -> dict[str, dict[str, Any]]:
    """How the model stores the stacks of experts in a file that a low-rank model was saved to."""
    found = {}
    for name, parameter in model.named_parameters():
        expert = state.get(f"{name}.experts.0.weight")
        if parameter.dim() != 3 or expert is None:
            continue
        shape = list(parameter.shape)
        if shape[1] == shape[2]:
            raise KeyError(f"{path} does not say which side of {name} is the input; load the file that apply wrote")
        found[name] = {"shape": shape, "transposed": list(expert.shape) != shape[1:]}
    return found


def _layout(model: nn.Module, stem: str, product: Tensor, path: str | os.PathLike[str]) -> dict[str, Any]:
    """How the model stores a weight, for a file that a low-rank model was saved to, since that file does not say it."""
    utils = sys.modules.get("transformers.pytorch_utils")
    turned = {name: isinstance(module, utils.Conv1D) for name, module in model.named_modules()} if utils else {}
    layer = dict(model.named_modules()).get(stem)
    if layer is None and any(turned.values()):
        raise KeyError(f"{path} does not say how {stem} is stored, and the model has no such layer; see `prefix`")
    weight = layer._parameters.get("weight") if layer is not None else None
    shape = product.shape if weight is None or weight.numel() != product.numel() else weight.shape
    return {"shape": shape, "transposed": turned.get(stem, False)}
