import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .folder_two import _down, _hold, _multiply, _up
from .own_code import _runs_only


class LowRankLayer(nn.Module):
    """A layer whose matrix W (out x in) is a product, in place of one that holds W.

    It is no subclass of that one: what replaces every nn.Linear (quantization, tensor parallelism, adapters) finds the
    factors instead.
    """

    bias: nn.Parameter | None

    def __init__(self, layer: nn.Module, shape: tuple[int, int], rank: int) -> None:
        super().__init__()
        own = {name: value for name, value in vars(layer).items() if name not in vars(self)}
        self.__dict__.update(own)
        self.training = layer.training
        _hold(self, shape, rank, layer.weight)
        if hasattr(layer, "bias"):
            self.register_parameter("bias", layer.bias)

    @property
    def weight(self) -> Tensor:
        """W as the layer had it, multiplied out, for code that reads it."""
        return self.full(_up(self) @ _down(self))

    def full(self, matrix: Tensor) -> Tensor:
        return matrix


class LowRankLinear(LowRankLayer):
    """y = W x + bias, in place of nn.Linear and of transformers' Conv1D."""

    def forward(self, x: Tensor) -> Tensor:
        y = _multiply(self, x)
        return y if self.bias is None else y + self.bias

    def full(self, matrix: Tensor) -> Tensor:
        return matrix.T if hasattr(self, "nf") else matrix


class LowRankEmbedding(LowRankLayer):
    """Looks up rows of the left factor and multiplies them by the right one, in place of nn.Embedding."""

    def forward(self, ids: Tensor) -> Tensor:
        return F.linear(F.embedding(ids, _up(self), self.padding_idx), _down(self).T)


class LowRankConv(LowRankLayer):
    """A convolution to `rank` channels, then one of kernel size 1, in place of nn.Conv1d, nn.Conv2d or nn.Conv3d."""

    def forward(self, x: Tensor) -> Tensor:
        convolve = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}[len(self.kernel_size)]
        padding = self.padding
        if self.padding_mode != "zeros":
            x, padding = F.pad(x, self._reversed_padding_repeated_twice, mode=self.padding_mode), 0
        kernel = _down(self).reshape(-1, self.in_channels, *self.kernel_size)
        x = convolve(x, kernel, None, self.stride, padding, self.dilation)
        up = _up(self)
        return convolve(x, up.reshape(*up.shape, *[1] * len(self.kernel_size)), self.bias)

    def full(self, matrix: Tensor) -> Tensor:
        return matrix.reshape(-1, self.in_channels, *self.kernel_size)


def _low_rank_class(layer: nn.Module) -> type[LowRankLayer] | None:
    """The class that takes the place of a layer which runs torch's own code and nothing else."""
    if _runs_only(layer, nn.Linear) or type(layer).__name__ == "Conv1D" and hasattr(layer, "nf"):
        return LowRankLinear
    # The other options act on rows of the full matrix, or on their gradients.
    if _runs_only(layer, nn.Embedding) and layer.max_norm is None and not (layer.scale_grad_by_freq or layer.sparse):
        return LowRankEmbedding
    if any(_runs_only(layer, base) for base in (nn.Conv1d, nn.Conv2d, nn.Conv3d)) and layer.groups == 1:
        return LowRankConv
    return None


class Product:
    """W of a module with code of its own, which holds the factors itself."""

    def __init__(self, shape: torch.Size, is_transposed: bool) -> None:
        self.shape, self.is_transposed = shape, is_transposed

    def __call__(self, holder: nn.Module) -> Tensor:
        matrix = _up(holder) @ _down(holder)
        return (matrix.T if self.is_transposed else matrix).reshape(self.shape)


@functools.cache
def _class_with(own: type[nn.Module], names: tuple[str, ...]) -> type[nn.Module]:
    """A subclass that computes the attributes of these names with what `_computed` has for them."""

    def computed(name: str) -> property:
        return property(lambda self: self._computed[name](self))

    def reduce(self: nn.Module) -> tuple[Any, ...]:
        return _new_with, (own, names), self.__dict__

    members = {name: computed(name) for name in names}
    return type(own.__name__, (own,), {**members, "__reduce__": reduce, "__module__": own.__module__})


def _new_with(own: type[nn.Module], names: tuple[str, ...]) -> nn.Module:
    cls = _class_with(own, names)
    return cls.__new__(cls)


def _compute(module: nn.Module, name: str, value: Callable[[nn.Module], Tensor]) -> None:
    """Replaces a parameter by what `value` returns for the module, for code of its own that reads the parameter."""
    known = vars(module).get("_computed", {})
    own = type(module).__bases__[0] if known else type(module)
    del module._parameters[name]
    module._computed = {**known, name: value}
    module.__class__ = _class_with(own, tuple(module._computed))
