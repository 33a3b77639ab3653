from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn


class ExpertStack(nn.Module):
    """A stack of matrices, one for each expert, in place of the parameter (experts x out x in) of a layer of experts.

    `x` through expert `e` is `experts(x, e)`. Code of the model that says `F.linear(x, weight[e])` needs no change: the
    factors compute it. Code that does anything else with the stack or with one of its matrices gets the product. Stacks
    of W^T (experts x in x out) are `turned`.
    """

    def __init__(self, experts: Sequence[nn.Module], turned: bool = False) -> None:
        """Takes a linear layer without a bias for each expert."""
        super().__init__()
        self.experts, self.turned = nn.ModuleList(experts), turned

    def replace(self, module: nn.Module, name: str) -> None:
        """Takes the place of a parameter of `module`."""
        del module._parameters[name]
        module._modules[name] = self
        # Others of transformers' implementations take the whole stack, which would be multiplied out.
        if hasattr(getattr(module, "config", None), "_experts_implementation"):
            module.config._experts_implementation = "eager"

    def forward(self, x: Tensor, expert: int) -> Tensor:
        return self.experts[expert](x)

    def product(self) -> Tensor:
        """The stack as the model had it, multiplied out."""
        weight = torch.stack([expert.weight.as_subclass(Tensor) for expert in self.experts])
        return weight.mT if self.turned else weight

    def __len__(self) -> int:
        return len(self.experts)

    def __getitem__(self, index: Any) -> Any:
        is_scalar = isinstance(index, Tensor) and index.dim() == 0 and index.dtype != torch.bool
        is_one = isinstance(index, int) or is_scalar
        return _Expert(self.experts[int(index)], self.turned) if is_one else self.product()[index]

    @property
    def shape(self) -> torch.Size:
        return torch.Size([len(self), *self[0].shape])

    @property
    def dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name.startswith("_"):
                raise
            return getattr(self.product(), name)

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return _on_products(func, args, kwargs)


class _Expert:
    """The matrix of one expert: a stand-in for a tensor that code of the model multiplies inputs by."""

    def __init__(self, layer: nn.Module, turned: bool) -> None:
        self.layer, self.turned = layer, turned

    def product(self) -> Tensor:
        weight = self.layer.weight.as_subclass(Tensor)
        return weight.T if self.turned else weight

    @property
    def shape(self) -> torch.Size:
        first = getattr(self.layer, "parts", [self.layer])
        sizes = sum(part.out_features for part in first), first[0].in_features
        return torch.Size(sizes[::-1] if self.turned else sizes)

    @property
    def T(self) -> "_Expert":
        return _Expert(self.layer, not self.turned)

    mT = T

    def t(self) -> "_Expert":
        return self.T

    def transpose(self, first: int, second: int) -> "_Expert":
        return self.T if {first % 2, second % 2} == {0, 1} else self

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> Tensor:
        return self.product()[index]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.product(), name)

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name, options = func.__name__, kwargs or {}
        x, weight = args[:2] if len(args) > 1 else (None, None)
        if isinstance(x, Tensor) and isinstance(weight, _Expert):
            if name == "linear" and not weight.turned:
                bias = args[2] if len(args) > 2 else options.get("bias")
                y = weight.layer(x)
                return y if bias is None else y + bias
            if name in ("matmul", "mm", "__matmul__") and weight.turned and not options:
                return weight.layer(x)
        return _on_products(func, args, options)


def _on_products(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any] | None) -> Any:
    """Calls a function of torch on the products."""

    def dense(value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return type(value)(dense(each) for each in value)
        return value.product() if isinstance(value, (ExpertStack, _Expert)) else value

    return func(*dense(args), **{name: dense(value) for name, value in (kwargs or {}).items()})


def _add_operators() -> None:
    """Python looks up operators on the class, past __getattr__."""

    def operator(name: str) -> Callable[..., Any]:
        return lambda self, *others: getattr(self.product(), name)(*_on_products(lambda *each: each, others, None))

    binary = ("add", "sub", "mul", "truediv", "matmul")
    for name in ("__neg__", *(f"__{turned}{each}__" for each in binary for turned in ("", "r"))):
        setattr(_Expert, name, operator(name))
        setattr(ExpertStack, name, operator(name))


_add_operators()
