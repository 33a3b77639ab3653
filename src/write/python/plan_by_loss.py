import heapq
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .blocks import Blocks
from .command import Progress
from .cut_layers import Group, block_in_f32, groups_of, is_transposed, kind_of, matrix_of
from .triplets import leading


@dataclass
class Layer:
    """A layer that may be cut, and what a cut costs."""

    # Of its weight in the checkpoint, and of the layer in its block.
    name: str
    path: str
    # (out, in), and whether it is stored as (in, out).
    shape: tuple[int, int]
    transposed: bool
    # That reached it.
    tokens: int = 0
    # Of W X, descending, and the squared error of W' X for the best W' of each rank from 0 on; none without tokens.
    singular_values: list[float] | None = None
    tails: list[float] | None = None
    # KL(dense || cut) of the predictions with this layer alone cut to `measured_rank`.
    measured_rank: int = 0
    divergence: float = 0.0
    # Experts of a block are cut together for it; each then counts by the energy that it loses.
    measured_with: int = 1
    rank: int | None = None

    @property
    def break_even(self) -> float:
        m, n = self.shape
        return m * n / (m + n)

    def parameters(self) -> int:
        m, n = self.shape
        return m * n if self.rank is None else self.rank * (m + n)

    def error(self) -> float:
        """||(W - W') X|| / ||W X|| for the best W' of its rank."""
        lost = self.rank is not None and self.tails is not None and self.tails[0] > 0
        return math.sqrt(self.tails[self.rank] / self.tails[0]) if lost else 0.0


@torch.no_grad()
def measure_layers(blocks: Blocks, layers: list[list[Layer]], batches: list[Tensor], ids: Tensor) -> list[list[Group]]:
    """Fills in what a cut of each layer costs, and returns the groups of each block. `ids` are windows for the losses.

    A loss is measured at a tenth of the break-even rank (LEMS), starting from the stored input of the block.
    """
    dense = log_probabilities_of(blocks.logits(ids))
    progress = Progress(sum(map(len, layers)))
    found: list[list[Group]] = []
    stream: list[Tensor | None] = [None] * len(batches)
    for at, (block, own) in enumerate(zip(blocks.list, layers)):
        hidden = None if at == 0 else torch.cat(stream)[: len(ids)]
        if at == len(blocks.list) - 1:
            check_walk(dense, blocks.logits_from(at, ids, hidden), blocks.model)
        calls = [blocks.call(at, *each) for each in zip(batches, stream)]
        groups, stream = groups_of(block_in_f32(block), [layer.path for layer in own], calls)
        kinds: dict[str, list[tuple[Layer, Tensor]]] = {}
        for layer in own:
            group = next((each for each in groups if layer.path in each.layers), None)
            if group is not None:
                u = curve_of(layer, matrix_of(block.get_submodule(layer.path)), group)
                kinds.setdefault(kind_of(layer.path), []).append((layer, u))
        for together in kinds.values():
            cuts = [(block.get_submodule(layer.path), u) for layer, u in together]
            divergence = divergence_of(blocks, at, cuts, ids, hidden, dense)
            tails = [layer.tails[layer.measured_rank] for layer, _ in together]
            for (layer, _), tail in zip(together, tails):
                layer.divergence = divergence * tail / sum(tails) if tail > 0 else 0.0
                layer.measured_with = len(together)
        progress.step(len(own), "losses of a cut measured")
        for group in groups:
            group.moments = None
        found.append(groups)
    return found


def check_walk(dense: Tensor, again: Tensor, model: nn.Module) -> None:
    """Some models hand more from block to block than one hidden state."""
    again = log_probabilities_of(again)
    if not (again - dense).norm() <= 0.1 * (dense - dense.mean(-1, keepdim=True)).norm():
        raise SystemExit(f"{type(model).__name__} cannot be run from the hidden state before a block; nothing was written")


