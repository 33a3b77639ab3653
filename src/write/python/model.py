import argparse
import glob
import json
import os
from collections.abc import Callable
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM


def source(args: argparse.Namespace) -> dict[str, Any]:
    """Where `from_pretrained` finds the model; nothing is fetched."""
    folder, file = (args.model, "") if os.path.isdir(args.model) else os.path.split(args.model)
    options = {"pretrained_model_name_or_path": folder or ".", "local_files_only": True}
    if args.trust_remote_code:
        options["trust_remote_code"] = True
    return {**options, "gguf_file": file} if file.endswith(".gguf") else options


def load_model(args: argparse.Namespace, load: Callable[[nn.Module, str], nn.Module]) -> nn.Module:
    """The model, on the CPU; `load` gives it the weights of a file whose name transformers does not look for."""
    where = source(args)
    config = AutoConfig.from_pretrained(**where)
    if type(config) not in AutoModelForCausalLM._model_mapping and not args.trust_remote_code:
        raise SystemExit(f"{args.model}: {config.model_type} is no language model that predicts the next token")
    stored = getattr(config, "dtype", None) or getattr(config, "torch_dtype", None) or torch.float32
    dtype = torch.float32 if args.dtype == "float32" else stored
    option = {"dtype" if hasattr(config, "dtype") else "torch_dtype": dtype}  # The latter before 4.56.
    if os.path.isdir(args.model) or args.model.endswith(".gguf"):
        model, report = AutoModelForCausalLM.from_pretrained(**where, **option, output_loading_info=True)
        if report["missing_keys"]:
            raise SystemExit(f"{args.model}: it lacks {sorted(report['missing_keys'])[:5]}")
    else:
        trusted = {"trust_remote_code": True} if args.trust_remote_code else {}
        model = load(AutoModelForCausalLM.from_config(config, **option, **trusted), args.model)
    model.config.use_cache = False
    return model.eval()


def stored_tensors(model: nn.Module, path: str) -> dict[str, Tensor]:
    """The tensors of the checkpoint by their names in it; those of a GGUF file by their names in the model."""
    if path.endswith(".gguf"):
        return dict(model.state_dict())
    files = [path]
    if os.path.isdir(path):
        index = sorted(glob.glob(os.path.join(glob.escape(path), "*.index.json")))
        files = sorted(glob.glob(os.path.join(glob.escape(path), "model*.safetensors")))
        files = files or sorted(glob.glob(os.path.join(glob.escape(path), "pytorch_model*.bin")))
        if index:
            with open(index[-1], encoding="utf-8") as file:
                names = sorted(set(json.load(file)["weight_map"].values()))
            files = [os.path.join(path, name) for name in names]
    state: dict[str, Tensor] = {}
    for file in files:
        pickled = file.endswith(".bin")
        state.update(torch.load(file, map_location="cpu", weights_only=True) if pickled else load_file(file))
    return state
