"""Adapters written by the command line, beside what PEFT makes of the same ones. Prints a JSON object of relative errors.

Usage: lora_written.py FOLDER NODE CLI
"""

import json
import os
import subprocess
import sys

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora.intruders import reduce_intruder_dimension
from safetensors.torch import load_file, save_file
from torch import nn

folder, node, cli = sys.argv[1:]
torch.manual_seed(1)


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.q_proj = nn.Linear(12, 20, bias=False)
        self.k_proj = nn.Linear(12, 8, bias=False)
        self.conv = nn.Conv2d(4, 6, 3, bias=False)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed_tokens = nn.Embedding(30, 12)
        self.layers = nn.ModuleList([Block(), Block()])

    def forward(self, x):
        return x


base = Model()
weights = {name: value.clone() for name, value in base.state_dict().items()}
save_file(weights, f"{folder}/base.safetensors")


def fresh():
    model = Model()
    model.load_state_dict(weights)
    return model


def randomize(model):
    for name, parameter in model.named_parameters():
        if "lora_" in name and "magnitude" not in name:
            nn.init.normal_(parameter, std=0.3)


def make(name, **options):
    model = get_peft_model(fresh(), LoraConfig(target_modules=["q_proj", "k_proj", "embed_tokens", "conv"], **options))
    randomize(model)
    model.save_pretrained(f"{folder}/{name}")


make("a", r=4, lora_alpha=6, rank_pattern={r"^layers\.0\.q_proj": 3}, alpha_pattern={"k_proj": 11})
make("b", r=4, lora_alpha=8, use_rslora=True)
make("c", r=4, lora_alpha=2)
dora = get_peft_model(fresh(), LoraConfig(target_modules=["q_proj", "k_proj"], r=2, lora_alpha=3, use_dora=True))
randomize(dora)
dora.save_pretrained(f"{folder}/dora")


def deltas(model, name="default"):
    return {
        key: module.get_delta_weight(name)
        for key, module in model.base_model.model.named_modules()
        if hasattr(module, "get_delta_weight") and name in (*module.lora_A, *module.lora_embedding_A)
    }


def loaded(path):
    with torch.no_grad():
        return deltas(PeftModel.from_pretrained(fresh(), path))


def run(*words):
    result = subprocess.run([node, cli, "lora", *words], capture_output=True, text=True)
    if result.returncode != 0:
        raise SystemExit(result.stderr)


def apart(found, expected):
    if found.keys() != expected.keys():
        return f"{sorted(found)} instead of {sorted(expected)}"
    return max((found[key] - expected[key]).norm().item() / expected[key].norm().item() for key in expected)


