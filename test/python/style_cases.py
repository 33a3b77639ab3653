"""Files of other styles, loaded by the generated code and by classes with the names of those who published them.

usage: style_cases.py FOLDER; of it, it reads dense.safetensors, and for each style STYLE.safetensors and STYLE.py
Prints {STYLE: null, or how it failed}
"""

import importlib.util
import json
import sys
import traceback
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

FOLDER = Path(sys.argv[1])
IDS = torch.tensor([[1, 0, 5], [7, 2, 11]])
IMAGES = torch.randn(2, 3, 9, 9, generator=torch.Generator().manual_seed(0))


def load_code(path: Path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.q_proj, self.o_proj = nn.Linear(8, 12), nn.Linear(12, 8, bias=False)

    def forward(self, x):
        return self.o_proj(torch.tanh(self.q_proj(x)))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.attention = nn.Embedding(12, 8), Attention()
        self.fc1 = nn.Linear(8, 6)
        self.conv = nn.Conv2d(3, 8, 3, stride=2, padding=1)

    def forward(self, ids, images):
        return self.fc1(self.attention(self.embed(ids))), self.conv(images)


class SequentialNet(Net):
    """Written by hand as one would for such a file."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Sequential(nn.Embedding(12, 3), nn.Linear(3, 8, bias=False))
        self.attention.q_proj = nn.Sequential(nn.Linear(8, 3, bias=False), nn.Linear(3, 12))
        self.attention.o_proj = nn.Sequential(nn.Linear(12, 3, bias=False), nn.Linear(3, 8, bias=False))
        self.fc1 = nn.Sequential(nn.Linear(8, 3, bias=False), nn.Linear(3, 6))
        self.conv = nn.Sequential(nn.Conv2d(3, 3, 3, stride=2, padding=1, bias=False), nn.Conv2d(3, 8, 1))


class UVAttention(nn.Module):
    """The names of SVD-LLM's SVD_LlamaAttention: u behind v, the bias in u."""

    def __init__(self):
        super().__init__()
        self.q_u_proj, self.q_v_proj = nn.Linear(3, 12), nn.Linear(8, 3, bias=False)
        self.o_u_proj, self.o_v_proj = nn.Linear(3, 8, bias=False), nn.Linear(12, 3, bias=False)

    def forward(self, x):
        return self.o_u_proj(self.o_v_proj(torch.tanh(self.q_u_proj(self.q_v_proj(x)))))


class UVNet(Net):
    def __init__(self):
        super().__init__()
        self.attention = UVAttention()
        del self.fc1
        self.fc1_u_proj, self.fc1_v_proj = nn.Linear(3, 6), nn.Linear(8, 3, bias=False)

    def forward(self, ids, images):
        return self.fc1_u_proj(self.fc1_v_proj(self.attention(self.embed(ids)))), self.conv(images)


class ASVDLinear(nn.Module):
    """The names of ASVD's ASVDLinear: B first, the bias in A."""

    def __init__(self, in_features, out_features, rank, bias=True):
        super().__init__()
        self.BLinear = nn.Linear(in_features, rank, bias=False)
        self.ALinear = nn.Linear(rank, out_features, bias=bias)

    def forward(self, x):
        return self.ALinear(self.BLinear(x))


class ABNet(Net):
    def __init__(self):
        super().__init__()
        self.attention.q_proj = ASVDLinear(8, 12, 3)
        self.attention.o_proj = ASVDLinear(12, 8, 3, bias=False)
        self.fc1 = ASVDLinear(8, 6, 3)


def same(left, right, tolerance=1e-5):
    for one, other in zip(left, right, strict=True):
        assert one.shape == other.shape
        difference = float((one.double() - other.double()).abs().max() / other.double().abs().max())
        assert difference <= tolerance, difference


def truncated(ranks: dict[str, int]) -> Net:
    """The dense model with the best approximations by torch in f64."""
    state = load_file(FOLDER / "dense.safetensors")
    for name, rank in ranks.items():
        u, s, v = torch.linalg.svd(state[name].double().flatten(1), full_matrices=False)
        state[name] = ((u[:, :rank] * s[:rank]) @ v[:rank]).reshape(state[name].shape).float()
    net = Net()
    net.load_state_dict(state)
    return net.eval()


def case(style: str, by_hand: nn.Module) -> None:
    path, generated = FOLDER / f"{style}.safetensors", load_code(FOLDER / f"{style}.py")
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    assert metadata["rankscope.style"] == style
    ranks = json.loads(metadata["rankscope.ranks"])
    assert len(ranks) == (5 if style == "sequential" else 3), ranks
    expected = truncated(ranks)(IDS, IMAGES)
    dense = truncated({})(IDS, IMAGES)
    # What the factors change is far more than the tolerance.
    assert max(float((a - b).abs().max()) for a, b in zip(expected, dense)) > 0.01
    by_hand.load_state_dict(load_file(path), strict=True)
    same(by_hand.eval()(IDS, IMAGES), expected)

    torch.manual_seed(1)
    model = Net().eval()
    assert generated.load_lowrank(model, path) is model
    same(model(IDS, IMAGES), expected)
    assert model.state_dict().keys() == load_file(path).keys()
    again = Net().eval()
    torch.save(model.state_dict(), FOLDER / "state.pt")
    generated.load_lowrank(again, path)
    for parameter in again.parameters():
        nn.init.normal_(parameter)
    again.load_state_dict(torch.load(FOLDER / "state.pt"))
    same(again(IDS, IMAGES), expected)
    import copy

    same(copy.deepcopy(model)(IDS, IMAGES), expected)
    same(torch.compile(model, backend="eager")(IDS, IMAGES), expected)
    half = generated.load_lowrank(Net().eval().to(torch.bfloat16), path)
    assert {parameter.dtype for parameter in half.parameters()} == {torch.bfloat16}
    same(half(IDS, IMAGES.bfloat16()), expected, 0.1)
    sum(each.sum() for each in model(IDS, IMAGES)).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    misfits(generated, path)


def misfits(generated, path) -> None:
    class Doubled(nn.Linear):
        def forward(self, x):
            return 2 * super().forward(x)

    class Larger(Net):
        def __init__(self):
            super().__init__()
            self.extra = nn.Linear(2, 2)

    class Wider(Net):
        def __init__(self):
            super().__init__()
            self.fc1 = nn.Linear(8, 7)

    class Own(Net):
        def __init__(self):
            super().__init__()
            self.fc1 = Doubled(8, 6)

    with torch.device("meta"):
        empty = Net()
    for model, error, word in [
        (Larger(), KeyError, "extra.weight"),
        (Wider(), ValueError, "fc1"),
        (Own(), ValueError, "Doubled"),
        (empty, ValueError, "meta"),
        (Attention(), KeyError, "unknown"),
    ]:
        before = {name: value.clone() for name, value in model.state_dict().items()}
        try:
            generated.load_lowrank(model, path)
        except error as raised:
            assert word in str(raised) and str(path) in str(raised), str(raised)
        else:
            raise AssertionError(f"{type(model).__name__} loads")
        after = model.state_dict()
        assert before.keys() == after.keys()
        assert all(value.is_meta or torch.equal(before[name], value) for name, value in after.items())


if __name__ == "__main__":
    torch.set_num_threads(1)
    outcome = {}
    for style, net in (("sequential", SequentialNet), ("uv", UVNet), ("ab", ABNet)):
        try:
            case(style, net())
            outcome[style] = None
        except Exception:
            outcome[style] = traceback.format_exc()
    print(json.dumps(outcome))
