"""Reads a factorized checkpoint with the safetensors package alone and compares it with its source.

usage: load_and_multiply.py SOURCE RESULT; prints {"errors": {name: relative error}, "carried": [names equal byte for byte]}
"""

import json
import sys

import torch
from safetensors import safe_open


def read(path: str) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    with safe_open(path, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()


def matrix(tensors: dict[str, torch.Tensor], stem: str) -> torch.Tensor:
    get = lambda suffix: tensors[f"{stem}.{suffix}"].double()
    if f"{stem}.svd_s" in tensors:
        return get("svd_u") @ torch.diag(get("svd_s")) @ get("svd_v")
    return get("lowrank_b.weight") @ get("lowrank_a.weight")


source, _ = read(sys.argv[1])
result, metadata = read(sys.argv[2])
transposed = json.loads(sys.argv[3]) if len(sys.argv) > 3 else []
errors, carried, differing = {}, [], []
for name, dense in source.items():
    if name in result:
        same = result[name].dtype == dense.dtype and result[name].shape == dense.shape
        bits = lambda tensor: tensor.contiguous().view(torch.uint8)
        (carried if same and torch.equal(bits(result[name]), bits(dense)) else differing).append(name)
    elif name in json.loads(metadata["rankscope.ranks"]):
        product = matrix(result, name.removesuffix(".weight"))
        dense = dense.double().flatten(1)
        dense = dense.T if name in transposed else dense
        errors[name] = float(torch.linalg.norm(dense - product) / torch.linalg.norm(dense))
print(json.dumps({"errors": errors, "carried": carried, "differing": differing, "metadata": metadata}))
