"""Gradients of the loss of one block by torch's autograd in float64, for every kind of decoder of decoders.py, as JSON.

Usage: blockGradients.py SEED, or blockGradients.py SEED KIND STEPS RATE for the losses of one kind in the course of
its refinement: before each step of Adam with a cosine schedule behind a rise, and behind the last. In the last block of each model, most linear layers are products of two factors, which
are balanced first: column k of b and row k of a have equal norms. The block reads rows that follow from the seed, in
windows of the lengths given, and the loss is the mean over rows of their squared error relative to other such rows.
"""

import importlib.util
import json
import math
import sys
import tempfile
from pathlib import Path

spec = importlib.util.spec_from_file_location("decoders", "test/python/decoders.py")
d = importlib.util.module_from_spec(spec)
spec.loader.exec_module(d)

import torch
from safetensors.numpy import save_file
from safetensors import safe_open

RANK = 5
LENGTHS = [12, 8]
# Layers that stay dense, so that gradients pass through them as well.
DENSE = ("v_proj", "w3", "fc2", "shared_expert.up_proj")


def values(seed, name, *shape):
    return torch.from_numpy(d.values(seed, name, shape).copy()).double()


def factors_of(seed, name, outputs, inputs):
    b, a = values(seed, name + ".b", outputs, RANK), values(seed, name + ".a", RANK, inputs)
    scale = (a.norm(dim=1) / b.norm(dim=0)).sqrt()
    return [(b * scale).requires_grad_(), (a / scale[:, None]).requires_grad_()]


def problem_of(config, seed):
    """The block, its path, its factors by module, a function that computes the loss, and what the model was made of."""
    with tempfile.TemporaryDirectory() as folder:
        d.t.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
        file = Path(folder, "model.safetensors")
        with safe_open(file, "np") as stored:
            shapes = {name: list(stored.get_slice(name).get_shape()) for name in stored.keys()}
        save_file({name: d.values(seed, name, shape) for name, shape in shapes.items()}, file, {"format": "pt"})
        model = d.t.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64, attn_implementation="eager",
                                                           experts_implementation="eager")
        saved = json.loads(Path(folder, "config.json").read_text())
    model = model.eval()
    model.config.use_cache = False
    modules = dict(model.named_modules())
    count = config.num_hidden_layers
    path = min((name for name in modules if name.endswith(f".{count - 1}")), key=len)
    block = modules[path]
    names = [name[:-len(".weight")] for name, shape in shapes.items()
             if name.startswith(path + ".") and name.endswith(".weight") and len(shape) == 2]
    cut = {}
    for name in names:
        transposed = "Conv1D" in type(modules.get(name)).__name__
        outputs, inputs = reversed(shapes[name + ".weight"]) if transposed else shapes[name + ".weight"]
        if not name.endswith(DENSE) and not name.endswith(("mlp.gate", "block_sparse_moe.gate", "shared_expert_gate")):
            cut[name] = factors_of(seed, name, outputs, inputs)

    def weight_of(name):
        """That of a module of the checkpoint, through its factors."""
        if name not in cut:
            return values(seed, name + ".weight", *shapes[name + ".weight"])
        b, a = cut[name]
        return (b @ a).T if "Conv1D" in type(modules.get(name)).__name__ else b @ a

    stacked = [name for name, _ in block.named_parameters() if name.endswith("experts.gate_up_proj")]

    def weights():
        """What replaces the parameters of the block."""
        replaced = {name[len(path) + 1:] + ".weight": weight_of(name) for name in cut if name in modules}
        if not stacked:
            return replaced
        mixtral = any("block_sparse_moe" in name for name in names)
        start = path + (".block_sparse_moe.experts." if mixtral else ".mlp.experts.")
        gate, up, down = ("w1", "w3", "w2") if mixtral else ("gate_proj", "up_proj", "down_proj")
        experts = range(len({name[len(start):].split(".")[0] for name in names if name.startswith(start)}))
        both = [torch.cat([weight_of(f"{start}{e}.{gate}"), weight_of(f"{start}{e}.{up}")]) for e in experts]
        downs = [weight_of(f"{start}{e}.{down}") for e in experts]
        replaced[stacked[0]] = torch.stack(both)
        replaced[stacked[0].replace("gate_up_proj", "down_proj")] = torch.stack(downs)
        return replaced

    norms = {name: p for name, p in block.named_parameters() if "norm" in name or name.startswith("ln_")}
    for name, p in block.named_parameters():
        p.requires_grad_(name in norms)

    width = config.hidden_size
    rows = sum(LENGTHS)
    x, target = values(seed, "input", rows, width), values(seed, "target", rows, width)
    grabbed = {}

    class Stop(Exception):
        pass

    def grab(module, args, kwargs):
        grabbed["kwargs"] = {k: v for k, v in kwargs.items() if k != "hidden_states"}
        grabbed["args"] = args[1:]
        raise Stop

    hook = block.register_forward_pre_hook(grab, with_kwargs=True)
    calls = []
    for length in LENGTHS:
        try:
            with torch.no_grad():
                model(torch.arange(length)[None] % config.vocab_size)
        except Stop:
            calls.append((grabbed["args"], grabbed["kwargs"]))
    hook.remove()

    def loss_of():
        at, error, own = 0, 0, weights()
        for length, (args, kwargs) in zip(LENGTHS, calls):
            y = torch.func.functional_call(block, own, (x[None, at:at + length], *args), kwargs)
            y = (y[0] if isinstance(y, tuple) else y)[0]
            wanted = target[at:at + length]
            error = error + (((y - wanted) ** 2).sum(-1) / (wanted ** 2).sum(-1)).sum()
            at += length
        return error / rows

    return path, cut, norms, loss_of, dict(config=saved, tensors=shapes, layer=count - 1)


def gradients_of(kind, config, seed):
    path, cut, norms, loss_of, made = problem_of(config, seed)
    loss = loss_of()
    loss.backward()
    flat = lambda t: [float(f"{v:.9g}") for v in t.reshape(-1).tolist()]
    return dict(kind=kind, seed=seed, **made, loss=loss.item(),
                factors={name: dict(b=flat(b.grad), a=flat(a.grad)) for name, (b, a) in cut.items()
                         if b.grad is not None},
                norms={path + "." + name: flat(p.grad) for name, p in norms.items() if p.grad is not None})


def refined(kind, config, seed, steps, rate):
    _, cut, norms, loss_of, made = problem_of(config, seed)
    optimizer = torch.optim.Adam([f for fs in cut.values() for f in fs] + list(norms.values()), lr=rate)
    rise = lambda step: min(1, (step + 1) / math.ceil(steps / 8))
    fall = lambda step: math.cos(math.pi * step / steps) / 2 + 0.5
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rise(step) * fall(step))
    losses = []
    for _ in range(steps):
        loss = loss_of()
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return dict(kind=kind, seed=seed, **made, losses=[*losses, loss_of().item()])


torch.manual_seed(0)
seed = int(sys.argv[1])
if len(sys.argv) > 2:
    kind, steps, rate = sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    print(json.dumps(refined(kind, d.KINDS[kind], seed, steps, rate)))
else:
    print("[" + ",\n".join(json.dumps(gradients_of(kind, config, seed)) for kind, config in d.KINDS.items()) + "]")
