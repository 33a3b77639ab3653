from typing import ClassVar

from torch import Tensor, nn


class LowRank(nn.Module):
    """A layer whose matrix W (out x in) is U diag(S) V: `svd_u` (out x rank), `svd_s` (rank) and `svd_v` (rank x in).

    `load_lowrank` makes a layer of the model one of this class, in place: its bias and all other attributes stay.
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
        """The weight that the layer had, multiplied out, for code that reads it."""
        return self.up @ self.down

    @staticmethod
    def matrix(weight: Tensor) -> Tensor:
        """W, as a view of the weight of the layer to replace."""
        return weight
