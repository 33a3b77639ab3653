"""X X^T of the inputs of every linear layer by transformers in float32, summed in float64, as JSON.

Usage: layer_inputs.py JSON: a list of {"folder": a model folder, "windows": token ids of each window}. Prints for each
folder {MODULE: {"tokens": t, "gram": [[...]], "values": [...]}}, with the singular values of W X (of experts, none). The
experts of a mixture are called MODULE.E.up and MODULE.E.down, whether they are modules of their own or slices of a
stack.
"""

import json
import re
import sys
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")

import torch
import transformers as t
from transformers.pytorch_utils import Conv1D

t.logging.set_verbosity_error()
t.logging.disable_progress_bar()


def with_floats(value, key=""):
    """JavaScript writes 3.0 as 3, which transformers refuses for what it declares as a float."""
    if isinstance(value, dict):
        return {name: with_floats(part, name) for name, part in value.items()}
    if isinstance(value, list):
        return [with_floats(part, key) for part in value]
    wanted = re.search("softcapping|multiplier|scaling|factor|theta|dropout|pdrop|pct|base|eps|range|noise|coef", key)
    return float(value) if type(value) is int and wanted else value


def inputs_of(folder, windows):
    config = Path(folder, "config.json")
    config.write_text(json.dumps(with_floats(json.loads(config.read_text()))))
    model = t.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager",
                                                   experts_implementation="eager").eval()
    found = {}

    def add(name, x):
        x = x.detach().reshape(-1, x.shape[-1]).double()
        entry = found.setdefault(name, dict(tokens=0, gram=torch.zeros(x.shape[1], x.shape[1], dtype=torch.float64)))
        entry["tokens"] += x.shape[0]
        entry["gram"] += x.T @ x

    def stack(name, module):
        def hook(_, arguments):
            x, chosen = arguments[0].reshape(-1, arguments[0].shape[-1]), arguments[1]
            for expert in range(module.gate_up_proj.shape[0]):
                rows = x[(chosen == expert).any(-1)]
                gate, up = (rows @ module.gate_up_proj[expert].T).chunk(2, -1)
                add(f"{name}.{expert}.up", rows)
                add(f"{name}.{expert}.down", module.act_fn(gate) * up)
        return hook

    for name, module in model.named_modules():
        if isinstance(module, (torch.nn.Linear, Conv1D)):
            module.register_forward_pre_hook(lambda _, arguments, name=name: add(name, arguments[0]))
        elif hasattr(module, "gate_up_proj") and isinstance(module.gate_up_proj, torch.nn.Parameter):
            module.register_forward_pre_hook(stack(name, module))
        elif type(module).__name__.endswith("TopKRouter"):
            module.register_forward_pre_hook(lambda _, arguments, name=name: add(name, arguments[0]))
    with torch.no_grad():
        for window in windows:
            model(torch.tensor([window]))
    modules = dict(model.named_modules())
    return {name: dict(tokens=entry["tokens"], gram=entry["gram"].tolist(), values=values_of(modules.get(name), **entry))
            for name, entry in found.items()}


def values_of(module, gram, tokens):
    """The roots of the eigenvalues of W X X^T W^T, in float64; of fewer tokens than inputs, X X^T is shrunk."""
    if not isinstance(module, (torch.nn.Linear, Conv1D)):
        return None
    weight = module.weight.detach().double()
    weight = weight.T if isinstance(module, Conv1D) else weight
    if tokens < len(gram):
        gram = gram + 0.01 * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype)
    return torch.linalg.eigvalsh(weight @ gram @ weight.T).clamp(min=0).sqrt().flip(0)[: min(weight.shape)].tolist()


print(json.dumps([inputs_of(**model) for model in json.loads(sys.argv[1])]))
