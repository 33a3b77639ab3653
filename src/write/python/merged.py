from typing import NamedTuple

import torch
from torch import Tensor, nn

from .rows import _dense_rows, _low_rank_rows

# Rows of a matrix: the name of the product that they are, or rows that are none.
_Rows = str | Tensor


class _Merged(NamedTuple):
    """A parameter that transformers put together, on loading, from matrices of which some have factors."""

    # The rows of each matrix of a stack, or of the one matrix that there is.
    slices: list[list[_Rows]]
    # Whether the parameter holds W^T.
    turned: bool

    def names(self) -> set[str]:
        return {rows for parts in self.slices for rows in parts if isinstance(rows, str)}

    def layers(self, factors: dict[str, tuple[nn.Parameter, ...]], like: Tensor) -> list[list[nn.Module]]:
        """Layers for the rows of each slice, with the type of the parameter and on its device."""
        device = torch.device("cpu") if like.is_meta else like.device

        def layer(rows: _Rows) -> nn.Module:
            if isinstance(rows, str):
                return _low_rank_rows(factors[rows])
            return _dense_rows(nn.Parameter(rows.contiguous().to(device, like.dtype, copy=True), like.requires_grad))

        return [[layer(rows) for rows in parts] for parts in self.slices]


class _MergedIndex:
    """Finds products by their first rows."""

    def __init__(self, products: dict[str, Tensor], dtype: torch.dtype) -> None:
        self.products, self.dtype = products, dtype
        self.names: dict[bytes, list[str]] = {}
        for name, product in products.items():
            if product.numel():
                self.names.setdefault(_marks(product[:1].to(dtype))[0], []).append(name)

    def find(self, value: Tensor) -> _Merged | None:
        """How a matrix, or a stack of some, is made of products; None if it is of none."""
        for turned in (False, True):
            stack = value if value.dim() == 3 else value[None]
            slices = [self.rows_of(matrix) for matrix in (stack.mT if turned else stack)]
            if any(isinstance(rows, str) for parts in slices for rows in parts):
                return _Merged(slices, turned)
        return None

    def rows_of(self, matrix: Tensor) -> list[_Rows]:
        parts: list[_Rows] = []
        at = start = 0
        marks = _marks(matrix)
        while at < len(matrix):
            name = next((name for name in self.names.get(marks[at], []) if self.starts(name, matrix[at:])), None)
            if name is None:
                at += 1
                continue
            parts += [*([matrix[start:at]] if at > start else []), name]
            start = at = at + len(self.products[name])
        return parts + ([matrix[start:]] if len(matrix) > start else [])

    def starts(self, name: str, rows: Tensor) -> bool:
        product = self.products[name]
        part = rows[: len(product)]
        return part.shape == product.shape and torch.equal(part, product.to(self.dtype))


def _marks(matrix: Tensor) -> list[bytes]:
    """The first values of each row, which equal rows share."""
    return [row.tobytes() for row in matrix[:, :8].detach().float().cpu().numpy()]
