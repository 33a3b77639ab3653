"""Loads factorized models with the code generated for them and compares them with the dense model that holds B A.

The dense model is `from_pretrained` of the original checkpoint, in which the factors of the written file are multiplied out.

usage: compare_models.py FOLDER NAME...; of FOLDER/NAME it reads config.json, model.safetensors, low.safetensors and low.py
Prints {NAME: {"difference": largest, relative, "low_rank": {class: count}, "dense": {matrix: reason}, "error": null}}
"""

import copy
import importlib.util
import json
import sys
import warnings
from pathlib import Path

import torch
import transformers
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoConfig


def module_of(path: Path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def inputs(config) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(3, 48, (2, 9), generator=generator)
    if config.model_type == "vit":
        return {"pixel_values": torch.randn(2, 3, 32, 32, generator=generator)}
    if config.model_type == "whisper":
        return {"input_features": torch.randn(2, 8, 32, generator=generator), "decoder_input_ids": ids}
    if config.model_type == "wav2vec2":
        return {"input_values": torch.randn(2, 400, generator=generator)}
    return {"input_ids": ids, "decoder_input_ids": ids} if config.is_encoder_decoder else {"input_ids": ids}


def write_dense(folder: Path) -> None:
    """Writes the original checkpoint with each B A in the place and the shape of its matrix."""
    original, low = load_file(folder / "model.safetensors"), load_file(folder / "low.safetensors")
    with safe_open(folder / "low.safetensors", "pt") as file:
        metadata = file.metadata()
    for name in json.loads(metadata["rankscope.ranks"]):
        stack, _, expert = name.removesuffix("]").partition("[")
        like = original[stack][int(expert)] if expert else original[name]
        stem = f"{stack}.experts.{expert}" if expert else name.removesuffix(".weight")
        if f"{stem}.svd_s" in low:
            product = low[f"{stem}.svd_u"].double() * low[f"{stem}.svd_s"].double() @ low[f"{stem}.svd_v"].double()
        else:
            product = low[f"{stem}.lowrank_b.weight"].double() @ low[f"{stem}.lowrank_a.weight"].double()
        # The one that resembles the original; a wrong one would be off by its whole norm.
        either = [product.reshape(like.shape), product.T.reshape(like.shape)]
        right = min(either, key=lambda one: float((one - like.double()).norm())).float().contiguous()
        if expert:
            original[stack][int(expert)] = right
        else:
            original[name] = right
    for name, same in json.loads(metadata.get("rankscope.ties", "{}")).items():
        original[name] = original[same].clone()
    (folder / "dense").mkdir(exist_ok=True)
    (folder / "dense" / "config.json").write_text((folder / "config.json").read_text())
    save_file(original, folder / "dense" / "model.safetensors", metadata={"format": "pt"})


def refusal(generated, architecture, config, folder: Path) -> str:
    """The error for a model with a larger vocabulary, or more labels, than the file has."""
    larger = copy.deepcopy(config)
    if config.model_type == "vit":
        larger.num_labels = 5
    else:
        larger.vocab_size += 2
    model = architecture(larger)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    try:
        generated.load_lowrank(model, folder / "low.safetensors")
    except ValueError as error:
        after = model.state_dict()
        assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
        return str(error)
    return "it loads"


@torch.no_grad()
def compare(folder: Path) -> dict[str, object]:
    config = AutoConfig.from_pretrained(folder)
    architecture = getattr(transformers, config.architectures[0])
    write_dense(folder)
    expected = architecture.from_pretrained(folder / "dense").eval()(**inputs(config))[0]
    before = architecture.from_pretrained(folder).eval()(**inputs(config))[0]
    generated = module_of(folder / "low.py")
    torch.manual_seed(1)
    model = architecture(config)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        generated.load_lowrank(model, folder / "low.safetensors")
    found = model.eval()(**inputs(config))[0]
    layers = [type(layer).__name__ for layer in model.modules() if isinstance(layer, generated.LowRank)]
    return {
        "difference": float((found - expected).abs().max() / expected.abs().max()),
        "changed": float((before - expected).abs().max() / expected.abs().max()),
        "low_rank": {name: layers.count(name) for name in sorted(set(layers))},
        "dense": model.lowrank_dense,
        "refusal": refusal(generated, architecture, config, folder) if config.model_type in ("gpt_neox", "vit") else None,
        "warned": any("lowrank_dense" in str(warning.message) for warning in warned),
    }


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    outcome = {}
    for name in sys.argv[2:]:
        try:
            outcome[name] = {**compare(Path(sys.argv[1]) / name), "error": None}
        except Exception as error:
            outcome[name] = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(outcome))
