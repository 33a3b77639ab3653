from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from .experts import LowRankExperts
from .kinds import _kind
from .rows import FusedLowRankLinear
from .truncated import _as_parameter, _become, _triplets

# One rank, that of each expert, or the (outputs, rank) of each part of a fused layer.
Ranks = int | Sequence[int | None] | Sequence[tuple[int, int | None]]


def factorize(model: nn.Module, ranks: Mapping[str, Ranks]) -> nn.Module:
    """Gives layers of `model` the best approximations of these ranks, in place, and returns it.

    `ranks` names layers (`layers.0.q_proj`, with or without `.weight`), or parameters that stack matrices of experts
    (`layers.0.experts.down_proj`). A rank may be one number; for experts, a list with the rank of each; for a fused
    layer, a list with the outputs and the rank of each part: `[(768, 64), (768, 64), (768, None)]`. None stays dense.
    Layers that share a weight share the factors. Make optimizers after this.

    Raises KeyError for names that the model lacks, TypeError for a layer that cannot be low-rank, and ValueError for a
    rank beyond the sizes of its matrix. The model is then as it was.
    """
    modules, parameters = dict(model.named_modules(remove_duplicate=False)), {}
    for path, module in modules.items():
        parameters |= {f"{path}.{name}" if path else name: (module, name) for name in module._parameters}
    unknown = [name for name in ranks if not {name, f"{name}.weight"} & parameters.keys()]
    if unknown:
        raise KeyError(f"{type(model).__name__} has no parameters {unknown[:5]}")
    holders: dict[int, list[tuple[nn.Module, str]]] = {}
    for module in dict.fromkeys(modules.values()):
        for name, parameter in module._parameters.items():
            holders.setdefault(id(parameter), []).append((module, name))

    made: list[tuple[nn.Module, str, type[nn.Module] | None, Sequence[Any]]] = []
    for name, rank in ranks.items():
        module, attribute = parameters[name if name in parameters else f"{name}.weight"]
        weight = module._parameters[attribute]
        if weight is None:
            raise KeyError(f"{name} of {type(model).__name__} is None")
        try:
            made += _low_rank(holders[id(weight)], weight, rank)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{name}: {error}") from error
    for module, attribute, kind, parts in made:
        if kind is not None:
            _become(module, kind, parts)
        else:
            parts[0].replace(module, attribute)
    return model


def _low_rank(
    holders: list[tuple[nn.Module, str]], weight: nn.Parameter, rank: Ranks
) -> list[tuple[nn.Module, str, type[nn.Module] | None, Sequence[Any]]]:
    """For each layer its low-rank class and what it holds, or without a class what takes the place of a parameter."""
    first, attribute = holders[0]
    if weight.dim() == 3 and _kind(first) is None:
        experts = LowRankExperts.from_stack(weight, rank)
        return [(module, name, None, [experts]) for module, name in holders]
    kinds = [_kind(module) if name == "weight" else None for module, name in holders]
    for (module, name), kind in zip(holders, kinds):
        if kind is None:
            raise TypeError(f"{name} of {type(module).__name__}, which has code of its own, hooks or no low-rank form")
    matrices = [kind.matrix(weight.detach()) for kind in kinds]
    if any(matrix.stride() != matrices[0].stride() for matrix in matrices):
        raise TypeError("two layers share this weight, one of them as its transpose")
    if not isinstance(rank, int):
        if len(holders) > 1:
            raise TypeError("several layers share this weight, which is therefore of one part")
        new = FusedLowRankLinear.from_linear(first, *zip(*rank))
        return [(first, attribute, type(new).__mro__[1], new.parts)]
    factors = kinds[0].split(*_triplets(matrices[0], rank))
    held = [_as_parameter(factor, weight) for factor in factors]
    return [(module, name, kind, held) for (module, name), kind in zip(holders, kinds)]
