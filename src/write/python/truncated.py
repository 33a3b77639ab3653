import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .classes import _class_of
from .triplets import leading


def _truncated(kind: type[nn.Module], layer: nn.Module, rank: int) -> nn.Module:
    """A new layer of class `kind` with the best approximation of this rank."""
    if not kind.replaces(layer):
        raise TypeError(f"{kind.__name__} cannot take the place of {type(layer).__name__}, or of its code and hooks")
    factors = kind.split(*_triplets(kind.matrix(layer.weight.detach()), rank))
    return _with_factors(kind, layer, [_as_parameter(factor, layer.weight) for factor in factors])


def _triplets(matrix: Tensor, rank: int) -> tuple[Tensor, Tensor, Tensor]:
    """The leading triplets of W (out x in), in single precision at least."""
    if matrix.is_meta:
        raise ValueError("the weight is on the device meta, and has no values")
    if not 1 <= rank <= min(matrix.shape):
        raise ValueError(f"rank {rank} is not between 1 and {min(matrix.shape)}, the smaller side of the matrix")
    return leading(matrix.to(torch.promote_types(matrix.dtype, torch.float32)), rank)


def _as_parameter(factor: Tensor, weight: Tensor) -> nn.Parameter:
    return nn.Parameter(factor.to(weight).contiguous(), requires_grad=weight.requires_grad)


def _become(layer: nn.Module, kind: type[nn.Module], factors: Sequence[nn.Module | Tensor]) -> None:
    """Makes `layer` one of class `kind` in place, with factors for its weight."""
    cls = _class_of(kind, type(layer))
    del layer._parameters["weight"]
    layer.__class__ = cls
    layer.hold(*factors)


def _with_factors(kind: type[nn.Module], layer: nn.Module, factors: Sequence[nn.Module | Tensor]) -> nn.Module:
    """A copy of `layer` that holds factors in the place of its weight."""
    new = copy.copy(layer)
    new.__class__ = _class_of(kind, type(layer))
    # The copy still shares the tables of what the layer holds.
    new._buffers, new._modules, new._parameters = {}, {}, {}
    if "bias" in layer._parameters:
        new.bias = None if layer.bias is None else nn.Parameter(layer.bias.detach().clone(), layer.bias.requires_grad)
    new.hold(*factors)
    return new
