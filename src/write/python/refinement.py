import math
from typing import Any

import torch
from torch import Tensor, nn

from .blocks import Call
from .truncation import balanced
from .two_factors import LowRank


def refine(
    block: nn.Module, norms: list[str], calls: list[Call], targets: list[Tensor], held_calls: list[Call],
    held_targets: list[Tensor], steps: int, rate: float
) -> dict[str, Any]:
    """Trains the factors and these norms of a block together, so that it gives the targets, and says what became of it.

    Adam with a cosine schedule behind a short rise, a batch a step. The best step on windows that are not trained on is kept; where none is
    better than before, the block stays as it was.
    """
    low_rank = [module for module in block.modules() if isinstance(module, LowRank)]
    factors = [part for module in low_rank for part in (module.lowrank_b.weight, module.lowrank_a.weight)]
    trained = [*factors, *(block.get_parameter(path) for path in norms)]
    before = held_out_loss(block, held_calls, held_targets)
    if not math.isfinite(before):
        reason = "its error is not finite before any step"
        return {"losses": [], "before": None, "after": None, "refined": False, "reason": reason}
    start = kept = [each.detach().clone() for each in trained]
    best, losses, reason = before, [], None
    for each in trained:
        each.requires_grad_(True)
    optimizer = torch.optim.Adam(trained, lr=rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda taken: share_of_rate(taken, steps))
    for step in range(steps):
        at = step % len(calls)
        optimizer.zero_grad()
        with torch.enable_grad():
            loss = relative_error(calls[at].run(block), targets[at])
            loss.backward()
        if not all(each.grad is None or torch.isfinite(each.grad).all() for each in trained):
            best, kept, reason = before, start, f"a gradient was not finite at step {step + 1}"
            break
        losses.append(loss.item())
        optimizer.step()
        schedule.step()
        if (step + 1) % -(-steps // 12) == 0 or step + 1 == steps:
            found = held_out_loss(block, held_calls, held_targets)
            if found < best:
                best, kept = found, [each.detach().clone() for each in trained]
    refined = best < before
    for each, value in zip(trained, kept):
        each.requires_grad_(False)
        each.data.copy_(value)
    for module in low_rank if refined else []:
        b, a = balanced(module.lowrank_b.weight.data, module.lowrank_a.weight.data)
        module.lowrank_b.weight.data, module.lowrank_a.weight.data = b, a
    if not refined and reason is None:
        reason = "no step was better on the held-out windows"
    return {"losses": losses, "before": before, "after": best, "refined": refined, "reason": reason}


def share_of_rate(taken: int, steps: int) -> float:
    """Rises over the first eighth of the steps, then falls along half a cosine.

    Adam's first steps move every entry by the whole rate, however small its gradient is.
    """
    rise = min(1.0, (taken + 1) / max(1, math.ceil(steps / 8)))
    return rise * (1 + math.cos(math.pi * taken / max(1, steps))) / 2


@torch.no_grad()
def held_out_loss(block: nn.Module, calls: list[Call], targets: list[Tensor]) -> float:
    errors = [relative_error(call.run(block), target).item() for call, target in zip(calls, targets)]
    return sum(errors) / len(errors)


def relative_error(found: Tensor, target: Tensor) -> Tensor:
    """The squared error of each token relative to the square of what it should be, as a mean over tokens.

    A few tokens have activations a thousand times as large as the others, and would be all that a sum of plain squares sees.
    """
    size = target.square().sum(-1)
    return ((found - target).square().sum(-1) / torch.where(size == 0, 1, size)).mean()
