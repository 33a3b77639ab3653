from typing import ClassVar

from torch import Tensor, nn

from .layer import LowRankLayer


class LowRank(LowRankLayer):
    """A layer whose matrix W (out x in) is B A: `lowrank_b` (out x rank) times `lowrank_a` (rank x in)."""

    FACTORS: ClassVar[tuple[str, ...]] = ("lowrank_a.weight", "lowrank_b.weight")
    lowrank_a: nn.Linear
    lowrank_b: nn.Linear

    def hold(self, a: nn.Parameter, b: nn.Parameter) -> None:
        """Makes `a` and `b` the factors."""
        (rank, in_size), out_size = a.shape, b.shape[0]
        self.lowrank_a = nn.Linear(in_size, rank, bias=False, device="meta")
        self.lowrank_b = nn.Linear(rank, out_size, bias=False, device="meta")
        self.lowrank_a.weight, self.lowrank_b.weight = a, b

    @staticmethod
    def split(u: Tensor, s: Tensor, v: Tensor) -> tuple[Tensor, ...]:
        """The factors of U diag(S) V; sqrt(S) in each keeps both within the range of a small float."""
        return s.sqrt()[:, None] * v, u * s.sqrt()

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
