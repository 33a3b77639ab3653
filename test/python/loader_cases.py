"""Cases of `load_lowrank` on models of plain torch, each with a file of random factors that is written here.

usage: loader_cases.py CODE CASE...; CODE is generated for two factors, with every kind of layer
Prints {CASE: null, or how it failed}
"""

import copy
import importlib.util
import json
import pickle
import sys
import tempfile
import traceback
import warnings
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file, save_model
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

FOLDER = Path(tempfile.mkdtemp())
FILE = FOLDER / "low.safetensors"
IDS = torch.tensor([[1, 0, 5], [7, 2, 0]])


def load_code(path: str):
    spec = importlib.util.spec_from_file_location("generated", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write(state: dict[str, torch.Tensor], names, rank=3, ties=None, turned=()) -> dict[str, torch.Tensor]:
    """Writes `state` with factors for `names`; those in `turned` are stored as (in, out). Returns it with the products."""
    written, dense, stored = {}, dict(state), {}
    for name in state:
        if name not in names:
            if name not in (ties or {}):
                written[name] = state[name].contiguous().clone()
            continue
        shape = state[name].shape
        matrix = state[name].T if name in turned else state[name].flatten(1)
        u, s, v = torch.linalg.svd(matrix.double(), full_matrices=False)
        b, a = (u[:, :rank] * s[:rank]).float(), v[:rank].float()
        stem = name.removesuffix(".weight")
        written[f"{stem}.lowrank_a.weight"], written[f"{stem}.lowrank_b.weight"] = a.contiguous(), b.contiguous()
        product = (b @ a).T if name in turned else b @ a
        dense[name] = product.reshape(shape).contiguous()
        if len(shape) != 2 or name in turned:
            stored[name] = {"shape": list(shape), "transposed": name in turned}
    metadata = {"format": "pt", "rankscope.stored": json.dumps(stored), "rankscope.ties": json.dumps(ties or {})}
    save_file(written, FILE, metadata)
    for name, same in (ties or {}).items():
        dense[name] = dense[same]
    return dense


def load(model: nn.Module, prefix: str = "") -> nn.Module:
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        assert generated.load_lowrank(model, FILE, prefix) is model
    told = " ".join(str(warning.message) for warning in warned)
    for name in model.lowrank_dense:
        assert str(FILE) in told and "lowrank_dense" in told, (name, told)
    return model


def pair(make, names=None, **options):
    """A dense model that holds the products, and another one with other values that loaded the file."""
    torch.manual_seed(0)
    dense = make()
    state = dense.state_dict()
    names = names or [name for name in state if name.endswith("weight") and state[name].dim() > 1]
    dense.load_state_dict(write(state, names, **options))
    torch.manual_seed(1)
    return dense.eval(), load(make()).eval()


def same(left: torch.Tensor, right: torch.Tensor, tolerance: float = 1e-5) -> None:
    assert left.shape == right.shape and left.dtype == right.dtype, (left.shape, right.shape, left.dtype, right.dtype)
    difference = float((left - right).abs().max() / left.abs().max())
    assert difference <= tolerance, difference


def kinds(model: nn.Module) -> list[str]:
    return [type(layer).__name__ for layer in model.modules() if isinstance(layer, generated.LowRank)]


def refuses(model: nn.Module, error: type[Exception], *words: str, prefix: str = "") -> None:
    before = {name: (id(value), value.clone()) for name, value in model.state_dict(keep_vars=True).items()}
    classes = [type(module) for module in model.modules()]
    raises(model, error, *words, prefix=prefix)
    after = model.state_dict(keep_vars=True)
    assert before.keys() == after.keys() and classes == [type(module) for module in model.modules()]
    for name, value in after.items():
        assert before[name][0] == id(value), name
        assert value.is_meta or torch.equal(before[name][1], value), name


def raises(model: nn.Module, error: type[Exception], *words: str, prefix: str = "") -> None:
    try:
        generated.load_lowrank(model, FILE, prefix)
    except error as raised:
        for word in (str(FILE), *words):
            assert word in str(raised), (word, str(raised))
    else:
        raise AssertionError("it loads")


def network() -> nn.Module:
    return nn.Sequential(nn.Embedding(12, 8, padding_idx=0), nn.Linear(8, 10), nn.Tanh(), nn.Linear(10, 6, bias=False))


class Scaled(nn.Embedding):
    def forward(self, ids):
        return 3 * super().forward(ids)


class Language(nn.Module):
    def __init__(self, embedding=nn.Embedding, tied=True):
        super().__init__()
        self.embed, self.inner, self.head = embedding(12, 8), nn.Linear(8, 8), nn.Linear(8, 12, bias=False)
        if tied:
            self.head.weight = self.embed.weight

    def forward(self, ids):
        return self.head(torch.tanh(self.inner(self.embed(ids))))


class Sharp(nn.Conv2d):
    def _conv_forward(self, x, weight, bias):
        return super()._conv_forward(x, 2 * weight, bias)


class Loud(nn.Linear):
    def __call__(self, x):
        return 2 * super().__call__(x)


class Pair(nn.Linear):
    def forward(self, x):
        return super().forward(x), None


class Halved(nn.Linear):
    def half_of(self, x):
        return self(x) / 2


class Masked(nn.Linear):
    def __init__(self, *sizes):
        super().__init__(*sizes)
        self.register_buffer("mask", torch.ones(sizes[1], sizes[0]))


def layers_of_torch():
    dense, low = pair(network)
    assert kinds(low) == ["LowRankEmbedding", "LowRankLinear", "LowRankLinear"] and low.lowrank_dense == {}
    same(dense(IDS), low(IDS))
    assert low[0].padding_idx == 0 and low[0].embedding_dim == 8 and low[1].in_features == 8
    assert low[1].weight.dtype == torch.float32 and low[1].weight.device.type == "cpu"
    same(dense[1].weight, low[1].weight)


def life_of_a_model():
    dense, low = pair(network)
    expected = dense(IDS)
    same(expected, copy.deepcopy(low)(IDS))
    torch.manual_seed(2)
    other = load(network())
    for parameter in other.parameters():
        nn.init.normal_(parameter)
    torch.save(low.state_dict(), FOLDER / "state.pt")
    other.load_state_dict(torch.load(FOLDER / "state.pt"))
    same(expected, other(IDS))
    same(expected, torch.jit.trace(low, IDS)(IDS))
    same(expected, torch.compile(low, backend="eager", fullgraph=True)(IDS))
    same(expected.bfloat16(), copy.deepcopy(low).bfloat16()(IDS), 0.1)
    same(expected.double(), copy.deepcopy(low).double()(IDS))
    low.train()
    low(IDS).square().sum().backward()
    dense(IDS).square().sum().backward()
    same(dense[1].bias.grad, low[1].bias.grad, 1e-4)
    # dL/dA = B^T dL/dW.
    same(low[1].lowrank_b.weight.T @ dense[1].weight.grad, low[1].lowrank_a.weight.grad, 1e-4)
    assert all(parameter.grad is not None for parameter in low.parameters())


def convolutions():
    def make():
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False),
            nn.Conv2d(8, 12, 3, padding="same", dilation=2),
            nn.Conv2d(12, 8, 3, padding=1, padding_mode="circular"),
            nn.Flatten(2),
            nn.Conv1d(8, 8, 5, stride=3),
            nn.Unflatten(1, (1, 8)),
        )

    dense, low = pair(make)
    x = torch.randn(2, 3, 12, 12)
    assert kinds(low) == ["LowRankConv"] * 4
    same(dense(x), low(x))
    same(dense[1].weight, low[1].weight)
    names = "stride kernel_size padding dilation groups in_channels out_channels padding_mode".split()
    for name in names:
        assert getattr(low[2], name) == getattr(dense[2], name)


