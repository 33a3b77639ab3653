import argparse
import copy
import json
import math
import os
import re
from typing import Any, NamedTuple

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from .checkpoint import _multiplied
from .command import Progress
from .loader import _float_type, _load, load_lowrank
from .model import stored_tensors
from .settings import CHECKPOINT, CUT, FACTOR_DTYPE, FILES, PLANS, RANKS, TIES
from .triplets import leading
from .two_factors import LowRank


class Variant(NamedTuple):
    model: nn.Module
    description: dict[str, Any]


def load_weights(model: nn.Module, path: str) -> nn.Module:
    """The model with the weights of a file, which may hold factors."""
    return load_lowrank(model, path)


def variants_of(args: argparse.Namespace, model: nn.Module, device: torch.device) -> list[Variant]:
    """The model with factors in the place of matrices: at each rank, by each plan, and as each file has it."""
    made = []
    state = stored_tensors(model, args.model) if RANKS or PLANS else {}
    cuts = [(dict.fromkeys(CUT, rank), 2) for rank in RANKS]
    cuts += [(plan["ranks"], plan["factors"]) for plan in PLANS]
    lacking = [name for cut, _ in cuts for name in cut if place_of(state, name)[0] not in state]
    if lacking:
        raise SystemExit(f"{args.model}: it has no {lacking[0]}; this script was written for another checkpoint")
    found = factors_of(state, cuts, device)
    for k, rank in enumerate(RANKS):
        factors, before, after, error = found[k]
        description = {"name": f"rank {rank}", "kind": "rank", "rank": rank, **sizes(before, after, error)}
        made.append(Variant(with_factors(model, state, factors, args.model), description))
    for plan, (factors, *_) in zip(PLANS, found[len(RANKS) :]):
        ranks = set(plan["ranks"].values())
        size = sizes(plan["before"], plan["after"], plan["error"])
        description = {"name": plan["name"], "kind": "plan", "rank": ranks.pop() if len(ranks) == 1 else None, **size}
        made.append(Variant(with_factors(model, state, factors, args.model), description))
    made += [from_file(model, path) for path in FILES]
    return made


def sizes(before: int, after: int, error: float) -> dict[str, Any]:
    """What a cut of `before` parameters to `after` means for the whole model."""
    whole = CHECKPOINT["parameters"] - before + after
    cut = {"parametersBefore": before, "parametersAfter": after, "keptShare": after / before if before else 1}
    share = whole / CHECKPOINT["parameters"]
    return {"size": {"cut": cut, "parametersOfModel": whole, "keptShareOfModel": share}, "predictedError": error}


def with_factors(
    model: nn.Module, state: dict[str, Tensor], factors: dict[str, tuple[Tensor, ...]], path: str
) -> nn.Module:
    """A copy of the model that has these factors, by the names of the checkpoint."""
    variant = hollow(model)
    dtype = _float_type(variant)
    products = {name: LowRank.product(*(part.float() for part in parts)).to(dtype) for name, parts in factors.items()}
    stored: dict[str, Tensor] = {}
    for name, product in products.items():
        tensor, expert = place_of(state, name)
        if expert is None:
            stored[tensor] = product.reshape(state[tensor].shape)
        else:
            stored.setdefault(tensor, state[tensor].to(dtype, copy=True))[expert] = product
    for tied in TIES:
        cut = next((name for name in tied if name in stored), None)
        stored.update({name: stored[cut] for name in tied if cut is not None and name in state})
    _load(variant, variant, (factors, products, {**state, **stored}), dtype, path)
    return shared(variant, model)


def place_of(state: dict[str, Tensor], name: str) -> tuple[str, int | None]:
    """The tensor that a matrix is, or the stack of experts and the number of one in it: `NAME[3]`."""
    expert = None if name in state else re.fullmatch(r"(.+)\[(\d+)\]", name)
    return (expert[1], int(expert[2])) if expert else (name, None)


def from_file(model: nn.Module, path: str) -> Variant:
    """A copy of the model with the weights of another file, which may hold factors."""
    variant = hollow(model)
    dtype = _float_type(variant)
    with safe_open(path, "pt") as file:
        metadata = file.metadata() or {}
    state = load_file(path)
    read = _multiplied(two_factors(state, path), metadata, path, variant, dtype)
    _load(variant, variant, read, dtype, path)
    whole = sum(tensor.numel() for tensor in state.values())
    size = {"cut": None, "parametersOfModel": whole, "keptShareOfModel": whole / CHECKPOINT["parameters"]}
    ranks = set(json.loads(metadata.get("rankscope.ranks", "{}")).values())
    rank = ranks.pop() if len(ranks) == 1 else None
    description = {"name": os.path.basename(path), "kind": "file", "rank": rank, "size": size, "predictedError": None}
    return Variant(shared(variant, model), description)


