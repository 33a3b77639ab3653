from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from .classes import _new
from .product import _Product


class LowRank(nn.Module):
    """A layer whose matrix W (out x in) is B A: `lowrank_b` (out x rank) times `lowrank_a` (rank x in).

    `load_lowrank` makes a layer of the model one of this class, in place: it is still an instance of its own class, and
    keeps its bias and all other attributes.
    """

    FACTORS: ClassVar[tuple[str, ...]] = ("lowrank_a.weight", "lowrank_b.weight")
    lowrank_a: nn.Linear
    lowrank_b: nn.Linear
    bias: nn.Parameter | None

    def hold(self, a: nn.Parameter, b: nn.Parameter) -> None:
        """Makes `a` and `b` the factors."""
        (rank, in_size), out_size = a.shape, b.shape[0]
        self.lowrank_a = nn.Linear(in_size, rank, bias=False, device="meta")
        self.lowrank_b = nn.Linear(rank, out_size, bias=False, device="meta")
        self.lowrank_a.weight, self.lowrank_b.weight = a, b

    @staticmethod
    def product(a: Tensor, b: Tensor) -> Tensor:
        return b @ a

    @staticmethod
    def transposed(a: Tensor, b: Tensor) -> tuple[Tensor, ...]:
        """The factors of the transpose."""
        return b.T, a.T

    @property
    def down(self) -> Tensor:
        return self.lowrank_a.weight

    @property
    def up(self) -> Tensor:
        return self.lowrank_b.weight

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
