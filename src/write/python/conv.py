from torch import Tensor, nn
from torch.nn import functional as F

from .own_code import _runs_only
from .two_factors import LowRank


class LowRankConv(LowRank):
    """A convolution to `rank` channels, then one of kernel size 1, in place of nn.Conv1d, nn.Conv2d or nn.Conv3d."""

    @classmethod
    def from_conv(cls, layer: nn.Conv1d | nn.Conv2d | nn.Conv3d, rank: int) -> "LowRankConv":
        """As `from_layer`: of a k x k kernel, `rank` filters of k x k, and 1 x 1 of them for each output."""
        return cls.from_layer(layer, rank)

    def forward(self, x: Tensor) -> Tensor:
        convolve = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}[len(self.kernel_size)]
        padding = self.padding
        if self.padding_mode != "zeros":
            x, padding = F.pad(x, self._reversed_padding_repeated_twice, mode=self.padding_mode), 0
        kernel = self.down.reshape(-1, self.in_channels, *self.kernel_size)
        x = convolve(x, kernel, None, self.stride, padding, self.dilation)
        return convolve(x, self.up.reshape(*self.up.shape, *[1] * len(self.kernel_size)), self.bias)

    def full(self, matrix: Tensor) -> Tensor:
        return matrix.reshape(-1, self.in_channels, *self.kernel_size)

    @staticmethod
    def replaces(layer: nn.Module) -> bool:
        return any(_runs_only(layer, base) for base in (nn.Conv1d, nn.Conv2d, nn.Conv3d)) and layer.groups == 1

    @staticmethod
    def matrix(weight: Tensor) -> Tensor:
        return weight.flatten(1)