def layers_without_a_low_rank_form():
    def make():
        return nn.Sequential(
            nn.Conv2d(4, 8, 3, groups=2), nn.ConvTranspose2d(8, 6, 3), nn.Flatten(1), nn.Linear(6 * 64, 5), nn.Linear(5, 1)
        )

    dense, low = pair(make, ["0.weight", "1.weight", "3.weight"])
    assert kinds(low) == ["LowRankLinear"] and list(low.lowrank_dense) == ["0.weight", "1.weight"]
    x = torch.randn(2, 4, 8, 8)
    same(dense(x), low(x))


def subclasses_with_code_of_their_own():
    for make, x in [
        (lambda: nn.Sequential(Scaled(12, 8), nn.Linear(8, 6)), IDS),
        (lambda: nn.Sequential(Loud(8, 8), nn.Linear(8, 6)), torch.randn(4, 8)),
        (lambda: nn.Sequential(Halved(8, 8), nn.Linear(8, 6)), torch.randn(4, 8)),
        (lambda: nn.Sequential(Masked(8, 8), nn.Linear(8, 6)), torch.randn(4, 8)),
        (lambda: nn.Sequential(Sharp(3, 8, 3), nn.Conv2d(8, 8, 3)), torch.randn(2, 3, 9, 9)),
        (lambda: nn.Sequential(nn.Embedding(12, 8, max_norm=1.0), nn.Linear(8, 6)), IDS),
        (lambda: nn.Sequential(nn.Embedding(12, 8, scale_grad_by_freq=True), nn.Linear(8, 6)), IDS),
    ]:
        dense, low = pair(make, ["0.weight", "1.weight"])
        assert list(low.lowrank_dense) == ["0.weight"] and len(kinds(low)) == 1
        assert type(low[0]).__name__ in low.lowrank_dense["0.weight"], low.lowrank_dense
        assert isinstance(low[0].weight, nn.Parameter)
        same(dense(x), low(x))
    dense, low = pair(lambda: nn.Sequential(Pair(8, 8)))
    x = torch.randn(4, 8)
    same(dense(x)[0], low(x)[0])
    assert low(x)[1] is None


