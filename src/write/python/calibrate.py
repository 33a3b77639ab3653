import argparse
import json
import os
import shutil
import struct
import tempfile
from typing import Any

import torch
import transformers
from torch import Tensor, nn

from .command import Progress, arguments, device_of, run, say, write_whole
from .inputs import Group, Inputs, budget_of
from .model import load_model, stored_tensors
from .names import names_of
from .plain import load_weights
from .windows import windows_of


def main() -> None:
    args = arguments(
        "Collects statistics of the inputs of the model's linear layers over the text.",
        memory=dict(type=float, help="GB for sums at once, by default half of what is free; less takes more passes"),
    )
    device = device_of(args.device)
    model = load_model(args, load_weights)
    if hasattr(model, "set_experts_implementation"):
        model.set_experts_implementation("eager")  # One product for each expert, so that its inputs are seen.
    windows, text = windows_of(args, model.config)
    with tempfile.TemporaryFile(dir=os.path.dirname(os.path.abspath(args.out))) as data:
        budget = budget_of(device) if args.memory is None else int(args.memory * 1e9)
        groups = collect(Inputs(model.to(device), budget), windows, args.batch, data)
        matrices = names_of([group.weights for group in groups], model, stored_tensors(model, args.model))
        header = header_of(groups, matrices, args, text)

        def fill(file: Any) -> None:
            file.write(struct.pack("<Q", len(header)) + header)
            data.seek(0)
            shutil.copyfileobj(data, file, 1 << 24)
            file.write(struct.pack(f"<{len(groups)}q", *(group.tokens for group in groups)))

        write_whole(args.out, fill)
    few = sum(group.tokens < group.size for group in groups)
    if few:
        say(f"{few} of {len(groups)} groups of layers saw fewer tokens than they have inputs; a longer text is better")
    say(f"written to {args.out}: {text['windows']} windows, {text['dropped']} tokens of the text dropped")


@torch.no_grad()
def collect(inputs: "Inputs", windows: Tensor, batch: int | None, data: Any) -> "list[Group]":
    """The groups of layers with the same inputs; the R of each (n x n, f32) is appended to the file `data`.

    R is upper triangular with R^T R = X X^T. What does not fit into the memory at once takes more passes over the text.
    """
    model = inputs.model
    while True:
        progress = Progress(len(windows))
        for ids in windows.split(batch or max(1, 2048 // windows.shape[1])):
            with inputs:
                model(ids.to(model.device), use_cache=False)
            inputs.end_call()
            progress.step(len(ids), f"windows, {len(inputs.groups)} groups of layers")
        ended = [group for group in inputs.groups if group.open]
        progress = Progress(len(ended))
        for group in ended:
            data.write(group.close().float().contiguous().numpy().tobytes())
            progress.step(1, "groups triangular")
        if not inputs.next_pass():
            break
        say("the sums of the other layers take another pass over the text")
    for group in inputs.add_unreached():
        data.write(bytes(4 * group.size**2))
    return inputs.groups


def header_of(
    groups: "list[Group]", matrices: list[dict[str, list[int]]], args: argparse.Namespace, text: dict[str, Any]
) -> bytes:
    """The header of a safetensors file: all R, then the counts of tokens."""
    names = [next(iter(own)).removesuffix(".weight") for own in matrices]
    described = [{"name": name, "matrices": own} for name, own in zip(names, matrices)]
    header: dict[str, Any] = {
        "__metadata__": {
            "format": "pt",
            "rankscope.format": "rankscope.activations/1",
            "rankscope.groups": json.dumps(described),
            "rankscope.model": os.path.basename(os.path.abspath(args.model)),
            "rankscope.text": text["name"],
            "rankscope.producer": f"transformers {transformers.__version__}",
        }
    }
    at = 0
    for name, group in zip(names, groups):
        end = at + 4 * group.size**2
        header[f"{name}.R"] = {"dtype": "F32", "shape": [group.size] * 2, "data_offsets": [at, end]}
        at = end
    for name in names:
        header[f"{name}.tokens"] = {"dtype": "I64", "shape": [], "data_offsets": [at, at + 8]}
        at += 8
    encoded = json.dumps(header).encode()
    return encoded + b" " * (-len(encoded) % 8)
