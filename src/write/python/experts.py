from collections.abc import Sequence

from torch import Tensor

from .expert_stack import ExpertStack
from .rows import _truncated_rows


class LowRankExperts(ExpertStack):
    """A stack whose matrices are products of factors, each with a rank of its own, or dense."""

    @classmethod
    def from_stack(cls, weight: Tensor, ranks: int | Sequence[int | None], turned: bool = False) -> "LowRankExperts":
        """The best approximations of the matrices of a stack, of one rank for all or one for each; None is dense."""
        ranks = [ranks] * len(weight) if isinstance(ranks, int) else list(ranks)
        if weight.dim() != 3 or len(ranks) != len(weight):
            raise ValueError(f"{len(ranks)} ranks are not those of a stack of the shape {tuple(weight.shape)}")
        slices = weight.detach().mT if turned else weight.detach()
        return cls([_truncated_rows(rows, rank, weight) for rows, rank in zip(slices, ranks)], turned)
