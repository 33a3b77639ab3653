import functools
import os
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from .checkpoint import _read
from .experts import LowRankExperts
from .kinds import _kind
from .merged import _Merged, _MergedIndex
from .rows import _fused_rows, _turned_rows
from .truncated import _become
from .two_factors import LowRank
from .values import _described, _tensors, _values

# Factors and products by the names of the weights, and the checkpoint with the products in their places.
_Checkpoint = tuple[dict[str, tuple[Tensor, ...]], dict[str, Tensor], dict[str, Tensor]]
# The factors of a parameter: their name in the file, whether they are those of W^T there, and what they are made with.
_Key = tuple[str, bool, torch.dtype, torch.device, bool]


def load_lowrank(model: nn.Module, path: str | os.PathLike[str], prefix: str = "") -> nn.Module:
    """Loads the factorized checkpoint `path` into `model`, in place, and returns it.

    A layer becomes low-rank where calling it runs torch's own code and nothing else. Elsewhere (a class with a forward
    of its own, hooks, weights that transformers merges on loading) the product of the factors becomes the ordinary
    weight: a warning names these matrices, and `model.lowrank_dense` holds the reason for each.

    The names in the file are those of the original checkpoint; for a model of transformers, its `from_pretrained` maps
    them to the model's. Layers that share a weight share the factors. Parameters and factors have the model's device
    and dtype, whatever those in the file are; what is on "meta" moves to the CPU. `prefix` is the path of the submodule
    that the file describes, if `model` wraps it; the rest of `model` stays as it is. Make optimizers, and distribute
    the model, after loading.

    Raises KeyError if the file lacks a tensor of the model or has one that the model lacks, and ValueError if a shape
    differs or the model is of a kind that cannot be loaded. The model is then as it was.
    """
    part = _described(model, prefix, path)
    dtype = _float_type(part)
    return _load(model, part, _read(path, part, dtype), dtype, path)


def _float_type(part: nn.Module) -> torch.dtype:
    """The type that holds all numbers of the model."""
    floats = {tensor.dtype for tensor in _tensors(part).values() if tensor.is_floating_point()} or {torch.float32}
    return functools.reduce(torch.promote_types, floats)


def _load(
    model: nn.Module, part: nn.Module, read: _Checkpoint, dtype: torch.dtype, path: str | os.PathLike[str]
) -> nn.Module:
    """Loads what `_read` returns into `part` of `model`, as `load_lowrank` does."""
    factors, products, state = read
    wanted = _tensors(part)
    values = _values(part, wanted, state, dtype, path)
    layers, dense = _assign(model, wanted, values, products)
    shared: dict[Any, nn.Parameter] = {}
    made = {key: _parameters(factors[key[0]], key, shared) for key in set(layers.values())}
    others = {name: tensor for name, tensor in wanted.items() if id(tensor) not in layers}
    merged = _find_merged(model, others, values, {name: products[name] for name in dense})
    fused: dict[int, list[list[nn.Module]]] = {}
    for name, key, each in merged:
        own = _made_with(wanted[name])
        held = {rows: _parameters(factors[rows], (rows, False, *own), shared) for rows in each.names()}
        made |= {(rows, False, *own): parameters for rows, parameters in held.items()}
        fused[key] = each.layers(held, wanted[name])
        for rows in held:
            dense.pop(rows, None)
    stacks = {key: _stack(fused[key], each.turned) for name, key, each in merged if wanted[name].dim() == 3}

    # Everything has been checked, and nothing changed so far.
    replaced = layers.keys() | fused.keys()
    _copy(model, {name: tensor for name, tensor in wanted.items() if id(tensor) not in replaced}, values)
    for module in list(model.modules()):
        key = layers.get(id(module._parameters.get("weight")))
        if key is not None:
            _become(module, _kind(module), made[key])
        for name, parameter in list(module._parameters.items()):
            if id(parameter) in stacks:
                stacks[id(parameter)].replace(module, name)
            elif id(parameter) in fused:
                _become(module, _turned_rows(_kind(module), module), fused[id(parameter)][0])
    if len(shared) < sum(len(parameters) for parameters in made.values()):
        model._register_state_dict_hook(_apart)
    model.lowrank_dense = dense
    if dense:
        some = "; ".join(f"{name}: {reason}" for name, reason in list(dense.items())[:3])
        warnings.warn(
            f"{path}: {len(dense)} of {len(factors)} factorized matrices are held as dense products "
            f"(model.lowrank_dense lists them): {some}",
            stacklevel=3,
        )
    return model


