import sys

from torch import Tensor, nn
from torch.nn import functional as F

from .own_code import _runs_only
from .two_factors import LowRank


class LowRankConv1D(LowRank):
    """y = B (A x) + bias, in place of transformers' Conv1D: a linear layer that stores W as (in, out)."""

    @classmethod
    def from_conv1d(cls, layer: nn.Module, rank: int) -> "LowRankConv1D":
        """As `from_layer`."""
        return cls.from_layer(layer, rank)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(F.linear(x, self.down), self.up, self.bias)

    def full(self, matrix: Tensor) -> Tensor:
        return matrix.T

    @staticmethod
    def replaces(layer: nn.Module) -> bool:
        utils = sys.modules.get("transformers.pytorch_utils")
        return utils is not None and _runs_only(layer, utils.Conv1D)

    @staticmethod
    def matrix(weight: Tensor) -> Tensor:
        return weight.T
