from typing import ClassVar

from torch import Tensor, nn

from .layer import LowRankLayer


class LowRank(LowRankLayer):
    """Holds W (out x in) as U diag(S) V: `svd_u` (out x rank), `svd_s` (rank) and `svd_v` (rank x in)."""

    FACTORS: ClassVar[tuple[str, ...]] = ("svd_u", "svd_s", "svd_v")
    svd_u: nn.Parameter
    svd_s: nn.Parameter
    svd_v: nn.Parameter

    def hold(self, u: nn.Parameter, s: nn.Parameter, v: nn.Parameter) -> None:
        """Makes `u`, `s` and `v` the factors."""
        self.svd_u, self.svd_s, self.svd_v = u, s, v

    @staticmethod
    def split(u: Tensor, s: Tensor, v: Tensor) -> tuple[Tensor, ...]:
        """The factors of U diag(S) V."""
        return u, s, v

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
