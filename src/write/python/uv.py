from typing import Any

from torch import Tensor, nn


class _Both:
    """What the model calls in the place of `q_proj`: `q_v_proj`, then `q_u_proj`, which are modules of its parent."""

    def __init__(self, parent: nn.Module, first: str, second: str) -> None:
        self.parent, self.first, self.second = parent, first, second

    def __call__(self, x: Tensor) -> Tensor:
        return getattr(self.parent, self.second)(getattr(self.parent, self.first)(x))

    @property
    def weight(self) -> Tensor:
        return getattr(self.parent, self.second).weight @ getattr(self.parent, self.first).weight

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in ("parent", "first", "second"):
            raise AttributeError(name)
        return getattr(getattr(self.parent, self.second), name)


def _names(path: str) -> tuple[str, str]:
    """The names of the two layers in the place of one, that which is applied first before the other: SVD-LLM's."""
    stem = path.removesuffix("_proj")
    return f"{stem}_v_proj", f"{stem}_u_proj"


def _put(model: nn.Module, path: str, first: nn.Module, second: nn.Module) -> None:
    """Puts both layers beside each other into the parent, which goes on calling them by the name of the layer."""
    parent_path, _, name = path.rpartition(".")
    parent = model.get_submodule(parent_path)
    names = [each.rpartition(".")[2] for each in _names(path)]
    delattr(parent, name)
    for each, layer in zip(names, (first, second)):
        setattr(parent, each, layer)
    parent.__dict__[name] = _Both(parent, *names)
