from torch import nn

from .two_factors import LowRank


def _kind(layer: nn.Module) -> type[LowRank] | None:
    """The class that can take the place of the layer's own, if there is one."""
    return next((kind for kind in LowRank.__subclasses__() if kind.replaces(layer)), None)
