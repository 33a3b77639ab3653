"""Cases of the layers that stand by themselves, against truncated decompositions by numpy in f64.

usage: layer_cases.py CODE CODE3 CASE...; CODE has the layers with two factors, CODE3 those with three
Prints {CASE: null, or how it failed}
"""

import copy
import importlib.util
import json
import pickle
import sys
import traceback

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


def load_code(path: str, name: str):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def best(matrix: torch.Tensor, rank: int) -> torch.Tensor:
    """The best approximation of this rank (Eckart and Young), by numpy."""
    u, s, v = np.linalg.svd(matrix.detach().double().numpy(), full_matrices=False)
    return torch.from_numpy(u[:, :rank] * s[:rank] @ v[:rank])


def same(left: torch.Tensor, right: torch.Tensor, tolerance: float = 1e-5) -> None:
    assert left.shape == right.shape, (left.shape, right.shape)
    difference = float((left.double() - right.double()).abs().max() / left.double().abs().max())
    assert difference <= tolerance, difference


def refuses(error: type[Exception], make, *words: str) -> None:
    try:
        make()
    except error as raised:
        for word in words:
            assert word in str(raised), (word, str(raised))
    else:
        raise AssertionError("it is accepted")


def lives(layer: nn.Module, x: torch.Tensor, exported: bool = True) -> None:
    """A layer runs the same when it is copied, saved, compiled, exported, halved and on the device meta, and is trained."""
    expected = layer(x)
    same(expected, copy.deepcopy(layer)(x))
    same(expected, pickle.loads(pickle.dumps(layer))(x))
    other = copy.deepcopy(layer)
    for parameter in other.parameters():
        nn.init.normal_(parameter)
    other.load_state_dict(layer.state_dict())
    same(expected, other(x))
    same(expected, torch.compile(layer, backend="eager", fullgraph=True)(x))
    if exported:
        program = torch.export.export(layer.eval(), (x,), dynamic_shapes=({0: torch.export.Dim.AUTO},))
        twice = torch.cat([x, x])
        same(layer(twice), program.module()(twice))
    half = copy.deepcopy(layer).half()
    assert {parameter.dtype for parameter in half.parameters()} == {torch.float16}
    same(expected, half(x.half() if x.is_floating_point() else x), 0.02)
    same(expected, copy.deepcopy(layer).bfloat16()(x.bfloat16() if x.is_floating_point() else x), 0.1)
    assert copy.deepcopy(layer).to("meta")(x.to("meta")).shape == expected.shape
    layer(x).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in layer.parameters())


def linear():
    for module, cls in ((two, "LowRankLinear"), (three, "SVDLinear")):
        dense = nn.Linear(12, 9)
        before = dense.weight.clone()
        low = getattr(module, cls).from_linear(dense, 4)
        x = torch.randn(3, 5, 12)
        same(F.linear(x.double(), best(dense.weight, 4), dense.bias.double()), low(x))
        assert torch.equal(before, dense.weight) and low.bias is not dense.bias
        assert type(low).__name__ == cls and isinstance(low, nn.Linear) and (low.in_features, low.rank) == (12, 4)
        assert "rank=4" in repr(low) and "in_features=12" in repr(low)
        assert sum(parameter.numel() for parameter in low.parameters()) == 4 * (12 + 9) + 9 + (4 if cls == "SVDLinear" else 0)
        lives(low, x)
    assert set(two.LowRankLinear.from_linear(nn.Linear(4, 4, bias=False), 2).state_dict()) == {
        "lowrank_a.weight",
        "lowrank_b.weight",
    }
    assert set(three.SVDLinear.from_linear(nn.Linear(4, 4), 2).state_dict()) == {"svd_u", "svd_s", "svd_v", "bias"}
    whole = two.LowRankLinear.from_linear(nn.Linear(6, 4), 4)
    same(whole.weight, best(whole.weight, 4))


def linear_in_other_types():
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.bfloat16, 0.03), (torch.float16, 0.01)):
        dense = nn.Linear(16, 10).to(dtype).requires_grad_(False)
        low = two.LowRankLinear.from_linear(dense, 5)
        assert {parameter.dtype for parameter in low.parameters()} == {dtype}
        assert not any(parameter.requires_grad for parameter in low.parameters())
        same(best(dense.weight, 5), low.weight, tolerance)


def made_without_a_layer():
    for cls in (two.LowRankLinear, three.SVDLinear):
        torch.manual_seed(0)
        low, dense = cls(256, 128, 48), nn.Linear(256, 128)
        lives(low, torch.randn(2, 256))
        # The same variance as nn.Linear starts with, within the noise of a random product.
        assert 0.8 < float(low.weight.var() / dense.weight.var()) < 1.25
        low.load_state_dict(cls.from_linear(dense, 48).state_dict())
        same(best(dense.weight, 48), low.weight)
        assert cls(4, 4, 2, bias=False).bias is None and cls(4, 4, 2, device="meta", dtype=torch.float16).weight.is_meta


