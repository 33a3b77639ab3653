import torch
from torch import Tensor, nn

from .cut_layers import Group, become_low_rank, exact, inputs_of, matrix_of
from .blocks import Call
from .triplets import leading


@torch.no_grad()
def truncate(
    block: nn.Module, dense: nn.Module, stages: list[list[Group]], ranks: dict[str, int], calls: list[Call],
    dense_calls: list[Call], tokens: int, ridge: float
) -> None:
    """Cuts layers of `block` to their ranks, each on its inputs behind the layers that were cut before it.

    W' is what gives on the inputs X' of the compressed model what W gives on X (AA-SVD).
    """
    for stage in stages:
        chosen = [group for group in stage if any(path in ranks for path in group.layers)]
        moments = moments_of(block, dense, chosen, calls, dense_calls, tokens) if chosen else {}
        for group in chosen:
            for path in group.layers:
                if path in ranks:
                    layer = block.get_submodule(path)
                    weight = matrix_of(layer)
                    factors = truncated(weight, *moments[group.layers[0]], ranks[path], ridge)
                    become_low_rank(layer, *(each.to(weight) for each in factors))


def moments_of(
    block: nn.Module, dense: nn.Module, groups: list[Group], calls: list[Call], dense_calls: list[Call], tokens: int
) -> dict[str, tuple[Tensor, Tensor]]:
    """X X'^T and X' X'^T (n x n, f64) of each group, by its first layer.

    An expert gets other tokens in the compressed model than in the dense one; there X' stands for X.
    """
    sums: dict[str, tuple[Tensor, Tensor]] = {}
    routed = {group.layers[0] for group in groups if group.tokens != tokens}
    paired = [group for group in groups if group.layers[0] not in routed]
    for call, dense_call in zip(calls, dense_calls):
        theirs = inputs_of(dense, paired, dense_call) if paired else {}
        for path, own in inputs_of(block, groups, call).items():
            x = own if path in routed else theirs[path]
            cross, square = sums.get(path, (0, 0))
            sums[path] = cross + x.T @ own, square + own.T @ own
    for group in groups:
        if group.layers[0] not in sums:
            # No token reaches an expert any more: all inputs count alike.
            identity = torch.eye(matrix_of(block.get_submodule(group.layers[0])).shape[1], dtype=torch.float64)
            sums[group.layers[0]] = identity, identity
    return sums


def truncated(weight: Tensor, cross: Tensor, own: Tensor, rank: int, ridge: float) -> tuple[Tensor, Tensor]:
    """B (m x k) and A (k x n) of [W C R^-1/2]_k R^-1/2, with C = X X'^T and R = X' X'^T, in f64.

    Both get `ridge` times the mean of R's diagonal, which pulls W' to W where tokens are few. The inverse is truncated;
    the factors are balanced: column k of B and row k of A have the same norm.
    """
    pull = ridge * own.diagonal().mean() * torch.eye(len(own), dtype=own.dtype, device=own.device)
    values, vectors = torch.linalg.eigh(own + pull)
    sound = values > 1e-9 * values[-1]
    root = vectors[:, sound] * values[sound].rsqrt()
    u, s, v = leading(exact(weight).to(own.device) @ (cross + pull) @ root, rank)
    return balanced(u * s, v @ root.T)


def balanced(b: Tensor, a: Tensor) -> tuple[Tensor, Tensor]:
    scale = (b.norm(dim=0) / a.norm(dim=1)).sqrt()
    scale = torch.where(scale.isfinite() & (scale > 0), scale, 1)
    return b / scale, a * scale[:, None]
