"""Small mixtures whose experts are one tensor, and what a file and a folder with factors make of them.

expert_stacks.py make FOLDER: saves the models to FOLDER/KIND, prints {KIND: {TENSOR: shape}} of their stacks
expert_stacks.py compare FOLDER: for each, loads FOLDER/KIND.safetensors with the code in FOLDER/KIND.py, and the folder
FOLDER/KIND.out; prints {KIND: {...}} with the largest relative differences from the dense model that holds B A
"""

import importlib.util
import json
import os
import shutil
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformers as t
from safetensors import safe_open
from safetensors.torch import load_file, save_file

SIZES = dict(vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=64)
FEW = dict(num_experts_per_tok=2)
GPT_OSS = dict(**FEW, head_dim=8, num_local_experts=4, rope_parameters=None,
               layer_types=["sliding_attention", "full_attention"])
KINDS = {
    "qwen3_moe": lambda: t.Qwen3MoeConfig(**SIZES, **FEW, head_dim=8, num_experts=4, moe_intermediate_size=24),
    "mixtral": lambda: t.MixtralConfig(**SIZES, **FEW, num_local_experts=4),
    # Inputs first, gate and up interleaved, with biases.
    "gpt_oss": lambda: t.GptOssConfig(**SIZES, **GPT_OSS),
    "gpt_oss_mxfp4": lambda: t.GptOssConfig(**{**SIZES, "intermediate_size": 64}, **GPT_OSS),
}
IDS = torch.arange(40).reshape(2, 20) * 7 % 64


def make(folder: Path) -> dict:
    shapes = {}
    for seed, (kind, config) in enumerate(KINDS.items()):
        torch.manual_seed(seed)
        model = t.AutoModelForCausalLM.from_config(config()).float()
        for parameter in model.parameters():
            if parameter.dim() > 1:
                torch.nn.init.normal_(parameter, std=parameter.shape[-1] ** -0.5)
        model.save_pretrained(folder / kind, save_original_format=False)
        if kind == "gpt_oss_mxfp4":
            quantize(folder / kind)
        with safe_open(folder / kind / "model.safetensors", "pt") as file:
            found = {name.removesuffix("_blocks"): file.get_slice(name).get_shape() for name in file.keys()}
        shapes[kind] = {name: shape for name, shape in found.items() if name.endswith("_proj") and "experts" in name}
    return shapes


def quantize(folder: Path) -> None:
    """Makes the experts MXFP4 of random codes, as gpt-oss is published: (out, in), where the model has (in, out)."""
    tensors = load_file(folder / "model.safetensors")
    for name in [name for name in tensors if name.endswith("_proj")]:
        count, inputs, outputs = tensors.pop(name).shape
        groups = (count, outputs, inputs // 32)
        tensors[f"{name}_blocks"] = torch.randint(0, 256, (*groups, 16), dtype=torch.uint8)
        tensors[f"{name}_scales"] = torch.randint(122, 126, groups, dtype=torch.uint8)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "mxfp4", "modules_to_not_convert": ["lm_head"]}
    (folder / "config.json").write_text(json.dumps(config))


def with_products(dense: dict, low: dict, transposed: bool) -> dict:
    """The tensors of the dense model with B A in the place of each W; experts are (out, in) in `low`."""

    def matrix(stem: str) -> torch.Tensor:
        if f"{stem}.weight" in low:
            return low.pop(f"{stem}.weight").float()
        a, b = low.pop(f"{stem}.lowrank_a.weight"), low.pop(f"{stem}.lowrank_b.weight")
        return (b.double() @ a.double()).float()

    made = {}
    for name, weight in dense.items():
        if name in low:
            made[name] = low.pop(name).float()
        elif weight.dim() == 3:
            experts = torch.stack([matrix(f"{name}.experts.{expert}") for expert in range(len(weight))])
            made[name] = (experts.mT if transposed else experts).contiguous()
        else:
            made[name] = matrix(name.removesuffix(".weight"))
        assert made[name].shape == weight.shape, name
    assert not low, [*low]
    return made


@torch.no_grad()
def compare(folder: Path, kind: str) -> dict:
    source, out, again, reference = (folder / f"{kind}{end}" for end in ("", ".out", ".again", ".reference"))
    original = opened(source)
    dense = original.float().state_dict()
    logits = lambda model: model.float().eval()(IDS).logits
    before = logits(original)

    def difference(model, low: dict) -> float:
        shutil.copytree(source, reference, dirs_exist_ok=True)
        tensors = with_products(dense, low, kind.startswith("gpt_oss"))
        save_file(tensors, reference / "model.safetensors", {"format": "pt"})
        config = json.loads((reference / "config.json").read_text())
        (reference / "config.json").write_text(json.dumps({**config, "quantization_config": None}))
        expected = logits(opened(reference))
        assert (expected - before).abs().max() > 0.01 * before.abs().max(), "the factors change nothing"
        return float((logits(model) - expected).abs().max() / expected.abs().max())

    file = folder / f"{kind}.safetensors"
    plain = type(original)(type(original.config)(**KINDS[kind]().to_dict()))
    code(folder / f"{kind}.py").load_lowrank(plain, file)
    model = opened(out)
    found = {"file": difference(plain, load_file(file)), "dense": plain.lowrank_dense}
    found["folder"] = difference(model, load_file(out / "model.safetensors"))
    found["parameters"] = [sum(each.numel() for each in made.parameters()) for made in (plain, model)]
    model.save_pretrained(again)
    found["again"] = difference(opened(again), load_file(again / "model.safetensors"))
    with safe_open(out / "model.safetensors", "pt") as one, safe_open(again / "model.safetensors", "pt") as two:
        found["names"] = sorted(set(one.keys()) ^ set(two.keys()))
    found["refusal"] = refusal(out, again)
    return found


def opened(folder: Path):
    model, info = t.AutoModelForCausalLM.from_pretrained(
        folder, trust_remote_code=True, dtype=torch.float32, output_loading_info=True
    )
    assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"], info
    return model


def refusal(out: Path, again: Path) -> str:
    """The error for ranks of fewer experts than the model has."""
    shutil.copytree(out, again, dirs_exist_ok=True)
    config = json.loads((again / "config.json").read_text())
    next(iter(config["rankscope"]["stacks"].values()))["ranks"].pop()
    (again / "config.json").write_text(json.dumps(config))
    try:
        opened(again)
    except ValueError as error:
        return str(error)
    return "it opens"


def code(path: Path):
    spec = importlib.util.spec_from_file_location("generated", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    t.logging.set_verbosity_error()
    t.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    task, folder = sys.argv[1], Path(sys.argv[2])
    print(json.dumps(make(folder) if task == "make" else {kind: compare(folder, kind) for kind in KINDS}))