def convolutions():
    for dense, x in [
        (nn.Conv1d(3, 8, 5, stride=2, padding=1), torch.randn(2, 3, 17)),
        (nn.Conv2d(3, 8, 3, padding=1, bias=False), torch.randn(2, 3, 9, 9)),
        (nn.Conv2d(4, 8, (3, 2), dilation=2, padding="same", padding_mode="circular"), torch.randn(2, 4, 9, 9)),
        (nn.Conv3d(2, 6, 2), torch.randn(2, 2, 4, 4, 4)),
    ]:
        low = two.LowRankConv.from_conv(dense, 4)
        twin = copy.deepcopy(dense)
        with torch.no_grad():
            twin.weight.copy_(best(dense.weight.flatten(1), 4).reshape(dense.weight.shape))
        same(twin(x), low(x))
        assert low.lowrank_a.weight.shape == (4, dense.weight[0].numel()) and low.stride == dense.stride
        lives(low, x)
    refuses(TypeError, lambda: two.LowRankConv.from_conv(nn.Conv2d(4, 4, 3, groups=2), 2), "Conv2d")


def conv1d_of_transformers():
    from transformers.pytorch_utils import Conv1D

    dense, x = Conv1D(9, 12), torch.randn(3, 12)
    nn.init.normal_(dense.bias)
    low = two.LowRankConv1D.from_conv1d(dense, 4)
    same(x.double() @ best(dense.weight, 4) + dense.bias.double(), low(x))
    lives(low, x)


def embeddings():
    dense, ids = nn.Embedding(20, 8, padding_idx=0), torch.tensor([[1, 0, 19], [4, 4, 0]])
    low = two.LowRankEmbedding.from_embedding(dense, 3)
    same(best(dense.weight, 3)[ids], low(ids))
    assert low.padding_idx == 0 and low(ids)[0, 1].abs().max() == 0
    lives(low, ids)


def fused():
    from transformers.pytorch_utils import Conv1D

    sizes, ranks, x = [6, 4, 4], [3, 2, None], torch.randn(2, 3, 10)
    for module in (two, three):
        for dense in (nn.Linear(10, 14), nn.Linear(10, 14, bias=False), Conv1D(14, 10)):
            matrix = dense.weight.T if isinstance(dense, Conv1D) else dense.weight
            parts = [best(rows, rank or 4) for rows, rank in zip(matrix.split(sizes), ranks)]
            low = module.FusedLowRankLinear.from_linear(dense, sizes, ranks)
            bias = None if dense.bias is None else dense.bias.double()
            same(F.linear(x.double(), torch.cat(parts), bias), low(x))
            assert low.weight.shape == dense.weight.shape and low.rank == (3, 2, None)
            lives(low, x)
    make = two.FusedLowRankLinear.from_linear
    refuses(ValueError, lambda: make(nn.Linear(10, 14), [6, 4], [3, 2]), "14 outputs")
    refuses(ValueError, lambda: make(nn.Linear(10, 14), sizes, [3, 2]), "14 outputs")
    refuses(TypeError, lambda: make(nn.Embedding(10, 14), sizes, ranks), "Embedding")


class AllExperts(nn.Module):
    def __init__(self, experts):
        super().__init__()
        self.experts = experts

    def forward(self, x):
        return sum(self.experts(x, e) for e in range(len(self.experts)))


def experts():
    weight, x = nn.Parameter(torch.randn(3, 6, 10)), torch.randn(5, 10)
    for ranks in (2, [1, 4, None]):
        each = [2] * 3 if ranks == 2 else [1, 4, 6]
        wanted = torch.stack([best(matrix, rank) for matrix, rank in zip(weight, each)])
        low = two.LowRankExperts.from_stack(weight, ranks)
        same(wanted, low.product())
        for e in (0, 1, torch.tensor(2)):
            same(x.double() @ wanted[e].T, low(x, int(e)))
            same(x.double() @ wanted[e].T, F.linear(x, low[e]))
            same(x.double() @ wanted[e].T, x @ low[e].T)
            same(x.double() @ wanted[e].T + 1, F.linear(x, low[e], torch.ones(6)))
            # What the factors do not compute, the product does.
            same(wanted[e] * 2 + wanted[e], 2 * low[e] + low[e])
            same(wanted[e] @ torch.ones(10).double(), low[e] @ torch.ones(10))
            same(torch.einsum("ti,oi->to", x.double(), wanted[e]), torch.einsum("ti,oi->to", x, low[e]))
        batch = torch.randn(3, 5, 10)
        same(torch.bmm(batch.double(), wanted.mT), torch.bmm(batch, low.transpose(1, 2)))
        same(wanted[[0, 2]], low[[0, 2]])
        assert (low.shape, low.dtype, low[1].shape) == ((3, 6, 10), torch.float32, (6, 10))
        turned = two.LowRankExperts.from_stack(weight.mT, ranks, turned=True)
        same(x.double() @ wanted[1].T, x @ turned[1])
        assert turned.shape == (3, 10, 6)
        same(wanted.mT, turned.product())
        # The factors of an expert compute fewer products than the matrix has entries.
        from torch.utils.flop_counter import FlopCounterMode

        with FlopCounterMode(display=False) as counter:
            F.linear(x, low[0])
        assert counter.get_total_flops() == 2 * 5 * each[0] * (6 + 10)

        lives(AllExperts(copy.deepcopy(low)), x)
    refuses(ValueError, lambda: two.LowRankExperts.from_stack(weight, [1, 2]), "2 ranks")


