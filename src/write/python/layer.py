from typing import ClassVar

from torch import Tensor, nn

from .product import _dense
from .truncated import _truncated


class LowRankLayer(nn.Module):
    """What all layers have in common whose matrix W (out x in) is a product of factors.

    A layer of the model becomes one of this class in place, or `from_layer` makes one of it: it is still an instance of
    its own class, and has its bias and all other attributes.
    """

    FACTORS: ClassVar[tuple[str, ...]]
    bias: nn.Parameter | None

    @classmethod
    def from_layer(cls, layer: nn.Module, rank: int) -> "LowRankLayer":
        """A new layer with the best approximation of this rank of the weight of `layer`, which stays as it is.

        The factors have the device and the dtype of the weight, and are trained if it is. Raises TypeError for a layer
        of another kind or with code of its own, and ValueError for a rank beyond the sizes of the matrix.
        """
        return _truncated(cls, layer, rank)

    @property
    def weight(self) -> Tensor:
        """The weight as the layer had it, multiplied out, for code that reads it."""
        return _dense(self.full(self.up @ self.down))

    @property
    def rank(self) -> int:
        return self.up.shape[1]

    def full(self, matrix: Tensor) -> Tensor:
        """W in the form in which the layer had it as its weight; `matrix` is the inverse."""
        return matrix

    @staticmethod
    def matrix(weight: Tensor) -> Tensor:
        """W in the weight of a layer before it becomes low-rank."""
        return weight

    def extra_repr(self) -> str:
        return ", ".join(filter(None, [super().extra_repr(), f"rank={self.rank}"]))