def subclasses_without_code_of_their_own():
    class Same(nn.Linear):
        def reset_parameters(self):
            nn.init.ones_(self.weight)

    dense, low = pair(lambda: nn.Sequential(Same(8, 8)))
    assert kinds(low) == ["LowRankLinear"]
    same(dense(torch.ones(1, 8)), low(torch.ones(1, 8)))


def hooks():
    def doubled(model):
        model[1].register_forward_hook(lambda layer, inputs, output: 2 * output)
        return model

    def clamped(model):
        def clamp(layer, inputs):
            layer.weight.data.clamp_(-0.1, 0.1)

        model[1].register_forward_pre_hook(clamp)
        return model

    def patched(model):
        old = model[1].forward
        model[1].forward = lambda x: old(x) + 1
        return model

    for hook in (doubled, clamped, patched):
        dense, low = pair(lambda: hook(network()))
        assert list(low.lowrank_dense) == ["1.weight"]
        same(dense(IDS), low(IDS))


def a_patched_torch():
    original = nn.Linear.forward
    nn.Linear.forward = lambda layer, x: 2 * original(layer, x)
    try:
        dense, low = pair(network)
        same(dense(IDS), low(IDS))
        assert list(low.lowrank_dense) == ["1.weight", "3.weight"]
    finally:
        nn.Linear.forward = original


def parametrized_layers():
    def make():
        return nn.Sequential(parametrizations.weight_norm(nn.Linear(8, 8)), nn.Linear(8, 8))

    dense, low = pair(make, ["1.weight"])
    same(dense(torch.ones(1, 8)), low(torch.ones(1, 8)))
    # Files from before torch 2.1 have the two parts under other names.
    state = dense.state_dict()
    write(
        {
            "0.bias": state["0.bias"],
            "0.weight_g": state["0.parametrizations.weight.original0"],
            "0.weight_v": state["0.parametrizations.weight.original1"],
            "1.bias": state["1.bias"],
            "1.weight": state["1.weight"],
        },
        ["1.weight"],
    )
    same(dense(torch.ones(1, 8)), load(make())(torch.ones(1, 8)))

    def make_older():
        return nn.Sequential(nn.utils.weight_norm(nn.Linear(8, 8)), nn.Linear(8, 8))

    dense, low = pair(make_older, ["1.weight"])
    same(dense(torch.ones(1, 8)), low(torch.ones(1, 8)))


