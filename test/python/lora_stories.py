"""Adapters of a trained model, extracted and initialized by the command line, beside PEFT. Prints a JSON object of
relative errors.

Usage: lora_stories.py MODEL FOLDER NODE CLI
"""

import json
import subprocess
import sys

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM

path, folder, node, cli = sys.argv[1:]
torch.manual_seed(1)
found = {}


def run(*words):
    done = subprocess.run([node, cli, "lora", *words, "--engine", "wasm", "--json"], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout)


def load(where):
    return AutoModelForCausalLM.from_pretrained(where, dtype=torch.float32)


def adapted(model):
    return {name: m for name, m in model.base_model.model.named_modules() if hasattr(m, "get_delta_weight")}


def worst(pairs):
    return max(float((one.double() - other.double()).norm() / other.double().norm()) for one, other in pairs)


def zero(difference):
    return float(difference)


with torch.no_grad():
    model = load(path)
    model.save_pretrained(f"{folder}/base")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for name, value in model.named_parameters():
        if "proj" in name:
            value += 0.02 * torch.randn(value.shape[0], 8) @ torch.randn(8, value.shape[1])
    model.save_pretrained(f"{folder}/tuned")
    after = model.state_dict()
    report = run("extract", f"{folder}/base", f"{folder}/tuned", "--out", f"{folder}/adapter")
    projections = [name for name in before if "proj" in name]
    found["all projections are adapted"] = zero(len(report["matrices"]) != len(projections))
    found["at rank 8"] = zero(any(each["rank"] != 8 for each in report["matrices"]))
    layers = adapted(PeftModel.from_pretrained(load(f"{folder}/base"), f"{folder}/adapter"))
    found["PEFT finds all of them"] = zero(set(layers) != {name.removesuffix(".weight") for name in projections})
    found["get_delta_weight is the difference"] = worst(
        (layer.get_delta_weight("default"), after[f"{name}.weight"] - before[f"{name}.weight"])
        for name, layer in layers.items())

    run("init", f"{folder}/base", "--rank", "8", "--out", f"{folder}/pissa")
    own = adapted(PeftModel.from_pretrained(load(f"{folder}/pissa/base"), f"{folder}/pissa/adapter"))
    targets = sorted({name.rsplit(".", 1)[1] for name in own})
    config = LoraConfig(r=8, lora_alpha=8, init_lora_weights="pissa", target_modules=targets)
    theirs = adapted(get_peft_model(load(f"{folder}/base"), config))
    found["PiSSA adapts the layers of PEFT's"] = zero(set(own) != set(theirs))
    found["PiSSA's update is PEFT's"] = worst(
        (own[k].get_delta_weight("default"), theirs[k].get_delta_weight("default")) for k in own)
    found["PiSSA's base is PEFT's"] = worst((own[k].get_base_layer().weight, theirs[k].get_base_layer().weight) for k in own)
    for part in "lora_A", "lora_B":
        found[f"PiSSA's {part} is PEFT's up to sign"] = worst(
            (getattr(own[k], part)["default"].weight.abs(), getattr(theirs[k], part)["default"].weight.abs()) for k in own)
    found["PiSSA sums up to the model"] = worst(
        (own[k].get_base_layer().weight + own[k].get_delta_weight("default"), before[f"{k}.weight"]) for k in own)
print(json.dumps(found))