def _assign(
    model: nn.Module, wanted: dict[str, Tensor], values: dict[str, Tensor], products: dict[str, Tensor]
) -> tuple[dict[int, _Key], dict[str, str]]:
    """Finds the parameters to replace by factors: those whose loaded value is B A or its transpose, bit for bit.

    Returns the factors of each parameter, by its id, and the reason why a matrix has none, by its name in the file.
    """
    index: dict[Any, list[tuple[str, bool]]] = {}
    for dtype in {value.dtype for value in values.values() if value.is_floating_point()}:
        for name, product in products.items():
            for turned in (False, True):
                index.setdefault(_corners(product.T if turned else product, dtype), []).append((name, turned))

    def find(matrix: Tensor, name: str) -> tuple[str, bool] | None:
        found = index.get(_corners(matrix, matrix.dtype), []) if matrix.numel() else []
        # Among equal matrices, such as two of zeros, that of the same name.
        for stored, turned in sorted(found, key=lambda each: (each[0] != name, each[0] in used)):
            product = products[stored].T if turned else products[stored]
            if torch.equal(product.to(matrix.dtype), matrix):
                return stored, turned
        return None

    holders: dict[int, list[tuple[nn.Module, str]]] = {}
    for module in model.modules():
        for attribute, parameter in module._parameters.items():
            holders.setdefault(id(parameter), []).append((module, attribute))

    layers: dict[int, _Key] = {}
    reasons: dict[str, str] = {}
    used: set[str] = set()
    for name, tensor in wanted.items():
        if values[name].dim() < 2 or id(tensor) not in holders or id(tensor) in layers:
            continue
        kinds = [_kind(module) if attribute == "weight" else None for module, attribute in holders[id(tensor)]]
        found = {find(kind.matrix(values[name]) if kind else values[name].flatten(1), name) for kind in kinds}
        stored, turned = found.pop() or (None, False)
        if stored is None:
            continue
        if None in kinds or found:
            module, _ = holders[id(tensor)][kinds.index(None) if None in kinds else 0]
            layer = f"{name} of {type(module).__name__}"
            reasons[stored] = f"it becomes {layer}, which has code of its own, hooks or no low-rank form"
            continue
        used.add(stored)
        layers[id(tensor)] = (stored, turned, *_made_with(tensor))
    merged = "on loading, it is merged with others, split or rearranged"
    return layers, {name: reasons.get(name, merged) for name in products if name not in used}


def _find_merged(
    model: nn.Module, wanted: dict[str, Tensor], values: dict[str, Tensor], products: dict[str, Tensor]
) -> list[tuple[str, int, _Merged]]:
    """Finds the parameters that are put together from several products: the name, the id and the parts of each."""
    holders: dict[int, list[tuple[nn.Module, str]]] = {}
    for module in model.modules():
        for attribute, parameter in module._parameters.items():
            holders.setdefault(id(parameter), []).append((module, attribute))
    indices: dict[torch.dtype, _MergedIndex] = {}
    found: dict[int, tuple[str, int, _Merged]] = {}
    for name, tensor in wanted.items():
        value, owners = values[name], holders.get(id(tensor), [])
        if not products or value.dim() not in (2, 3) or len(owners) != 1 or id(tensor) in found:
            continue
        module, attribute = owners[0]
        kind = _kind(module) if attribute == "weight" else None
        if (value.dim() == 2) != (kind is not None) or isinstance(module, nn.Embedding):
            continue
        if value.dtype not in indices:
            indices[value.dtype] = _MergedIndex(products, value.dtype)
        merged = indices[value.dtype].find(kind.matrix(value) if kind else value)
        if merged is not None and not (kind and merged.turned):
            found[id(tensor)] = name, id(tensor), merged
    return list(found.values())


def _stack(slices: list[list[nn.Module]], turned: bool) -> LowRankExperts:
    """The layers of each expert; where its rows have several, they are fused."""
    return LowRankExperts([parts[0] if len(parts) == 1 else _fused_rows(parts) for parts in slices], turned)


def _corners(matrix: Tensor, dtype: torch.dtype) -> tuple[Any, ...]:
    """A cheap key that equal matrices share."""
    return matrix.shape, dtype, matrix[0, 0].to(dtype).item(), matrix[-1, -1].to(dtype).item()


def _made_with(tensor: Tensor) -> tuple[torch.dtype, torch.device, bool]:
    """What the factors of a parameter are made with; what is on "meta" moves to the CPU."""
    return tensor.dtype, torch.device("cpu") if tensor.is_meta else tensor.device, tensor.requires_grad


def _parameters(factors: tuple[Tensor, ...], key: _Key, shared: dict[Any, nn.Parameter]) -> tuple[nn.Parameter, ...]:
    """The parameters of a layer; a factor that matrices share in the file becomes one parameter."""
    _, turned, *kind = key
    dtype, device, requires_grad = kind
    parameters = []
    for factor in LowRank.transposed(*factors) if turned else factors:
        same = (factor.data_ptr(), factor.shape, factor.stride(), *kind)
        if same not in shared:
            value = factor.contiguous().to(device, dtype, copy=True)
            shared[same] = nn.Parameter(value, requires_grad=requires_grad)
        parameters.append(shared[same])
    return tuple(parameters)


def _apart(model: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Has a saved model hold a shared factor under each of its names, since `save_pretrained` refuses shared memory."""
    seen: set[int] = set()
    for name, value in state.items():
        if ".lowrank_" not in name or isinstance(value, nn.Parameter):
            continue
        if value.data_ptr() in seen:
            state[name] = value.clone()
        seen.add(value.data_ptr())


@torch.no_grad()
def _copy(model: nn.Module, wanted: dict[str, Tensor], values: dict[str, Tensor]) -> None:
    """Copies the values into the tensors of the model; those without memory of their own are replaced in all places."""
    replaced: dict[int, Tensor] = {}
    for name, tensor in wanted.items():
        if not tensor.is_meta and 0 not in tensor.stride():
            tensor.copy_(values[name])
        elif id(tensor) not in replaced:
            device = "cpu" if tensor.is_meta else tensor.device
            value = values[name].detach().to(device, tensor.dtype, copy=True)
            is_parameter = isinstance(tensor, nn.Parameter)
            replaced[id(tensor)] = nn.Parameter(value, tensor.requires_grad) if is_parameter else value
    for module in model.modules():
        for table in (module._parameters, module._buffers):
            table.update({name: replaced[id(tensor)] for name, tensor in table.items() if id(tensor) in replaced})
