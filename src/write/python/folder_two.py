import torch
from torch import Tensor, nn

# What follows the name of a layer in the file.
FACTORS = ("lowrank_a.weight", "lowrank_b.weight")


def _hold(module: nn.Module, shape: tuple[int, int], rank: int, like: Tensor) -> None:
    """Gives `module` room for B (out x rank) and A (rank x in), as plain linear layers that every library knows."""
    where = {"device": like.device, "dtype": like.dtype}
    module.lowrank_a = nn.Linear(shape[1], rank, bias=False, **where)
    module.lowrank_b = nn.Linear(rank, shape[0], bias=False, **where)
    for factor in (module.lowrank_a, module.lowrank_b):
        # Their weights are in the file. Some models initialize layers by names that factors do not have.
        factor._is_hf_initialized = True


def _down(module: nn.Module) -> Tensor:
    return module.lowrank_a.weight


def _up(module: nn.Module) -> Tensor:
    return module.lowrank_b.weight


def _multiply(module: nn.Module, x: Tensor) -> Tensor:
    """B (A x)."""
    return module.lowrank_b(module.lowrank_a(x))