def two_factors(state: dict[str, Tensor], path: str) -> dict[str, Tensor]:
    """The tensors of a file, with two factors in the place of three: W = U diag(S) V is B A with B = U."""
    found = dict(state)
    for stem in [name.removesuffix(".svd_u") for name in state if name.endswith(".svd_u")]:
        parts = [found.pop(f"{stem}.{name}", None) for name in ("svd_u", "svd_s", "svd_v")]
        if any(part is None for part in parts):
            raise SystemExit(f"{path} is incomplete: {stem} lacks one of svd_u, svd_s, svd_v; write it again")
        u, s, v = (part.to(torch.promote_types(part.dtype, torch.float32)) for part in parts)
        found[f"{stem}.lowrank_a.weight"], found[f"{stem}.lowrank_b.weight"] = s[:, None] * v, u
    return found


def hollow(model: nn.Module) -> nn.Module:
    """A copy of the model without the memory of its parameters, into which other weights are loaded."""
    memo: dict[int, Any] = {}
    for parameter in model.parameters():
        memo[id(parameter)] = nn.Parameter(torch.empty_like(parameter, device="meta"), parameter.requires_grad)
    return copy.deepcopy(model, memo)


def shared(variant: nn.Module, model: nn.Module) -> nn.Module:
    """The variant with the parameters of the model wherever they are equal, so that the memory holds them once."""
    dense = dict(model.named_parameters(remove_duplicate=False))
    for path, module in variant.named_modules():
        for name, own in module._parameters.items():
            other = dense.get(f"{path}.{name}" if path else name)
            if own is not None and other is not None and own.shape == other.shape and torch.equal(own, other):
                module._parameters[name] = other
    return variant.eval()


@torch.no_grad()
def factors_of(
    state: dict[str, Tensor], cuts: list[tuple[dict[str, int], int]], device: torch.device
) -> list[tuple[dict[str, tuple[Tensor, ...]], int, int, float]]:
    """The factors of each cut (a rank for each matrix, and 2 or 3 factors), by truncated singular value decompositions.

    With the parameters of these matrices before and after, and the relative error: the root mean square over all by
    their sizes. A matrix that a rank does not make smaller stays dense. Factors are rounded as in a file.
    """
    names = list(dict.fromkeys(name for cut, _ in cuts for name in cut))
    made: list[dict[str, tuple[Tensor, ...]]] = [{} for _ in cuts]
    totals = [[0, 0, 0.0] for _ in cuts]
    progress = Progress(len(names))
    for name in names:
        tensor, expert = place_of(state, name)
        weight = state[tensor].flatten(1) if expert is None else state[tensor][expert]
        rows, cols = weight.shape
        dtype = getattr(torch, FACTOR_DTYPE) if FACTOR_DTYPE else weight.dtype
        dtype = dtype if dtype.itemsize > 1 else torch.bfloat16
        u, s, v = leading(weight.to(device, torch.float32), max(cut.get(name, 0) for cut, _ in cuts))
        energy = weight.to(device, torch.float32).square().sum().item()
        for (cut, factors), own, total in zip(cuts, made, totals):
            rank = cut.get(name)
            if rank is None:
                continue
            smaller = rank * (rows + cols + factors - 2) < rows * cols
            total[0] += rows * cols
            total[1] += rank * (rows + cols + factors - 2) if smaller else rows * cols
            if smaller:
                kept = s[:rank].double().cpu().square().sum().item()
                total[2] += rows * cols * max(0.0, 1 - kept / energy) if energy else 0
                root = s[:rank].sqrt()
                parts = (root[:, None] * v[:rank], u[:, :rank] * root)
                if factors == 3:
                    parts = (s[:rank].to(dtype).float()[:, None] * v[:rank].to(dtype).float(), u[:, :rank])
                own[name] = (parts[0].cpu() if factors == 3 else parts[0].to(dtype).cpu(), parts[1].to(dtype).cpu())
        progress.step(1, "matrices decomposed")
    errors = [math.sqrt(error / before) if before else 0.0 for before, _, error in totals]
    return [(own, before, after, error) for own, (before, after, _), error in zip(made, totals, errors)]
