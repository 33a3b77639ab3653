"""Opens a model folder that was written with factors, compares it with the dense model, and saves and opens it again."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn

from build import Built, outputs, said
from judge import compare
from safetensors.torch import load_file
from truth import dense_with_products, weights_file


def judge_folder(built: Built, source: Path, folder: Path) -> dict[str, Any]:
    """The verdict on one architecture: its outputs from the folder, and from what save_pretrained makes of it."""
    weights = weights_file(source)
    reference_folder = source.parent / "reference"
    shutil.rmtree(reference_folder, ignore_errors=True)
    shutil.copytree(source, reference_folder)
    planned, _ = dense_with_products(str(weights), str(weights_file(folder)), str(reference_folder / weights.name))
    size = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    report: dict[str, Any] = {"planned": planned, "bytes": size, "bytesBefore": weights.stat().st_size}
    reference, known = type(built.model).from_pretrained(reference_folder, output_loading_info=True)
    reference = reference.eval().float()
    again = folder.parent / "again"
    shutil.rmtree(again, ignore_errors=True)
    try:
        model = opened(folder, known)
        first = layers(model) | compare(built, reference, model)
        if first["verdict"] != "equal":
            return report | first
        model.save_pretrained(again)
        saved = sum(file.stat().st_size for file in again.glob("*.safetensors"))
        second = compare(built, type(built.model).from_pretrained(reference_folder).eval().float(), opened(again, known))
        if second["verdict"] != "equal":
            return report | first | second | {"reason": f"saved and opened again: {second.get('reason')}"}
        if saved > 1.01 * size + 4096:
            return report | first | {"verdict": "WRONG", "reason": f"saved in {saved} bytes, from {size}"}
        return report | first
    except Exception as error:
        return report | {"verdict": "refused", "reason": said(error)}


def opened(folder: Path, known: dict[str, Any]) -> nn.Module:
    """The model as a user opens it; no weight is missing or left over but those of the dense model."""
    config = json.loads((folder / "config.json").read_text())
    auto = next(name for name in [*config["auto_map"]][::-1] if hasattr(transformers, name))
    wanted = config["architectures"][0]
    for name, reference in config["auto_map"].items():
        # AutoBackbone asks the hub for every path, also for that of a stock model.
        if reference.endswith(f".{wanted}") and hasattr(transformers, name) and name != "AutoBackbone":
            auto = name
            break
    model, found = getattr(transformers, auto).from_pretrained(
        str(folder), trust_remote_code=True, output_loading_info=True, **dtype_option()
    )
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if others := set(map(str, found.get(kind) or ())) - set(map(str, known.get(kind) or ())):
            raise ValueError(f"{kind}: {sorted(others)[:3]}")
    return model.eval().float()


def dtype_option() -> dict[str, Any]:
    major, minor = (int(part) for part in transformers.__version__.split(".")[:2])
    return {"dtype" if (major, minor) >= (4, 56) else "torch_dtype": torch.float32}


def layers(model: nn.Module) -> dict[str, int]:
    """How many layers multiply by factors, and how many weights are computed of factors when code reads them."""
    plain = [each for each in model.modules() if any(kind.__name__ == "LowRankLayer" for kind in type(each).__mro__)]
    computed = sum(len(vars(each).get("_computed", {})) for each in model.modules())
    return {"replaced": len(plain), "kept": computed}
