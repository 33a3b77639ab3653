from torch import Tensor, nn
from torch.nn import functional as F

from .own_code import _runs_only
from .two_factors import LowRank


class LowRankEmbedding(LowRank):
    """Looks up rows of B and multiplies them by A, in place of nn.Embedding."""

    @classmethod
    def from_embedding(cls, layer: nn.Embedding, rank: int) -> "LowRankEmbedding":
        """As `from_layer`. A row of zeros, as at `padding_idx`, stays one."""
        return cls.from_layer(layer, rank)

    def forward(self, ids: Tensor) -> Tensor:
        return F.linear(F.embedding(ids, self.up, self.padding_idx), self.down.T)

    @staticmethod
    def replaces(layer: nn.Module) -> bool:
        # The other options act on rows of the full matrix, or on their gradients.
        plain = _runs_only(layer, nn.Embedding) and layer.max_norm is None
        return plain and not layer.scale_grad_by_freq and not layer.sparse