def shared_weights():
    dense, low = pair(Language, ["embed.weight", "inner.weight"], ties={"head.weight": "embed.weight"})
    same(dense(IDS), low(IDS))
    assert low.head.lowrank_b.weight is low.embed.lowrank_b.weight
    low(IDS).sum().backward()
    assert len(list(low.parameters())) == 5
    # A file that holds only one of the names, without a word of ties.
    write({name: value for name, value in dense.state_dict().items() if name != "head.weight"}, ["embed.weight"])
    again = load(Language()).eval()
    assert again.head.lowrank_b.weight is again.embed.lowrank_b.weight
    same(dense(IDS), again(IDS))


def a_shared_weight_with_one_unknown_layer():
    dense, low = pair(
        lambda: Language(Scaled), ["embed.weight", "inner.weight"], ties={"head.weight": "embed.weight"}
    )
    assert low.head.weight is low.embed.weight and list(low.lowrank_dense) == ["embed.weight"]
    same(dense(IDS), low(IDS))


def equal_weights_of_a_file():
    def make():
        return Language(tied=False)

    dense, low = pair(make, ["embed.weight"], ties={"head.weight": "embed.weight"})
    assert kinds(low) == ["LowRankEmbedding", "LowRankLinear"]
    assert low.head.lowrank_b.weight is low.embed.lowrank_b.weight
    same(dense(IDS), low(IDS))


def two_values_for_a_shared_weight():
    state = Language(tied=False).state_dict()
    write(state, ["embed.weight"])
    refuses(Language(), ValueError, "embed.weight", "head.weight")


def equal_matrices_of_zeros():
    def make():
        return nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8))

    state = make().state_dict()
    state["0.weight"] = state["1.weight"] = torch.zeros(8, 8)
    write(state, ["0.weight", "1.weight"])
    low = load(make())
    assert len(kinds(low)) == 2 and low[0].lowrank_a.weight is not low[1].lowrank_a.weight


def nothing_is_changed_on_a_misfit():
    state = network().state_dict()
    names = ["0.weight", "1.weight", "3.weight"]
    write(state, names)
    larger = network()
    larger.add_module("extra", nn.Linear(2, 2))
    refuses(larger, KeyError, "missing ['extra.weight', 'extra.bias']")
    refuses(network()[:2], KeyError, "unknown ['3.weight']")
    wider = network()
    wider[3] = nn.Linear(10, 7, bias=False)
    refuses(wider, ValueError, "3.weight", "7")
    refuses(nn.ModuleDict({"body": network()}), KeyError, "missing ['body.0.weight'", "unknown ['0.weight'")
    refuses(network(), KeyError, "'body.'", prefix="body.")
    broken = network()
    broken.register_buffer("scale", torch.ones(2, device="meta"), persistent=False)
    refuses(broken, KeyError, "scale")
    raises(torch.jit.script(network()), ValueError, "ScriptModule")
    raises(nn.Sequential(nn.LazyLinear(3)), ValueError, "UninitializedParameter")
    write(state, names)
    low = load(network())
    refuses(low, KeyError, "0.lowrank_a.weight")


