"""Runs generated code: the model with factors must say what the dense model says with W replaced by B A.

usage: run_generated.py MODEL CHECKPOINT RESULT CODE
MODEL is one of `sample`, `stories260K`, `gpt2`, `convolutions`, `tied`, `twins`; the last four are made, and saved as
CHECKPOINT, where that does not exist.
Prints {"logits": largest difference, "dense": largest difference to the model before, "swapped": class by layer, "shared": [...]}
"""

import importlib.util
import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

kind, source, result, code = sys.argv[1:5]


def module_of(path: str):
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


class Convolutions(nn.Module):
    """One of each kind of convolution, with a bias, a stride, a padding and reflections."""

    def __init__(self):
        super().__init__()
        self.one = nn.Conv1d(6, 16, 5, stride=2, padding=2)
        self.two = nn.Conv2d(4, 12, 3, padding=1, padding_mode="reflect")
        self.three = nn.Conv3d(3, 10, 3, dilation=1, bias=False)

    def forward(self, x):
        a = self.one(x[:, :24].reshape(2, 6, -1))
        b = self.two(x.reshape(2, 4, 8, -1))
        c = self.three(x[:, :48].reshape(2, 3, 4, 4, -1))
        return torch.cat([part.flatten(1) for part in (a, b, c)], 1)


class Tied(nn.Module):
    """Two names for one matrix, in a checkpoint whose file stores it once."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(40, 12)
        self.position = nn.Embedding(16, 12)
        self.head = nn.Linear(12, 40, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, ids):
        return self.head(torch.tanh(self.embed(ids) + self.position(torch.arange(ids.shape[1]))))


class Twins(nn.Module):
    """Two matrices that are equal in the checkpoint, and two layers in the code that know nothing of each other."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(40, 12)
        self.inner = nn.Linear(12, 12)
        self.same = nn.Linear(12, 12)
        self.head = nn.Linear(12, 40, bias=False)
        with torch.no_grad():
            self.head.weight.copy_(self.embed.weight)
            self.same.weight.copy_(self.inner.weight)

    def forward(self, ids):
        return self.head(self.same(torch.tanh(self.inner(self.embed(ids)))))


def make_model() -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    if kind == "sample":
        sys.path.insert(0, str(Path(source).parent))
        from model import Config, StoryModel

        return StoryModel(Config.load(Path(source).parent / "config.json")), torch.randint(512, (2, 24))
    if kind == "convolutions":
        return Convolutions(), torch.randn(2, 64, 8)
    if kind in ("tied", "twins"):
        return Tied() if kind == "tied" else Twins(), torch.randint(40, (2, 9))
    from transformers import AutoConfig, AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel

    if kind == "gpt2":
        config = GPT2Config(n_layer=2, n_head=2, n_embd=24, vocab_size=50, n_positions=32)
        return GPT2LMHeadModel(config), torch.randint(50, (2, 9))
    config = AutoConfig.from_pretrained(str(Path(source).parent))
    return AutoModelForCausalLM.from_config(config), torch.randint(config.vocab_size, (2, 24))


def run(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        y = model.eval()(x)
    return getattr(y, "logits", y).double()


def dense_weights(generated, model: nn.Module) -> dict[str, torch.Tensor]:
    """Every parameter of the model with factors, each W multiplied out in f64."""
    weights = {}
    for name, layer in model.named_modules(remove_duplicate=False):
        if isinstance(layer, generated.LowRank):
            weights[f"{name}.weight"] = layer.double().weight.detach().clone()
            layer.float()
    return weights


if kind in ("gpt2", "convolutions", "tied", "twins") and not Path(source).exists():
    from safetensors.torch import save_file

    made, _ = make_model()
    kept = {
        name: value.contiguous()
        for name, value in made.state_dict().items()
        if name != "lm_head.weight" and (kind, name) != ("tied", "head.weight")
    }
    save_file(kept, source)
    sys.exit()

generated = module_of(code)
dense, x = make_model()
state = load_file(source)
missing, unexpected = dense.load_state_dict({name: value.float() for name, value in state.items()}, strict=False)
assert not unexpected and set(missing) <= {"lm_head.weight", "head.weight"}, (missing, unexpected)
before = run(dense, x)

lowrank, _ = make_model()
generated.load_lowrank(lowrank, result)
answer = run(lowrank, x)

replaced = dense_weights(generated, lowrank)
dense.load_state_dict({**dense.state_dict(), **{name: value.float() for name, value in replaced.items()}})
expected = run(dense, x)
modules = dict(lowrank.named_modules(remove_duplicate=False))
shared = []
for name, layer in modules.items():
    if isinstance(layer, generated.LowRank):
        first = next(
            other for other, twin in modules.items() if isinstance(twin, generated.LowRank) and twin.up is layer.up
        )
        if first != name:
            shared.append([first, name])

incomplete = None
try:
    broken, _ = make_model()
    broken.extra = nn.Linear(2, 2)
    generated.load_lowrank(broken, result)
except KeyError as error:
    incomplete = str(error)
print(
    json.dumps(
        {
            "scale": float(expected.abs().max()),
            "logits": float((answer - expected).abs().max()),
            "changed": float((answer - before).abs().max()),
            "swapped": {name: type(m).__name__ for name, m in modules.items() if isinstance(m, generated.LowRank)},
            "shared": shared,
            "incomplete": incomplete,
        }
    )
)