a, b, c = f"{folder}/a", f"{folder}/b", f"{folder}/c"
errors = {}
with torch.no_grad():
    together = PeftModel.from_pretrained(fresh(), b, adapter_name="b")
    together.load_adapter(c, adapter_name="c")
    for method, options in {
        "linear": {},
        "cat": {},
        "svd": {"svd_rank": 3},
        "ties": {"density": 0.4, "majority_sign_method": "frequency"},
        "magnitude_prune": {"density": 0.5},
        "ties_svd": {"density": 0.6, "svd_rank": 5},
    }.items():
        # PEFT's SVD cannot reshape convolutions of every kernel; they are compared with the other methods.
        together.base_model.add_weighted_adapter(["b", "c"], [0.7, -1.3], method, combination_type=method, **options)
        config = together.peft_config[method]
        expected = deltas(together, method)
        if config.use_rslora:
            # It keeps rsLoRA and sets alpha to r, so that its own scale is sqrt r where its factors mean 1.
            expected = {key: value / config.r**0.5 for key, value in expected.items()}
        words = ["merge", b, c, "--weights=0.7,-1.3", "--method", method, "--out", f"{folder}/{method}"]
        words += ["--density", str(options["density"])] if "density" in options else []
        words += ["--rank", str(options["svd_rank"])] if "svd_rank" in options else []
        words += ["--majority-sign", "frequency"] if "majority_sign_method" in options else []
        run(*words)
        errors[method] = apart(loaded(f"{folder}/{method}"), expected)

    before = loaded(a)
    run("resize", a, "--rank", "2", "--out", f"{folder}/resized")
    flat = lambda value: value.flatten(1)
    best = {}
    for key, value in before.items():
        u, s, v = torch.linalg.svd(flat(value), full_matrices=False)
        best[key] = (u[:, :2] * s[:2] @ v[:2]).reshape(value.shape)
    errors["resize"] = apart(loaded(f"{folder}/resized"), best)

    for target in ["peft", "vllm", "llama.cpp"]:
        source = a
        if target != "peft":
            # Without the convolution and the table, which these loaders refuse or have other names for.
            source = f"{folder}/linear-only"
            if not os.path.exists(source):
                os.mkdir(source)
                tensors = load_file(f"{a}/adapter_model.safetensors")
                save_file({k: v for k, v in tensors.items() if "_proj" in k}, f"{source}/adapter_model.safetensors")
                config = json.load(open(f"{a}/adapter_config.json"))
                json.dump({**config, "target_modules": ["q_proj", "k_proj"]}, open(f"{source}/adapter_config.json", "w"))
        out = f"{folder}/for-{target}"
        run("convert", source, "--target", target, "--out", out)
        wanted = {key: value for key, value in before.items() if target == "peft" or "_proj" in key}
        errors[target] = apart(loaded(out), wanted)
        config = json.load(open(f"{out}/adapter_config.json"))
        tensors = load_file(f"{out}/adapter_model.safetensors")
        seen = {}
        for key in wanted if target != "peft" else []:
            up, down = (tensors[f"base_model.model.{key}.lora_{x}.weight"] for x in "BA")
            # vLLM takes one scale of the configuration, llama.cpp one alpha over the rank of the tensor.
            scale = config["lora_alpha"] / (config["r"] if target == "vllm" else down.shape[0])
            seen[key] = scale * up @ down
        if seen:
            errors[f"{target} alone"] = apart(seen, wanted)

    # There and back again under kohya's names, whose alpha stands beside each layer.
    kohya = f"{folder}/kohya.safetensors"
    run("convert", source, "--to", "kohya", "--target", "comfyui", "--out", kohya)
    tensors = load_file(kohya)
    seen = {}
    for key in wanted:
        name = "lora_" + key.replace(".", "_")
        up, down, alpha = (tensors[f"{name}.{x}"] for x in ["lora_up.weight", "lora_down.weight", "alpha"])
        seen[key] = alpha / down.shape[0] * up @ down
    errors["kohya"] = apart(seen, wanted)
    run("convert", kohya, "--base", f"{folder}/base.safetensors", "--out", f"{folder}/back")
    errors["kohya and back"] = apart(loaded(f"{folder}/back"), wanted)

    for name in ["a", "dora"]:
        run("merge", f"{folder}/{name}", "--into", f"{folder}/base.safetensors", "--out", f"{folder}/{name}.merged")
        merged = PeftModel.from_pretrained(fresh(), f"{folder}/{name}").merge_and_unload().state_dict()
        errors[f"{name} into base"] = apart(load_file(f"{folder}/{name}.merged"), dict(merged))
    run("resize", f"{folder}/dora", "--rank", "2", "--out", f"{folder}/dora-resized")
    merged = PeftModel.from_pretrained(fresh(), f"{folder}/dora").merge_and_unload().state_dict()
    again = PeftModel.from_pretrained(fresh(), f"{folder}/dora-resized").merge_and_unload().state_dict()
    errors["dora resized"] = apart(dict(again), dict(merged))

    model = PeftModel.from_pretrained(fresh(), source)
    options = {"top_k": 4, "threshold_epsilon": 0.8, "mitigation_lambda": 0.25}
    reduce_intruder_dimension(model, logging_sink=None, **options)
    words = ["--top", "4", "--threshold", "0.8", "--remain", "0.25"]
    run("clean", source, "--base", f"{folder}/base.safetensors", "--out", f"{folder}/clean", *words)
    errors["clean"] = apart(loaded(f"{folder}/clean"), deltas(model, "intruder_reduced"))
    if apart(loaded(f"{folder}/clean"), loaded(source)) < 1e-3:
        errors["clean"] = "nothing was cleaned"

    suggested = f"{folder}/suggested"
    run("suggest", f"{folder}/base.safetensors", "--targets", "attention", "--rank", "3", "--write", suggested, "--out", f"{folder}/suggestion.json")
    wanted = {module["name"]: module["rank"] for module in json.load(open(f"{folder}/suggestion.json"))["modules"]}
    code = {}
    exec(open(f"{suggested}/lora_config.py").read(), code)
    for config in [LoraConfig.from_pretrained(suggested), code["config"]]:
        model = get_peft_model(fresh(), config).base_model.model
        adapted = {key: module for key, module in model.named_modules() if hasattr(module, "get_delta_weight")}
        ranks = {key: module.lora_A["default"].weight.shape[0] for key, module in adapted.items()}
        scales = {module.scaling["default"] for module in adapted.values()}
        if ranks != wanted or len(set(ranks.values())) == 1 or scales != {2.0}:
            errors["suggest"] = f"{ranks} instead of {wanted}, scales {scales}"
    errors.setdefault("suggest", 0)

print(json.dumps(errors))
