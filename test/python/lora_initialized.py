"""Adapters initialized by the command line beside those of PEFT. Prints a JSON object of relative errors.

Usage: lora_initialized.py FOLDER NODE CLI
"""

import json
import subprocess
import sys

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

folder, node, cli = sys.argv[1:]
torch.manual_seed(1)
found = {}


def run(*words):
    done = subprocess.run([node, cli, *words, "--engine", "wasm", "--json"], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout)


def relative(one, other):
    return float((one - other).norm() / other.norm())


def worst(pairs):
    return max(relative(one, other) for one, other in pairs)


def layers(model):
    return {name: module for name, module in model.base_model.model.named_modules() if hasattr(module, "get_delta_weight")}


def parts(model):
    with torch.no_grad():
        return {name: (m.get_base_layer().weight, m.get_delta_weight("default")) for name, m in layers(model).items()}


LLAMA = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
llama = LlamaForCausalLM(LlamaConfig(hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
                                     num_key_value_heads=2, vocab_size=80, tie_word_embeddings=False))
gpt = GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=2, n_head=2, vocab_size=50, n_positions=20))
for name, model, targets, alpha in ("llama", llama, LLAMA, 24), ("gpt", gpt, ["c_attn", "c_proj", "c_fc"], 5):
    kind, path, out = type(model), f"{folder}/{name}", f"{folder}/{name} pissa"
    model.save_pretrained(path)
    run("lora", "init", path, "--rank", "8", "--alpha", str(alpha), "--out", out)
    own = PeftModel.from_pretrained(kind.from_pretrained(f"{out}/base"), f"{out}/adapter")
    config = LoraConfig(r=8, lora_alpha=alpha, init_lora_weights="pissa", target_modules=targets, fan_in_fan_out=name == "gpt")
    theirs = get_peft_model(kind.from_pretrained(path), config)
    ours, peft = parts(own), parts(theirs)
    assert ours.keys() == peft.keys()
    found[f"update of {name} as PEFT's"] = worst((ours[k][1], peft[k][1]) for k in ours)
    found[f"base of {name} as PEFT's"] = worst((ours[k][0], peft[k][0]) for k in ours)
    ours_a, peft_a = [{k: m.lora_A["default"].weight for k, m in layers(each).items()} for each in (own, theirs)]
    # Up to the sign of each component.
    found[f"A of {name} as PEFT's"] = worst((ours_a[k].abs(), peft_a[k].abs()) for k in ours_a)
    ids = torch.arange(16).reshape(1, -1)
    with torch.no_grad():
        found[f"logits of {name}"] = relative(own.eval()(ids).logits, model.eval()(ids).logits)

# In 16 bits, the base is rounded as PEFT rounds it, and what it holds beside the adapters is as it was.
half = llama.to(torch.bfloat16)
half.save_pretrained(f"{folder}/half")
run("lora", "init", f"{folder}/half", "--rank", "8", "--out", f"{folder}/half pissa")
own = LlamaForCausalLM.from_pretrained(f"{folder}/half pissa/base", dtype=torch.bfloat16)
theirs = get_peft_model(half, LoraConfig(r=8, lora_alpha=8, init_lora_weights="pissa", target_modules=LLAMA))
peft = {k: w.double() for k, (w, _) in parts(theirs).items()}
# A step of bfloat16, where the value before it lies between two numbers.
found["base in 16 bits, beyond a rare step"] = max(0, worst((own.get_submodule(k).weight.double(), w) for k, w in peft.items()) - 1e-3)
found["type of the base"] = abs(int(own.dtype == torch.bfloat16) - 1)

# The principal components of W X: the error on the inputs is that of the truncated W X.
path, out = f"{folder}/llama", f"{folder}/llama inputs"
ids = torch.randint(0, 80, (600,))
with open(f"{folder}/ids.json", "w") as file:
    json.dump(ids.tolist(), file)
run("calibrate", path, "--ids", f"{folder}/ids.json", "--context", "100", "--tokens", "600", "--out", f"{folder}/x.activations.safetensors")
report = run("lora", "init", path, "--rank", "8", "--activations", f"{folder}/x.activations.safetensors", "--out", out)
found["all on inputs"] = sum(not each["onInputs"] for each in report["matrices"])
model = LlamaForCausalLM.from_pretrained(path).eval()
inputs = {}
for name, module in model.named_modules():
    if name.endswith("_proj"):
        module.register_forward_hook(lambda module, args, out, name=name: inputs.setdefault(name, []).append(args[0].reshape(-1, args[0].shape[-1]).double()))
with torch.no_grad():
    for window in ids.split(100):
        model(window.reshape(1, -1))
    own = PeftModel.from_pretrained(LlamaForCausalLM.from_pretrained(f"{out}/base"), f"{out}/adapter")
    error, energy = [], []
    for each in report["matrices"]:
        name = each["name"].removesuffix(".weight")
        x = torch.cat(inputs[name]).T
        w = model.get_submodule(name).weight.double()
        base, delta = parts(own)[name]
        values = torch.linalg.svdvals(w @ x)
        best = values[8:].norm() / values.norm()
        error.append(abs(float(((w - delta.double()) @ x).norm() / (w @ x).norm() - best)))
        energy.append(abs(each["energy"] - float(1 - best**2)))
        error.append(relative(base.double() + delta.double(), w))
    found["least error on inputs, and the sum is W"] = max(error)
    found["energy of W X"] = max(energy)

print(json.dumps(found))
