from torch import Tensor, nn


class ABLinear(nn.Module):
    """y = A (B x) + bias, with the names of ASVD's layers."""

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.BLinear, self.ALinear = first, second

    def forward(self, x: Tensor) -> Tensor:
        return self.ALinear(self.BLinear(x))


def _names(path: str) -> tuple[str, str]:
    """The names of the two layers in the place of one, that which is applied first before the other."""
    return f"{path}.BLinear", f"{path}.ALinear"


def _put(model: nn.Module, path: str, first: nn.Module, second: nn.Module) -> None:
    """Puts an ABLinear in the place of the layer."""
    parent, _, name = path.rpartition(".")
    setattr(model.get_submodule(parent), name, ABLinear(first, second))
