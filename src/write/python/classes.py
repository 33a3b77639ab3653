import functools
from typing import Any

from torch import nn


@functools.cache
def _class_of(kind: type[nn.Module], own: type[nn.Module]) -> type[nn.Module]:
    """The class of a layer of class `own` that became low-rank; some models ask whether a layer is an nn.Conv2d."""
    about = {"__doc__": kind.__doc__, "__module__": kind.__module__, "__reduce__": _reduce}
    return type(kind.__name__, (kind, own), about)


def _reduce(layer: nn.Module) -> tuple[Any, ...]:
    """For pickle and copy, since the class is made on demand."""
    return _new, type(layer).__bases__, layer.__dict__


def _new(kind: type[nn.Module], own: type[nn.Module]) -> nn.Module:
    cls = _class_of(kind, own)
    return cls.__new__(cls)
