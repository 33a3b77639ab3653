import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .own_code import _runs_only
from .two_factors import LowRank


class LowRankLinear(LowRank):
    """y = B (A x) + bias, in place of nn.Linear."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        rank: int,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """A layer to train or to load. Its entries start out such that B A has the variance of nn.Linear's weight."""
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        down = nn.Linear(in_features, rank, False, device, dtype)
        up = nn.Linear(rank, out_features, bias, device, dtype)
        # Each factor is uniform with variance 1 / (3 n) and 1 / (3 r): their product lacks a factor of 3.
        with torch.no_grad():
            up.weight *= 3**0.5
        self.bias = up.bias
        self.hold(down.weight, up.weight)

    @classmethod
    def from_linear(cls, layer: nn.Linear, rank: int) -> "LowRankLinear":
        """As `from_layer`."""
        return cls.from_layer(layer, rank)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(F.linear(x, self.down), self.up, self.bias)

    @staticmethod
    def replaces(layer: nn.Module) -> bool:
        return _runs_only(layer, nn.Linear)
