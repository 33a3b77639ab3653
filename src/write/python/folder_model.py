import importlib
import re
from typing import Any

import torch
import transformers
from torch import Tensor, nn

from .expert_stack import ExpertStack
from .folder_layers import LowRankLayer, Product, _compute, _low_rank_class
from .folder_apart import Apart, _load_apart
from .folder_merge import Merge, Part, Shapes, _sources
from .folder_names import Names, _register
from .folder_stacks import _stack
from .folder_two import FACTORS, _hold


class LowRankModel:
    """Makes layers of a model low-rank as `config.rankscope` says; it precedes the model's class."""

    def __init__(self, config: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(config, *args, **kwargs)
        if getattr(config, "rankscope", None):
            _insert(self, config.rankscope)

    @classmethod
    def is_custom_code(cls) -> bool:
        """Whether the code of the model itself is not that of transformers.

        For custom code, transformers does not compute buffers that a module fills for the modules inside it.
        """
        return not next(each for each in cls.__mro__ if _is_made_of(each)).__module__.startswith("transformers.")


def _is_made_of(cls: type) -> bool:
    return issubclass(cls, nn.Module) and not issubclass(cls, LowRankModel)


def low_rank(stock: type[nn.Module], auto: str, model_type: str | None = None) -> type[nn.Module]:
    """The class of the model with low-rank layers, which the class `auto` of transformers opens.

    A class of transformers may belong to several model types, each with a configuration of its own.
    """
    if issubclass(stock, LowRankModel):
        return stock
    # In save_pretrained, transformers takes every class for a tokenizer that has the word in its name.
    name = f"LowRank{stock.__name__.replace('Tokenizer', 'Tokens')}"
    config = {} if model_type is None else {"config_class": transformers.CONFIG_MAPPING[model_type]}
    cls = type(name, (LowRankModel, stock), {"__module__": __name__, "__doc__": __doc__, **config})
    cls._stock_name = stock.__name__
    _register(cls)
    # Has save_pretrained copy this file; not every version of transformers sets it on loading.
    cls._auto_class = auto
    # config.json names the class so once the model is saved.
    globals()[name] = cls
    return cls


def stock_class(name: str | None, model_type: str) -> type[nn.Module]:
    """A class of transformers, not all of which are among its public names; without a name, the language model."""
    known = transformers.models.auto.modeling_auto
    name = name or known.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.get(model_type) or known.MODEL_MAPPING_NAMES[model_type]
    if (found := getattr(transformers, name, None)) is not None:
        return found
    config = transformers.CONFIG_MAPPING[model_type]
    return getattr(importlib.import_module(config.__module__.replace(".configuration_", ".modeling_")), name)


def base_class(model: type[nn.Module]) -> type[nn.Module]:
    """The class that `AutoModel` uses for the configuration of `model`, or `model` if there is none other."""
    model_type = model.config_class.model_type
    known = transformers.models.auto.modeling_auto.MODEL_MAPPING_NAMES.get(model_type)
    known = known if known is None or isinstance(known, str) else known[0]
    is_base = known is None or known in [each.__name__ for each in model.__bases__]
    return model if is_base else stock_class(known, model_type)


def _insert(model: nn.Module, plan: dict[str, Any]) -> None:
    """Replaces the weights named in the plan, which are empty or random, by room for their factors."""
    _register(type(model))
    names = Names(model)
    transposed, merged = set(plan.get("transposed", ())), {}
    paths: dict[str, str] = {}
    lost = []
    for name, rank in plan["ranks"].items():
        stem = name.removesuffix(".weight")
        renamed, made, located = names.place(name)
        if located is None:
            lost.append(name)
        elif made is not None:
            merged.setdefault(located, (made[2], made[0], {}))[2][renamed] = (stem, rank, name in transposed)
        else:
            stem = names.renamed(f"{stem}.{FACTORS[0]}").removesuffix(f".{FACTORS[0]}")
            paths[name] = names.beside(stem, located, renamed)
            _replace(model, located, paths[name], rank, name in transposed)
    for name, stack in plan.get("stacks", {}).items():
        renamed, made, located = names.place(name)
        if located is None:
            lost.append(name)
        elif made is not None:
            merged.setdefault(located, (made[2], made[0], {}))[2][renamed] = (name, stack["ranks"], stack["transposed"])
        else:
            path, _, attribute = located.rpartition(".")
            module = model.get_submodule(path)
            _stack(located, module._parameters[attribute], **stack).replace(module, attribute)
    # A base model alone lacks the head.
    if lost and not type(model).__name__.endswith("Model"):
        raise ValueError(f"{type(model).__name__} has no {lost[0]}, for which config.json gives a rank")
    loaded = Apart()
    for located, group in merged.items():
        _merge(model, names, loaded, located, *group)
    if loaded.kept or loaded.moved:
        _load_apart(model, names, loaded)
    _share(model, {paths[name]: paths[first] for name, first in plan.get("shared", {}).items() if name in paths})


def _share(model: nn.Module, shared: dict[str, str]) -> None:
    """Gives layers the factor A of others, which the file has once."""
    tied = {}
    for path, first in shared.items():
        model.get_submodule(path).lowrank_a = model.get_submodule(first).lowrank_a
        tied[f"{path}.lowrank_a.weight"] = f"{first}.lowrank_a.weight"
    if not tied:
        return
    known = model._tied_weights_keys or {}
    if isinstance(known, dict):
        model._tied_weights_keys = {**known, **{re.escape(name): re.escape(same) for name, same in tied.items()}}
    else:  # Before 5.0, names alone.
        model._tied_weights_keys = [*known, *map(re.escape, tied)]
    if hasattr(model, "all_tied_weights_keys"):
        model.all_tied_weights_keys = {**model.all_tied_weights_keys, **tied}


def _replace(model: nn.Module, located: str, stem: str, rank: int, is_transposed: bool) -> None:
    """Makes the layer with the weight `located` low-rank."""
    path, _, attribute = located.rpartition(".")
    layer = model.get_submodule(path)
    weight = layer._parameters[attribute]
    shape = _matrix_shape(weight, is_transposed)
    kind = _low_rank_class(layer)
    if kind is not None and attribute == "weight" and stem == path:
        made = kind(layer, shape, rank)
        for module in list(model.modules()):
            for name, child in module._modules.items():
                if child is layer:
                    module._modules[name] = made
        return
    product = Product(weight.shape, is_transposed)
    if stem == path:
        _hold(layer, shape, rank, weight)
        _compute(layer, attribute, product)
    else:
        holder = _holder(model, stem)
        _hold(holder, shape, rank, weight)
        _compute(layer, attribute, Elsewhere(holder, product))


class Elsewhere:
    """A weight whose factors are in another module."""

    def __init__(self, holder: nn.Module, product: Product) -> None:
        self.holder, self.product = holder, product

    def __call__(self, _: nn.Module) -> Tensor:
        return self.product(self.holder)


def _merge(
    model: nn.Module,
    names: Names,
    apart: Apart,
    located: str,
    converter: Any,
    first: str,
    planned: dict[str, tuple[str, int | list[int | None], bool]],
) -> None:
    """Has a weight computed of the parts in the checkpoint; adds those that transformers must not merge to `apart`."""
    targets = [located.replace(converter.target_patterns[0], other) for other in converter.target_patterns]
    parts: dict[str, list[Part]] = {}
    like = names.state[located]
    for source, (pattern, shape) in _sources(names, converter, targets).items():
        stem, rank, is_transposed = planned.pop(source, (None, 0, False))
        is_stack = isinstance(rank, list)
        path = source if is_stack else source.removesuffix(".weight")
        # What a converter would take for the weight is loaded under its own name.
        factor = f"experts.0.{FACTORS[0]}" if is_stack else FACTORS[0]
        if stem is not None and names.converter(f"{path}.{factor}") is not None:
            path = apart.move(stem, is_stack) if names.is_renamed_on_saving(f"{stem}.{factor}") else stem
        if is_stack:
            stack = _stack(source, torch.empty(shape, dtype=like.dtype, device=like.device), rank, is_transposed)
            holder = _holder(model, path, stack)
            parts.setdefault(pattern, []).append(Part(holder, ExpertStack.product))
            continue
        holder = _holder(model, path)
        if stem is None:
            apart.kept.append(path)
            holder.kept = nn.Parameter(torch.empty(shape, dtype=like.dtype, device=like.device))
            parts.setdefault(pattern, []).append(Part(holder, None))
        else:
            _hold(holder, _matrix_shape(torch.empty(shape, device="meta"), is_transposed), rank, like)
            parts.setdefault(pattern, []).append(Part(holder, Product(shape, is_transposed)))
    if planned:
        raise ValueError(f"{next(iter(planned))} is not among what transformers makes {located} of")
    shapes = Shapes(
        {
            first.replace(converter.target_patterns[0], other): names.state[target].to("meta")
            for other, target in zip(converter.target_patterns, targets)
        }
    )
    for target in targets:
        path, _, attribute = target.rpartition(".")
        _compute(model.get_submodule(path), attribute, Merge(converter, first, target, parts, shapes, model.config))


def _holder(model: nn.Module, path: str, made: nn.Module | None = None) -> nn.Module:
    """The module at `path`; where there is none, `made` or an empty one."""
    module = model
    *parents, last = path.split(".")
    for part, new in [*((parent, None) for parent in parents), (last, made)]:
        if part not in module._modules:
            if hasattr(module, part):
                raise ValueError(f"{path}: {part} is no module, so that there is no place for its factors")
            module._modules[part] = nn.Module() if new is None else new
        module = module._modules[part]
    return module


def _matrix_shape(weight: Tensor, is_transposed: bool) -> tuple[int, int]:
    """[out, in]; further sizes of a kernel belong to the inputs."""
    if is_transposed:
        return weight.shape[-1], weight[..., 0].numel()
    return weight.shape[0], weight[0].numel()