def curve_of(layer: Layer, weight: Tensor, group: Group) -> Tensor:
    """Fills in the errors by rank; returns the leading left singular vectors of W X (m x measured rank)."""
    values, vectors = torch.linalg.eigh(group.moments)
    root = vectors * values.clamp(min=0).sqrt()
    u, s, _ = leading(weight.to(root.device, torch.float64) @ root, min(layer.shape))
    s = s.sort(descending=True).values
    layer.tokens, layer.singular_values = group.tokens, s.tolist()
    layer.tails = [*s.square().flip(0).cumsum(0).flip(0).tolist(), 0.0]
    layer.measured_rank = max(1, int(0.1 * layer.break_even))
    return u[:, : layer.measured_rank]


def divergence_of(
    blocks: Blocks, at: int, cuts: list[tuple[nn.Module, Tensor]], ids: Tensor, hidden: Tensor | None, dense: Tensor
) -> float:
    """KL(dense || cut) with U U^T W in the place of W in these layers."""
    kept = [module.weight.data for module, _ in cuts]
    try:
        for module, u in cuts:
            weight = matrix_of(module)
            cut = u.to(weight) @ (u.T.to(weight) @ weight)
            module.weight.data = (cut.T if is_transposed(module) else cut).to(module.weight.dtype)
        own = log_probabilities_of(blocks.logits_from(at, ids, hidden))
    finally:
        for (module, _), weight in zip(cuts, kept):
            module.weight.data = weight
    return max(0.0, (dense.exp() * (dense - own)).sum(-1).mean().item())


def log_probabilities_of(logits: Tensor) -> Tensor:
    """Of all predictions that can be scored, in f32."""
    return torch.log_softmax(logits[:, :-1].float(), -1)


def spread_by_loss(layers: list[Layer], keep: float, floor: float) -> None:
    """Sets the ranks: the least loss that a share `keep` of the parameters allows, each curve scaled by its loss.

    No rank is below `floor` of break-even; None keeps a layer dense, which is one of the choices.
    """
    hulls: list[list[tuple[int, float, int | None]]] = []
    for layer in layers:
        m, n = layer.shape
        layer.rank = None
        if layer.tails is None:
            hulls.append([(m * n, 0.0, None)])
            continue
        tail = layer.tails[layer.measured_rank]
        scale = layer.divergence / tail if tail > 0 else 0.0
        last = int(layer.break_even)
        ranks = range(max(1, int(floor * last)), last + 1)
        hulls.append(hull([*((k * (m + n), scale * layer.tails[k], k) for k in ranks), (m * n, 0.0, None)]))
    at = [0] * len(hulls)
    room = keep * sum(m * n for m, n in (layer.shape for layer in layers)) - sum(points[0][0] for points in hulls)
    queue = [(slope(points, 0), k) for k, points in enumerate(hulls) if len(points) > 1]
    heapq.heapify(queue)
    while queue:
        _, k = heapq.heappop(queue)
        more = hulls[k][at[k] + 1][0] - hulls[k][at[k]][0]
        if more > room:
            continue
        room, at[k] = room - more, at[k] + 1
        if at[k] + 1 < len(hulls[k]):
            heapq.heappush(queue, (slope(hulls[k], at[k]), k))
    for layer, points, chosen in zip(layers, hulls, at):
        layer.rank = points[chosen][2]


def hull(points: list[tuple[int, float, int | None]]) -> list[tuple[int, float, int | None]]:
    """The lower convex hull of (size, loss, rank) by size: what more parameters gain falls along it."""
    found: list[tuple[int, float, int | None]] = []
    for point in points:
        if found and point[0] <= found[-1][0]:
            found.pop()  # Dense, where the factors of the break-even rank are as large.
        while len(found) > 1 and slope([found[-2], found[-1]], 0) >= slope([found[-2], point], 0):
            found.pop()
        found.append(point)
    return found


def slope(points: list[tuple[int, float, int | None]], at: int) -> float:
    (size, loss, _), (more, less, _) = points[at], points[at + 1]
    return (less - loss) / (more - size)