def wrappers():
    dense, _ = pair(network)
    expected = dense(IDS)

    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.head = network(), nn.Linear(8, 12, bias=False)
            self.head.weight = self.body[0].weight
            self.score = nn.Linear(6, 2)

    outer = Outer()
    score = outer.score.weight.clone()
    load(outer, "body.").eval()
    same(expected, outer.body(IDS))
    assert torch.equal(score, outer.score.weight)
    assert outer.head.lowrank_b.weight is outer.body[0].lowrank_b.weight
    same(expected, load(nn.DataParallel(network())).module(IDS))
    same(expected, load(nn.DataParallel(network()), "module.").module(IDS))
    same(expected, load(torch.compile(network(), backend="eager"))(IDS))
    for prefix in ("module.", "_orig_mod.", "_orig_mod.module."):
        write({f"{prefix}{name}": value for name, value in dense.state_dict().items()}, [f"{prefix}1.weight"])
        same(expected, load(network())(IDS))


def devices_and_dtypes():
    dense, _ = pair(network)
    expected = dense(IDS)
    with torch.device("meta"):
        empty = network()
    low = load(empty).eval()
    assert all(parameter.device.type == "cpu" for parameter in low.parameters())
    same(expected, low(IDS))
    with torch.device("meta"):
        tied = Language()
    state = Language().state_dict()
    write(state, ["inner.weight"], ties={"head.weight": "embed.weight"})
    low = load(tied)
    assert low.head.weight is low.embed.weight and torch.equal(low.embed.weight, state["embed.weight"])
    write(dense.state_dict(), ["1.weight"])
    half = load(network().half())
    assert {parameter.dtype for parameter in half.parameters()} == {torch.float16}
    same(expected.half(), half(IDS), 0.01)
    mixed = network().bfloat16()
    mixed[3].float()
    mixed = load(mixed)
    assert mixed[1].lowrank_a.weight.dtype == torch.bfloat16 and torch.equal(mixed[3].weight, dense[3].weight)
    frozen = load(network().requires_grad_(False))
    assert not any(parameter.requires_grad for parameter in frozen.parameters())


