import torch
from torch import Tensor


def leading(weight: Tensor, rank: int) -> tuple[Tensor, Tensor, Tensor]:
    """The leading singular triplets U (m x k), S (k), V (k x n): W V^T V is the best approximation of rank k.

    The eigenvectors of the smaller Gram matrix in f64 are as good for that as a decomposition of W, and much faster.
    """
    if weight.shape[0] < weight.shape[1]:
        v, s, u = leading(weight.T, rank)
        return u.T, s, v.T
    exact = weight.to("cpu" if weight.device.type == "mps" else weight.device, torch.float64)
    vectors = torch.linalg.eigh(exact.T @ exact).eigenvectors.flip(1)[:, :rank]
    scaled = exact @ vectors
    s = scaled.norm(dim=0)
    u = scaled / s.clamp(min=torch.finfo(torch.float64).tiny)
    return u.to(weight), s.to(weight), vectors.T.to(weight)
