from torch import nn


def _names(path: str) -> tuple[str, str]:
    """The names of the two layers in the place of one, that which is applied first before the other."""
    return f"{path}.0", f"{path}.1"


def _put(model: nn.Module, path: str, first: nn.Module, second: nn.Module) -> None:
    """Puts nn.Sequential in the place of the layer."""
    parent, _, name = path.rpartition(".")
    setattr(model.get_submodule(parent), name, nn.Sequential(first, second))
