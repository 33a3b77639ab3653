import copy
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .blocks import Call, Reached
from .conv1d import LowRankConv1D
from .linear import LowRankLinear
from .truncated import _become
from .two_factors import LowRank


class LowRankOwnCode(LowRank):
    """For a linear layer with code of its own, which reads the weight: it gets the product B A."""

    @staticmethod
    def replaces(layer: nn.Module) -> bool:
        return isinstance(layer, nn.Linear) and "forward" not in vars(layer)


LOW_RANK = (LowRankLinear, LowRankConv1D, LowRankOwnCode)


@dataclass
class Group:
    """Layers of a block that read the same inputs X (tokens x n), by their paths in the block."""

    layers: list[str]
    tokens: int = 0
    # X^T X, in f64.
    moments: Tensor | None = None

    def add(self, x: Tensor) -> None:
        x = exact(x)
        if not torch.isfinite(x).all():
            raise SystemExit(f"{self.layers[0]}: an input is not finite; nothing was written")
        self.tokens += len(x)
        self.moments = x.T @ x if self.moments is None else self.moments.addmm_(x.T, x)


def exact(x: Tensor) -> Tensor:
    """Rows in f64; Apple's GPUs have none."""
    return x.to("cpu" if x.device.type == "mps" else x.device, torch.float64)


def matrix_of(layer: nn.Module) -> Tensor:
    """W (out x in), in f32."""
    weight = layer.weight.detach().float()
    return weight.T if is_transposed(layer) else weight


def is_transposed(layer: nn.Module) -> bool:
    return type(layer).__name__ == "Conv1D"


def become_low_rank(layer: nn.Module, b: Tensor, a: Tensor) -> None:
    """Puts B (out x rank) and A (rank x in) in the place of the layer's weight."""
    kind = next(each for each in LOW_RANK if each.replaces(layer))
    _become(layer, kind, [nn.Parameter(a.contiguous()), nn.Parameter(b.contiguous())])


def groups_of(block: nn.Module, paths: Iterable[str], calls: list[Call]) -> tuple[list[Group], list[Tensor]]:
    """The layers in groups, in the order in which they are computed, with their X^T X; and what the block gives."""
    group_of: dict[str, Group] = {}
    last: list[Any] = [None, None]

    def see(path: str, x: Tensor) -> None:
        again, group = last[0] is not None and is_same(x, last[0]), group_of.get(path)
        if again and group is None:
            group_of[path] = last[1]
            last[1].layers.append(path)
        if again and group in (None, last[1]):
            return
        if group is None:
            group = group_of[path] = Group([path])
        if path == group.layers[0]:
            group.add(x.reshape(-1, x.shape[-1]))
        # The reference keeps the memory from being used again, so that the next inputs are known to be others.
        last[:] = x, group

    outputs = [with_inputs(block, paths, see, call) for call in calls]
    return list({id(group): group for group in group_of.values()}.values()), outputs


def stages_of(groups: list[Group]) -> list[list[Group]]:
    """Groups that do not depend on each other, as those of all experts."""
    stages: list[tuple[set[str], list[Group]]] = []
    for group in groups:
        kinds = {kind_of(path) for path in group.layers}
        stage = next((each for each in stages if each[0] & kinds), None)
        if stage is None:
            stages.append((kinds, [group]))
        else:
            stage[0].update(kinds)
            stage[1].append(group)
    return [members for _, members in stages]


def kind_of(path: str) -> str:
    """The same for all experts of a block."""
    return re.sub(r"(?<=\.)\d+(?=\.)", "*", path)


@torch.no_grad()
def with_inputs(block: nn.Module, paths: Iterable[str], see: Callable[[str, Tensor], None], call: Call) -> Tensor:
    """What the block gives, while `see` gets the inputs of these layers."""
    hooks = []
    try:
        for path in paths:
            layer = block.get_submodule(path)
            hooks.append(layer.register_forward_pre_hook(lambda _, x, path=path: see(path, x[0])))
        return call.run(block)
    finally:
        for hook in hooks:
            hook.remove()


def inputs_of(block: nn.Module, groups: list[Group], call: Call) -> dict[str, Tensor]:
    """The inputs of each group (tokens x n, f64), by its first layer; the block runs no further than it must."""
    found: dict[str, Tensor] = {}

    def see(path: str, x: Tensor) -> None:
        rows = exact(x.reshape(-1, x.shape[-1]))
        found[path] = torch.cat([found[path], rows]) if path in found else rows
        if len(groups) == 1:
            raise Reached

    try:
        with_inputs(block, [group.layers[0] for group in groups], see, call)
    except Reached:
        pass
    return found


def is_same(x: Tensor, y: Tensor) -> bool:
    """Whether two tensors are the same values in the same memory."""
    return x.data_ptr() == y.data_ptr() and x.shape == y.shape and x.stride() == y.stride() and x._version == y._version


def norms_of(block: nn.Module) -> list[str]:
    """The paths of the parameters of its norms."""
    return [
        f"{path}.{name}"
        for path, module in block.named_modules()
        if path and "norm" in type(module).__name__.lower()
        for name, own in module._parameters.items()
        if own is not None and own.is_floating_point()
    ]


def block_in_f32(block: nn.Module) -> nn.Module:
    """The block itself, or a copy in f32."""
    if all(each.dtype == torch.float32 for each in block.parameters()):
        return block
    return copy.deepcopy(block).float()


def copy_to_cut(block: nn.Module) -> nn.Module:
    """A copy that has norms of its own, and everything else in common."""
    own = {id(block.get_parameter(path)) for path in norms_of(block)}
    shared = [each for each in [*block.parameters(), *block.buffers()] if id(each) not in own]
    return copy.deepcopy(block, {id(each): each for each in shared})


def as_in(block: nn.Module, original: nn.Module, dtype: torch.dtype) -> nn.Module:
    """The block with the types of the original, and in common with it what is the same. Factors get `dtype`."""
    norms = set(norms_of(original))
    known = dict(original.named_parameters()) | dict(original.named_buffers())
    for path, module in block.named_modules():
        for table in (module._parameters, module._buffers):
            for name, own in table.items():
                where = f"{path}.{name}" if path else name
                if where in known and where not in norms:
                    table[name] = known[where]
                elif own is not None:
                    own.data = own.data.to(known[where].dtype if where in norms else dtype)
    return block