def buffers():
    class Normed(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.norm = nn.Linear(8, 8), nn.BatchNorm1d(8)
            self.register_buffer("angles", torch.arange(8.0), persistent=False)
            self.register_buffer("row", torch.arange(3.0)[:, None].expand(3, 4))

        def forward(self, x):
            return self.norm(self.fc(x)) + self.angles + self.row.sum()

    torch.manual_seed(0)
    dense = Normed()
    with torch.no_grad():
        dense.norm.running_mean.normal_()
        dense.norm.num_batches_tracked.fill_(7)
    dense.load_state_dict(write(dense.state_dict(), ["fc.weight"]), assign=True)
    low = load(Normed()).eval()
    assert int(low.norm.num_batches_tracked) == 7
    same(dense.eval()(torch.ones(2, 8)), low(torch.ones(2, 8)))


def layers_that_are_used_past_the_model():
    class Listed(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(8, 8), nn.Linear(8, 8)
            self.order = [self.a, self.b]

        def forward(self, x):
            return self.order[1](self.order[0](x))

    dense, low = pair(Listed)
    same(dense(torch.ones(1, 8)), low(torch.ones(1, 8)))
    assert low.order[0] is low.a and kinds(low) == ["LowRankLinear"] * 2


def code_that_reads_the_weight():
    def make():
        layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
        return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

    dense, low = pair(make, [f"layers.{k}.{name}.weight" for k in (0, 1) for name in ("linear1", "self_attn.out_proj")])
    x = torch.randn(2, 5, 16)
    assert len(kinds(low)) == 4
    same(dense(x), low(x))
    with torch.no_grad():
        same(dense(x), low(x))
    assert F.linear(x, low.layers[0].linear1.weight).shape == (2, 5, 32)


def code_that_asks_for_the_class():
    class Named(nn.Linear):
        pass

    _, low = pair(lambda: nn.Sequential(nn.Conv2d(4, 8, 3), nn.Embedding(12, 8), Named(8, 8)))
    assert [isinstance(layer, cls) for layer, cls in zip(low, (nn.Conv2d, nn.Embedding, Named))] == [True] * 3
    assert isinstance(low[2], nn.Linear) and isinstance(low[2], generated.LowRankLinear)
    assert type(copy.deepcopy(low[2])) is type(low[2])
    sys.modules["generated"] = generated
    again = pickle.loads(pickle.dumps(pair(network)[1]))
    assert kinds(again) == ["LowRankEmbedding", "LowRankLinear", "LowRankLinear"]


def code_that_writes_to_the_weight():
    dense, low = pair(network)
    weight = dense[1].weight.detach().clone()
    for write_to in [
        lambda: low[1].weight.mul_(2),
        lambda: low[1].weight.data.mul_(2),
        lambda: low[1].weight.detach().copy_(weight),
        lambda: low[1].weight.data.__setitem__(0, 1.0),
        lambda: low[1].weight.__imul__(2),
        lambda: torch.add(weight, 1, out=low[1].weight),
        lambda: nn.init.normal_(low[1].weight),
        lambda: low[1].reset_parameters(),
        lambda: setattr(low[1].weight, "data", weight),
        lambda: setattr(low[1], "weight", nn.Parameter(weight)),
    ]:
        for context in (torch.no_grad(), torch.enable_grad(), torch.inference_mode()):
            with context:
                try:
                    write_to()
                except (RuntimeError, KeyError):
                    continue
                raise AssertionError("it writes")
    with torch.no_grad():
        dense[1].weight.copy_(low[1].weight)
    same(dense[1].weight, weight)
    x = torch.randn(3, 8)
    assert type(F.linear(x, low[1].weight)) is torch.Tensor


def matrices_stored_as_their_transpose():
    from transformers.pytorch_utils import Conv1D

    class Copied(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight, self.bias = nn.Parameter(torch.randn(8, 10)), nn.Parameter(torch.randn(10))

        def forward(self, x):
            return x @ self.weight + self.bias

    def make():
        return nn.Sequential(Conv1D(8, 6), Copied(), nn.Linear(10, 4))

    x = torch.randn(5, 6)
    for turned in [("0.weight", "1.weight"), ()]:
        dense, low = pair(make, turned=turned)
        assert kinds(low) == ["LowRankConv1D", "LowRankLinear"] and list(low.lowrank_dense) == ["1.weight"]
        assert low[0].nf == 8 and low[0].weight.shape == (6, 8)
        same(dense(x), low(x))
        same(dense(x), torch.jit.trace(low, x)(x))


def factors_that_matrices_share() -> None:
    def make() -> nn.Module:
        return nn.ModuleDict({"q": nn.Linear(8, 6), "k": nn.Linear(8, 4), "v": nn.Linear(8, 4, bias=False)})

    torch.manual_seed(0)
    state, a = make().state_dict(), torch.randn(3, 8)
    written = {name: value for name, value in state.items() if name.endswith("bias")}
    factors = {name: torch.randn(len(state[f"{name}.weight"]), 3) for name in "qkv"}
    written |= {f"{name}.lowrank_b.weight": b for name, b in factors.items()} | {"q.lowrank_a.weight": a}
    ties = {f"{name}.lowrank_a.weight": "q.lowrank_a.weight" for name in "kv"}
    save_file(written, FILE, {"format": "pt", "rankscope.ties": json.dumps(ties), "rankscope.stored": "{}"})
    model = load(make())
    assert kinds(model) == ["LowRankLinear"] * 3, kinds(model)
    assert model["q"].lowrank_a.weight is model["k"].lowrank_a.weight is model["v"].lowrank_a.weight
    assert sum(parameter.numel() for parameter in model.parameters()) == sum(v.numel() for v in written.values())
    x = torch.randn(5, 8)
    for name, b in factors.items():
        same(model[name](x), F.linear(x, b @ a, state.get(f"{name}.bias")))
    # Training moves the shared factor once, by what all of its layers ask for.
    sum(layer(x).square().sum() for layer in model.values()).backward()
    expected = sum((2 * layer(x) @ layer.lowrank_b.weight).T @ x for layer in model.values())
    same(model["k"].lowrank_a.weight.grad, expected)
    # Saved as it is, with the factor under each of its names, and by safetensors, which names what is shared.
    saved = {name: value.detach() for name, value in model.state_dict().items()}
    save_file(saved, FILE)
    again = load(make())
    same(again["v"](x), model["v"](x))
    model._state_dict_hooks.clear()
    save_model(model, str(FILE))
    assert len(safe_open(FILE, "pt").keys()) == len(written)
    again = load(make())
    same(again["v"](x), model["v"](x))
    assert again["q"].lowrank_a.weight is again["v"].lowrank_a.weight
    # Without the factor, the file is incomplete.
    save_file({name: value for name, value in written.items() if "lowrank_a" not in name}, FILE)
    raises(make(), KeyError)


def weights_that_are_merged_on_loading():
    class Experts(nn.Module):
        def __init__(self):
            super().__init__()
            self.gate_up = nn.Parameter(torch.randn(2, 10, 8))

        def forward(self, x):
            return sum(F.linear(x, self.gate_up[e]) for e in torch.arange(2))

    class Merging(nn.Module):
        """Reads q, k and v into one layer, and the experts into one parameter, as some models do."""

        def __init__(self):
            super().__init__()
            self.qkv, self.experts = nn.Linear(8, 20), Experts()
            self.register_load_state_dict_pre_hook(Merging.merge)

        def merge(self, state, prefix, *_):
            if "q.weight" in state:
                state["qkv.weight"] = torch.cat([state.pop(f"{name}.weight") for name in "qkv"])
                each = [torch.cat([state.pop(f"experts.{e}.{part}.weight") for part in ("gate", "up")]) for e in (0, 1)]
                state["experts.gate_up"] = torch.stack(each)

        def forward(self, x):
            return self.experts(self.qkv(x)[..., :8]), self.qkv(x)

    torch.manual_seed(0)
    sizes = {"q": 8, "k": 6, "v": 6} | {f"experts.{e}.{part}": 5 for e in (0, 1) for part in ("gate", "up")}
    state = {f"{name}.weight": torch.randn(size, 8) for name, size in sizes.items()} | {"qkv.bias": torch.randn(20)}
    # One part of each stays dense.
    cut = [name for name in state if name.endswith("weight") and name not in ("k.weight", "experts.1.up.weight")]
    dense = Merging()
    dense.load_state_dict(write(state, cut))
    low, x = load(Merging()), torch.randn(4, 8)
    assert low.lowrank_dense == {}
    assert type(low.qkv).__name__ == "FusedLowRankLinear" and low.qkv.rank == (3, None, 3)
    assert isinstance(low.experts.gate_up, generated.LowRankExperts)
    for one, other in zip(dense(x), low(x)):
        same(one, other)
    same(dense.experts.gate_up, low.experts.gate_up.product())
    parameters = 3 * (8 + 8) + 6 * 8 + 3 * (6 + 8) + 20 + 3 * 3 * (5 + 8) + 5 * 8
    assert sum(parameter.numel() for parameter in low.parameters()) == parameters
    for one, other in zip(dense(x), copy.deepcopy(low)(x)):
        same(one, other)
    sum(each.sum() for each in low(x)).backward()
    assert all(parameter.grad is not None for parameter in low.parameters())


def experts_of_one_tensor():
    class Experts(nn.Module):
        def __init__(self, turned, outputs=10):
            super().__init__()
            self.gate_up = nn.Parameter(torch.randn(3, 8, 10) if turned else torch.randn(3, outputs, 8))
            self.turned = turned

        def forward(self, x):
            each = (x @ self.gate_up[e] if self.turned else F.linear(x, self.gate_up[e]) for e in torch.arange(3))
            return sum(each)

    torch.manual_seed(0)
    stem, x = "0.gate_up.experts.", torch.randn(4, 8)
    written = {f"{stem}1.weight": torch.randn(10, 8)}
    for expert, rank in ((0, 2), (2, 4)):
        written[f"{stem}{expert}.lowrank_a.weight"] = torch.randn(rank, 8)
        written[f"{stem}{expert}.lowrank_b.weight"] = torch.randn(10, rank)

    def save(tensors, turned=False):
        layout = {"shape": [3, 8, 10] if turned else [3, 10, 8], "transposed": turned}
        save_file(tensors, FILE, {"format": "pt", "rankscope.stacks": json.dumps({"0.gate_up": layout})})

    product = lambda e: written[f"{stem}{e}.lowrank_b.weight"] @ written[f"{stem}{e}.lowrank_a.weight"]
    dense = torch.stack([product(0), written[f"{stem}1.weight"], product(2)])
    for turned in (False, True):
        save(written, turned)
        low = load(nn.Sequential(Experts(turned)))
        stack = low[0].gate_up
        assert isinstance(stack, generated.LowRankExperts) and low.lowrank_dense == {}
        assert [getattr(each, "rank", None) for each in stack.experts] == [2, None, 4]
        same(dense.mT if turned else dense, stack.product())
        same(x @ dense.sum(0).T, low(x))
        # The module has the names of the file, and its state is one without the metadata.
        assert low.state_dict().keys() == written.keys()
        save_file({name: value.contiguous() for name, value in low.state_dict().items()}, FILE, {"format": "pt"})
        same(low(x), load(nn.Sequential(Experts(turned)))(x))

    def refused(change, error, *words):
        tensors = dict(written)
        change(tensors)
        save({name: tensor for name, tensor in tensors.items() if tensor is not None})
        refuses(nn.Sequential(Experts(False)), error, *words)

    refused(lambda file: file.pop(f"{stem}1.weight"), KeyError, f"{stem}1", "incomplete")
    refused(lambda file: file.pop(f"{stem}2.lowrank_b.weight"), KeyError, f"{stem}2", "incomplete")
    refused(lambda file: file.update({f"{stem}2.lowrank_b.weight": torch.randn(10, 3)}), ValueError, f"{stem}2", "fit")
    refused(lambda file: file.update({f"{stem}0.lowrank_b.weight": torch.randn(9, 2)}), ValueError, f"{stem}0", "(9, 8)")
    refused(lambda file: file.update({f"{stem}1.weight": torch.randn(8, 10)}), ValueError, f"{stem}1", "(8, 10)")
    refused(lambda file: file.update({f"{stem}3.weight": torch.randn(10, 8)}), KeyError, f"{stem}3")
    # Of square matrices, only the metadata say which side is the input.
    save_file({f"{stem}{e}.weight": torch.randn(8, 8) for e in range(3)}, FILE)
    refuses(nn.Sequential(Experts(False, 8)), KeyError, "0.gate_up", "does not say")


def a_low_rank_model_saved_to_a_file():
    from transformers.pytorch_utils import Conv1D

    def make():
        return nn.Sequential(nn.Conv1d(4, 8, 3, padding=1), Conv1D(8, 8), Conv1D(6, 8))

    x = torch.randn(5, 4, 8)
    dense, low = pair(make, turned=("1.weight", "2.weight"))
    expected = dense(x)
    same(expected, low(x))
    # Whoever saves the model does not save what the file said of its layers.
    save_file({name: value.contiguous() for name, value in low.state_dict().items()}, FILE, {"format": "pt"})
    again = load(make())
    assert kinds(again) == ["LowRankConv", "LowRankConv1D", "LowRankConv1D"]
    same(expected, again(x))
    save_file({f"x.{name}": value.contiguous() for name, value in low.state_dict().items()}, FILE, {"format": "pt"})
    refuses(make(), KeyError, "x.0", "does not say")


if __name__ == "__main__":
    torch.set_num_threads(1)
    generated = load_code(sys.argv[1])
    outcome = {}
    for case in sys.argv[2:]:
        try:
            globals()[case]()
            outcome[case] = None
        except Exception:
            outcome[case] = traceback.format_exc()
    print(json.dumps(outcome))
