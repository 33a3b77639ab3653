import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .own_code import _runs_only
from .three_factors import LowRank


class SVDLinear(LowRank):
    """y = U (S (V x)) + bias, in place of nn.Linear."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        rank: int,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """A layer to train or to load: U and V start out orthogonal, with the variance of nn.Linear's weight in S."""
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        like = nn.Linear(rank, out_features, bias, device, dtype)
        v = nn.Parameter(torch.empty(rank, in_features, device=device, dtype=dtype))
        nn.init.orthogonal_(like.weight)
        nn.init.orthogonal_(v)
        # ||W||_F^2 is m n / (3 n) in nn.Linear, and the sum of the squares of S here.
        s = nn.Parameter(torch.full((rank,), (out_features / (3 * rank)) ** 0.5, device=device, dtype=dtype))
        self.bias = like.bias
        self.hold(like.weight, s, v)

    @classmethod
    def from_linear(cls, layer: nn.Linear, rank: int) -> "SVDLinear":
        """As `from_layer`."""
        return cls.from_layer(layer, rank)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(F.linear(x, self.svd_v) * self.svd_s, self.svd_u, self.bias)

    @staticmethod
    def replaces(layer: nn.Module) -> bool:
        return _runs_only(layer, nn.Linear)
