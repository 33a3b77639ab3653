from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


class _Product(Tensor):
    """The weight of a low-rank layer, multiplied out for code that reads it. Writing to it raises: it would be lost."""

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name, options = func.__name__, kwargs or {}
        in_place = name.endswith("_") and not name.endswith("__")
        in_place = in_place or name.startswith(("__set", "__iadd", "__isub", "__imul", "__itruediv"))
        target = args[0] if args else options.get("tensor")
        if isinstance(options.get("out"), cls) or (in_place and isinstance(target, cls)):
            raise RuntimeError(f"{name}: the weight of a low-rank layer is a product; change its factors instead")
        with torch._C.DisableTorchFunctionSubclass():
            result = func(*args, **options)
        alias = name == "detach" or getattr(func, "__self__", None) is Tensor.data
        return result.as_subclass(cls) if alias else result


def _dense(weight: Tensor) -> Tensor:
    """A product that code may read; what torch.compile and torch.export trace is an ordinary tensor."""
    return weight if torch.compiler.is_compiling() else weight.as_subclass(_Product)
