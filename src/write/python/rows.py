from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .kinds import _kind
from .layer import LowRankLayer
from .product import _dense
from .truncated import _as_parameter, _triplets, _with_factors


class FusedLowRankLinear(LowRankLayer):
    """y = [B_1 A_1 x, B_2 A_2 x, ...] + bias, in place of a linear layer whose outputs are those of several matrices.

    Such as q, k and v: each part has a rank of its own, or is dense.
    """

    parts: nn.ModuleList

    @classmethod
    def from_linear(cls, layer: nn.Module, sizes: Sequence[int], ranks: Sequence[int | None]) -> "FusedLowRankLinear":
        """A new layer with the best approximation of each part of nn.Linear or of transformers' Conv1D.

        `sizes` are the outputs of the parts in their order, and `ranks` their ranks; a part without one stays dense.
        """
        kind = _kind(layer)
        if kind is None or layer.weight.dim() != 2 or isinstance(layer, nn.Embedding):
            raise TypeError(f"{cls.__name__} cannot take the place of {type(layer).__name__}, or of its code and hooks")
        matrix = kind.matrix(layer.weight.detach())
        if len(sizes) != len(ranks) or sum(sizes) != len(matrix):
            raise ValueError(f"sizes {list(sizes)} and ranks {list(ranks)} are not those of {len(matrix)} outputs")
        parts = [_truncated_rows(rows, rank, layer.weight) for rows, rank in zip(matrix.split(list(sizes)), ranks)]
        return _with_factors(_turned_rows(kind, layer), layer, parts)

    def hold(self, *parts: nn.Module) -> None:
        """Makes these layers without a bias the parts."""
        self.parts = nn.ModuleList(parts)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.cat([part(x) for part in self.parts], -1)
        return y if self.bias is None else y + self.bias

    @property
    def weight(self) -> Tensor:
        return _dense(self.full(torch.cat([part.weight for part in self.parts])))

    @property
    def rank(self) -> tuple[int | None, ...]:
        return tuple(getattr(part, "rank", None) for part in self.parts)


class _FusedConv1D(FusedLowRankLinear):
    """In place of transformers' Conv1D, whose weight is W^T."""

    def full(self, matrix: Tensor) -> Tensor:
        return matrix.T


def _turned_rows(kind: type[nn.Module], layer: nn.Module) -> type[FusedLowRankLinear]:
    return FusedLowRankLinear if kind.matrix(layer.weight) is layer.weight else _FusedConv1D


def _truncated_rows(rows: Tensor, rank: int | None, like: Tensor) -> nn.Module:
    """A linear layer without a bias for some rows of a matrix."""
    if rank is None:
        return _dense_rows(_as_parameter(rows.clone(), like))
    kind = _linear_kind()
    return _low_rank_rows([_as_parameter(factor, like) for factor in kind.split(*_triplets(rows, rank))])


def _dense_rows(weight: nn.Parameter) -> nn.Module:
    part = nn.Linear(weight.shape[1], weight.shape[0], bias=False, device="meta")
    part.weight = weight
    return part


def _low_rank_rows(factors: Sequence[nn.Parameter]) -> nn.Module:
    kind = _linear_kind()
    part = kind.__new__(kind)
    nn.Module.__init__(part)
    part.bias = None
    part.hold(*factors)
    part.in_features, part.out_features = part.down.shape[1], part.up.shape[0]
    return part


def _fused_rows(parts: Sequence[nn.Module]) -> FusedLowRankLinear:
    fused = FusedLowRankLinear()
    fused.bias = None
    fused.hold(*parts)
    return fused


def _linear_kind() -> type[LowRankLayer]:
    return _kind(nn.Linear(1, 1, device="meta"))
