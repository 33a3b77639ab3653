import torch
from torch import Tensor, nn
from torch.nn import functional as F

# What follows the name of a layer in the file.
FACTORS = ("svd_u", "svd_s", "svd_v")


def _hold(module: nn.Module, shape: tuple[int, int], rank: int, like: Tensor) -> None:
    """Gives `module` room for U (out x rank), S (rank) and V (rank x in)."""
    where = {"device": like.device, "dtype": like.dtype}
    for name, size in zip(FACTORS, ((shape[0], rank), (rank,), (rank, shape[1]))):
        module.register_parameter(name, nn.Parameter(torch.empty(size, **where)))


def _down(module: nn.Module) -> Tensor:
    return module.svd_s[:, None] * module.svd_v


def _up(module: nn.Module) -> Tensor:
    return module.svd_u


def _multiply(module: nn.Module, x: Tensor) -> Tensor:
    """U (S V x)."""
    return F.linear(F.linear(x, module.svd_v) * module.svd_s, module.svd_u)
