"""Adapters extracted and initialized by the command line, as PEFT loads them. Prints a JSON object of relative errors.

Usage: lora_extracted.py FOLDER NODE CLI
"""

import json
import os
import subprocess
import sys

import torch
from peft import PeftModel
from safetensors.torch import save_file
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

folder, node, cli = sys.argv[1:]
torch.manual_seed(1)
found = {}


def run(*words, fails=False):
    done = subprocess.run([node, cli, "lora", *words, "--engine", "wasm", "--json"], capture_output=True, text=True)
    if fails:
        return done.stderr
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout)


def noise(*shape):
    return torch.randn(*shape)


def relative(one, other, base):
    norm = lambda values: sum((value.double() ** 2).sum() for value in values) ** 0.5
    keys = base.keys()
    return float(norm(one[k] - other[k] for k in keys) / norm(other[k] - base[k] for k in keys))


def weights(model):
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def merged(kind, path, adapter, before=lambda model: None):
    model = kind.from_pretrained(path)
    before(model)
    with torch.no_grad():
        whole = PeftModel.from_pretrained(model, adapter).merge_and_unload()
    return weights(whole)


# A tuned LLaMA: a rank 8 difference in all layers but one, none in that, and changed norms.
config = LlamaConfig(hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
                     num_key_value_heads=2, vocab_size=80, tie_word_embeddings=False)
base = LlamaForCausalLM(config)
base.save_pretrained(f"{folder}/base")
before = weights(base)
with torch.no_grad():
    for name, value in base.named_parameters():
        if "proj" in name and "layers.1.mlp.up" not in name:
            value += 0.02 * noise(value.shape[0], 8) @ noise(8, value.shape[1])
base.save_pretrained(f"{folder}/lowrank")
lowrank = weights(base)
for name, words in {"default": [], "error": ["--error", "1e-4"]}.items():
    report = run("extract", f"{folder}/base", f"{folder}/lowrank", "--out", f"{folder}/{name}", *words)
    found[f"rank 8 is found, {name}"] = max(abs(each["rank"] - 8) for each in report["matrices"])
    found[f"13 matrices, 2 equal ones left out, {name}"] = abs(len(report["matrices"]) - 13)
    found[f"difference of rank 8, {name}"] = relative(merged(LlamaForCausalLM, f"{folder}/base", f"{folder}/{name}"), lowrank, before)

# Every difference has full rank: the error of the merged model is the predicted one, for every way to choose ranks.
with torch.no_grad():
    for name, value in base.named_parameters():
        if value.ndim == 2:
            value += 0.01 * noise(*value.shape) * torch.linspace(0.1, 2, value.shape[1])
        else:
            value += 0.05 * noise(*value.shape)
base.save_pretrained(f"{folder}/tuned")
tuned = weights(base)
for name, words in {
    "rank": ["--rank", "5"],
    "energy": ["--energy", "0.8"],
    "all, error": ["--error", "0.3", "--spread", "all"],
    "parameters": ["--parameters", "9000"],
    "embeddings": ["--rank", "6", "--targets", "*"],
}.items():
    out = f"{folder}/tuned {name}"
    report = run("extract", f"{folder}/base", f"{folder}/tuned", "--out", out, *words)
    error = relative(merged(LlamaForCausalLM, f"{folder}/base", out), tuned, before)
    for key in ("predictedError", "measuredError"):
        found[f"{key}, {name}"] = abs(report["totals"][key] - error)
    parameters = sum(v.numel() for k, v in PeftModel.from_pretrained(LlamaForCausalLM.from_pretrained(f"{folder}/base"), out).named_parameters() if "lora_" in k)
    found[f"parameters, {name}"] = abs(report["totals"]["parameters"] - parameters)
out = f"{folder}/saved"
report = run("extract", f"{folder}/base", f"{folder}/tuned", "--out", out, "--rank", "64", "--modules-to-save")
found["all whole or of full rank"] = relative(merged(LlamaForCausalLM, f"{folder}/base", out), tuned, before)

# GPT-2 has transposed weights, biases and a tied head; its vocabulary grows, or shrinks.
for rows in (3, -3):
    gpt = GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=2, n_head=2, vocab_size=50, n_positions=20))
    gpt.save_pretrained(f"{folder}/gpt")
    gpt.resize_token_embeddings(50 + rows)
    with torch.no_grad():
        for value in gpt.parameters():
            value += 0.02 * noise(*value.shape)
    gpt.save_pretrained(f"{folder}/gpt tuned")
    out = f"{folder}/gpt adapter {rows}"
    report = run("extract", f"{folder}/gpt", f"{folder}/gpt tuned", "--out", out, "--rank", "32", "--modules-to-save")
    found[f"{rows} new rows"] = abs([other["newRows"] for other in report["others"] if "newRows" in other][0] - rows)
    found[f"{rows} new rows are told"] = 0 if any(f"has 3 {'more' if rows > 0 else 'fewer'} rows" in remark for remark in report["remarks"]) else 1
    model = GPT2LMHeadModel.from_pretrained(f"{folder}/gpt")
    model.resize_token_embeddings(50 + rows, mean_resizing=False)
    with torch.no_grad():
        adapted = PeftModel.from_pretrained(model, out)
        ids = torch.arange(15).reshape(1, -1) + 35 + rows
        want = gpt.eval()(ids).logits
        for name, one in {"adapted": adapted, "merged": adapted.merge_and_unload()}.items():
            found[f"logits of GPT-2 with {rows} new rows, {name}"] = float((one.eval()(ids).logits - want).norm() / want.norm())

# A head of its own that shrank is no layer to adapt: it would have fewer outputs than the base.
config = LlamaConfig(hidden_size=64, intermediate_size=96, num_hidden_layers=1, num_attention_heads=4,
                     num_key_value_heads=2, vocab_size=80, tie_word_embeddings=False)
llama = LlamaForCausalLM(config)
llama.save_pretrained(f"{folder}/80")
llama.resize_token_embeddings(70)
with torch.no_grad():
    for value in llama.parameters():
        value += 0.02 * noise(*value.shape)
llama.save_pretrained(f"{folder}/70")
report = run("extract", f"{folder}/80", f"{folder}/70", "--out", f"{folder}/fewer", "--rank", "4")
found["a shrunken head is not adapted"] = sum("lm_head" in each["name"] for each in report["matrices"])
with torch.no_grad():
    PeftModel.from_pretrained(LlamaForCausalLM.from_pretrained(f"{folder}/80"), f"{folder}/fewer")

print(json.dumps(found))