def factorized_models():
    class Experts(nn.Module):
        def __init__(self):
            super().__init__()
            self.down = nn.Parameter(torch.randn(3, 8, 8))

        def forward(self, x):
            return sum(F.linear(x, self.down[e]) for e in range(3))

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.qkv, self.experts = nn.Embedding(20, 8), nn.Linear(8, 24), Experts()
            self.layers = nn.ModuleList([nn.Linear(8, 8), nn.Linear(8, 8)])
            self.head = nn.Linear(8, 20, bias=False)
            self.head.weight = self.embed.weight

        def forward(self, ids):
            x = self.qkv(self.embed(ids)).unflatten(-1, (3, 8)).prod(-2)
            return self.head(self.experts(self.layers[1](self.layers[0](x))))

    torch.manual_seed(0)
    dense, ids = Model(), torch.tensor([[1, 0, 19]])
    model = copy.deepcopy(dense)
    names = {name: id(module) for name, module in model.named_modules()}
    ranks = {"embed.weight": 5, "layers.0": 3, "qkv": [(8, 2), (8, 3), (8, None)], "experts.down": [2, 3, None]}
    assert two.factorize(model, ranks) is model
    assert {name: id(module) for name, module in model.named_modules() if name in names} == names
    assert [type(each).__name__ for each in (model.embed, model.head, model.qkv, model.layers[0], model.layers[1])] == [
        "LowRankEmbedding",
        "LowRankLinear",
        "FusedLowRankLinear",
        "LowRankLinear",
        "Linear",
    ]
    assert model.embed.lowrank_a.weight is model.head.lowrank_a.weight
    with torch.no_grad():
        dense.embed.weight.copy_(best(dense.embed.weight, 5))
        dense.layers[0].weight.copy_(best(dense.layers[0].weight, 3))
        for rows, rank in zip(dense.qkv.weight.split(8), (2, 3, 8)):
            rows.copy_(best(rows, rank))
        for matrix, rank in zip(dense.experts.down, (2, 3, 8)):
            matrix.copy_(best(matrix, rank))
    same(dense(ids), model(ids), 1e-4)
    model(ids).sum().backward()
    again = copy.deepcopy(Model())
    state = {name: value.clone() for name, value in again.state_dict().items()}
    for wrong, error, word in [
        ({"layers.0": 3, "layers.7": 3}, KeyError, "layers.7"),
        ({"layers.0": 3, "layers.1": 9}, ValueError, "layers.1: rank 9"),
        ({"layers.0": 3, "layers.1": 0}, ValueError, "layers.1: rank 0"),
        ({"layers.0": 3, "head": [(10, 2), (10, 2)]}, TypeError, "share"),
    ]:
        refuses(error, lambda: two.factorize(again, wrong), word)
        assert state.keys() == again.state_dict().keys()


def what_cannot_be_low_rank():
    class Doubled(nn.Linear):
        def forward(self, x):
            return 2 * super().forward(x)

    refuses(TypeError, lambda: two.LowRankLinear.from_linear(Doubled(4, 4), 2), "Doubled")
    refuses(TypeError, lambda: two.LowRankLinear.from_linear(nn.Embedding(4, 4), 2), "Embedding")
    refuses(ValueError, lambda: two.LowRankLinear.from_linear(nn.Linear(4, 3), 4), "between 1 and 3")
    refuses(ValueError, lambda: two.LowRankLinear.from_linear(nn.Linear(4, 3, device="meta"), 2), "meta")
    refuses(TypeError, lambda: two.LowRankLinear.from_linear(two.LowRankLinear(4, 4, 2), 2), "LowRankLinear")


if __name__ == "__main__":
    torch.set_num_threads(1)
    two, three = load_code(sys.argv[1], "two"), load_code(sys.argv[2], "three")
    outcome = {}
    for case in sys.argv[3:]:
        try:
            torch.manual_seed(1)
            globals()[case]()
            outcome[case] = None
        except Exception:
            outcome[case] = traceback.format_exc()
    print(json.dumps(outcome))
