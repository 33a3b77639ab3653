from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from .classes import _new
from .product import _Product


class LowRank(nn.Module):
    """A layer whose matrix W (out x in) is U diag(S) V: `svd_u` (out x rank), `svd_s` (rank) and `svd_v` (rank x in).

    `load_lowrank` makes a layer of the model one of this class, in place: it is still an instance of its own class, and
    keeps its bias and all other attributes.
    """

    FACTORS: ClassVar[tuple[str, ...]] = ("svd_u", "svd_s", "svd_v")
    svd_u: nn.Parameter
    svd_s: nn.Parameter
    svd_v: nn.Parameter
    bias: nn.Parameter | None

    def hold(self, u: nn.Parameter, s: nn.Parameter, v: nn.Parameter) -> None:
        """Makes `u`, `s` and `v` the factors."""
        self.svd_u, self.svd_s, self.svd_v = u, s, v

    @staticmethod
    def product(u: Tensor, s: Tensor, v: Tensor) -> Tensor:
        return u @ (s[:, None] * v)

    @staticmethod
    def transposed(u: Tensor, s: Tensor, v: Tensor) -> tuple[Tensor, ...]:
        """The factors of the transpose."""
        return v.T, s, u.T

    @property
    def down(self) -> Tensor:
        return self.svd_s[:, None] * self.svd_v

    @property
    def up(self) -> Tensor:
        return self.svd_u

    @property
    def weight(self) -> Tensor:
        """The weight as the layer had it, multiplied out, for code that reads it."""
        weight = self.full(self.up @ self.down)
        return weight if torch.compiler.is_compiling() else weight.as_subclass(_Product)

    def full(self, matrix: Tensor) -> Tensor:
        """W in the form in which the layer had it as its weight; `matrix` is the inverse."""
        return matrix

    def __reduce__(self) -> tuple[Any, ...]:
        """For pickle and copy, since the class is made on demand."""
        return _new, type(self).__bases__, self.__dict__

    @staticmethod
    def matrix(weight: Tensor) -> Tensor:
        """W in the weight of a layer before it becomes low-rank."""
        return weight
