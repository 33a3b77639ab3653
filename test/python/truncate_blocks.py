"""Truncation on the inputs of the compressed model, block by block, by torch in float64: W' of every cut layer, as JSON.

Usage: truncate_blocks.py FOLDER JSON: {"windows": ids of each window, "ranks": {MODULE: k}, "ridge": t in units of the
mean diagonal}. For the layers of LLaMA: q k v, o, gate up, down.
"""

import json
import sys
import warnings

warnings.filterwarnings("ignore")

import torch
import transformers as t

t.logging.set_verbosity_error()
t.logging.disable_progress_bar()
folder, asked = sys.argv[1], json.loads(open(sys.argv[2]).read())
ids, ranks, ridge = torch.tensor(asked["windows"]), asked["ranks"], asked["ridge"]
dense, changed = (t.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64, use_cache=False) for _ in range(2))
GROUPS = [["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"], ["self_attn.o_proj"],
          ["mlp.gate_proj", "mlp.up_proj"], ["mlp.down_proj"]]


@torch.no_grad()
def inputs_of(model, name):
    """X of a layer over all windows: the whole model runs."""
    kept = {}
    hook = model.get_submodule(name).register_forward_hook(lambda _, args, __: kept.update(x=args[0].flatten(0, 1).T))
    model(ids)
    hook.remove()
    return kept["x"]


result = {}
for layer in range(dense.config.num_hidden_layers):
    for group in GROUPS:
        names = [f"model.layers.{layer}.{name}" for name in group]
        X, Y = inputs_of(dense, names[0]), inputs_of(changed, names[0])
        A, B = X @ Y.T, Y @ Y.T
        shift = ridge * B.diagonal().mean() * torch.eye(len(B), dtype=B.dtype)
        e, Q = torch.linalg.eigh(B + shift)
        root = Q / e.sqrt()
        for name in names:
            if name not in ranks:
                continue
            W = dense.get_submodule(name).weight.detach()
            U, S, V = torch.linalg.svd(W @ (A + shift) @ root, full_matrices=False)
            k = ranks[name]
            product = (U[:, :k] * S[:k]) @ V[:k] @ root.T
            changed.get_submodule(name).weight.data = product
            lost = torch.linalg.norm(W @ X - product @ Y) / torch.linalg.norm(W @ X)
            result[name] = {"product": product.flatten().tolist(), "error": lost.item()}
print(json.dumps(result))
