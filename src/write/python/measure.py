import math
from typing import Any

import torch
from torch import Tensor, nn

from .command import Progress


@torch.no_grad()
def measure(
    models: list[nn.Module], names: list[str], windows: Tensor, batch: int | None
) -> tuple[list[Tensor], list[tuple[Tensor, Tensor]]]:
    """The loss of each scored token in each model, and KL(dense || variant) and equal top tokens for all but the first.

    The first position of a window is not scored.
    """
    losses: list[list[Tensor]] = [[] for _ in models]
    comparisons: list[list[tuple[Tensor, Tensor]]] = [[] for _ in models[1:]]
    progress = Progress(len(windows))
    for ids in windows.split(batch or max(1, 2048 // windows.shape[1])):
        ids = ids.to(models[0].device)
        targets = ids[:, 1:].flatten()
        dense = logits_of(models[0], names[0], ids)
        for k, (model, name) in enumerate(zip(models, names)):
            logits = logits_of(model, name, ids) if k > 0 else dense
            for first in range(0, len(targets), 256):  # All at once in f64 may be too large for the memory.
                rows = slice(first, first + 256)
                own = log_probabilities(logits[rows])
                losses[k].append(-own.gather(1, targets[rows, None])[:, 0].cpu())
                if k > 0:
                    of_dense = log_probabilities(dense[rows])
                    divergence = (of_dense.exp() * (of_dense - own)).sum(1).clamp(min=0)
                    comparisons[k - 1].append((divergence.cpu(), (own.argmax(1) == of_dense.argmax(1)).cpu()))
        progress.step(len(ids), "windows")
    joined = [tuple(torch.cat(parts) for parts in zip(*each)) for each in comparisons]
    return [torch.cat(each).double() for each in losses], joined


def logits_of(model: nn.Module, name: str, ids: Tensor) -> Tensor:
    """The logits for all tokens but the first of each window (tokens x vocabulary)."""
    logits = model(ids, use_cache=False).logits[:, :-1].flatten(0, 1)
    if not torch.isfinite(logits).all():
        raise SystemExit(f"{name}: a logit is not finite; nothing was written")
    return logits


def log_probabilities(logits: Tensor) -> Tensor:
    # Apple's GPUs have no f64.
    return torch.log_softmax(logits.to(torch.float32 if logits.device.type == "mps" else torch.float64), -1)


def score(losses: Tensor) -> dict[str, float]:
    loss = losses.mean().item()
    return {"perplexity": math.exp(loss), "loss": loss, "lossError": standard_error(losses)}


def compare(losses: Tensor, dense: Tensor, divergence: Tensor, same_top: Tensor) -> dict[str, Any]:
    """A variant beside the dense model, token by token."""
    difference, divergence = losses - dense, divergence.double().sort().values
    quantiles = {"median": 0.5, "q90": 0.9, "q99": 0.99, "max": 1}
    return {
        "difference": difference.mean().item(),
        "differenceError": standard_error(difference),
        "divergence": {
            "mean": divergence.mean().item(),
            **{name: quantile(divergence, share) for name, share in quantiles.items()},
        },
        "sameTop": same_top.double().mean().item(),
    }


def standard_error(values: Tensor) -> float:
    return values.std().item() / math.sqrt(len(values)) if len(values) > 1 else 0.0


def quantile(ordered: Tensor, share: float) -> float:
    """Of sorted values, between the two nearest; torch.quantile takes at most 16 million."""
    at = share * (len(ordered) - 1)
    below, above = ordered[math.floor(at)].item(), ordered[math.ceil(at)].item()
    return below + (above - below) * (at - math.floor(at))
