from torch import Tensor, nn

from .expert_stack import ExpertStack
from .folder_layers import LowRankLinear


def _stack(name: str, weight: Tensor, ranks: list[int | None], transposed: bool) -> ExpertStack:
    """A layer for each expert of a stack, of its rank or dense, in place of the parameter `weight`."""
    if weight.dim() != 3 or len(ranks) != len(weight):
        raise ValueError(f"{name} is {tuple(weight.shape)}, and config.json has the ranks of {len(ranks)} experts")
    outputs, inputs = weight.shape[:0:-1] if transposed else weight.shape[1:]
    experts = []
    for rank in ranks:
        layer = nn.Linear(inputs, outputs, bias=False, device=weight.device, dtype=weight.dtype)
        # Its weight is in the file, as are the factors.
        layer._is_hf_initialized = True
        experts.append(layer if rank is None else LowRankLinear(layer, (outputs, inputs), rank))
    return ExpertStack(experts, transposed)
