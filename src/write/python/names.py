from typing import Any

import torch
from torch import Tensor, nn

from .weight import Weight


def names_of(
    groups: list[list[Weight]], model: nn.Module, state: dict[str, Tensor]
) -> list[dict[str, list[int]]]:
    """The matrices of each group of weights with their shapes [out, in], by their names in the checkpoint `state`.

    On loading, transformers may rename matrices and merge several into one: what is not in the checkpoint under its
    name in the model is found there by its rows.
    """
    parameters = dict(model.named_parameters(remove_duplicate=False))
    dtype = next(iter(parameters.values())).dtype
    index: dict[bytes, list[str]] = {}
    for name, tensor in state.items():
        if tensor.dim() == 2 and name not in parameters and tensor.is_floating_point():
            index.setdefault(mark(tensor[:1].to(dtype))[0], []).append(name)
    used: set[str] = set()
    return [
        {name: shape for weight in group for name, shape in stored(weight, parameters, state, index, used).items()}
        for group in groups
    ]


def stored(
    weight: Weight, parameters: dict[str, Tensor], state: dict[str, Tensor], index: dict[bytes, list[str]], used: set[str]
) -> dict[str, list[int]]:
    """The tensors of the checkpoint that make up a weight of the model."""
    whole = parameters[weight.name]
    matrix = (whole if weight.index is None else whole[weight.index]).detach()
    shape = list(matrix.shape[::-1] if weight.transposed else matrix.shape)
    alias = next((name for name, other in parameters.items() if other is whole and name in state), weight.name)
    if alias in state or not index:
        return {weight._replace(name=alias).title(): shape}
    found: dict[str, list[int]] = {}
    at, marks = 0, mark(matrix)
    while at < len(matrix):
        for name in index.get(marks[at], []):
            part = state[name]
            rows = matrix[at : at + len(part)]
            if name not in used and torch.equal(rows.cpu(), part.to(matrix.dtype)):
                found[name] = list(part.shape[::-1] if weight.transposed else part.shape)
                at += len(part)
                break
        else:
            return {weight.title(): shape}
    used.update(found)
    return found


def mark(matrix: Tensor) -> list[bytes]:
    """The first values of each row, to find equal ones."""
    rows = matrix[:, :8].detach().float().cpu().contiguous().view(torch.uint8)
    return [bytes(row) for row in rows.numpy()]
