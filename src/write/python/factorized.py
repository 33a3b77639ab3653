import functools
import json
import os
import struct
from typing import Any

import torch
from torch import Tensor

from .command import write_whole
from .settings import CUT, METADATA, TIES

# By the names of safetensors.
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
}
@functools.cache
def types() -> dict[str, str]:
    """How the matrices that may be cut are stored, by their names."""
    return {name: stored for stored, names in CUT.items() for name in names}


def factor_dtype(name: str) -> torch.dtype:
    """That of the matrix if products can be computed in it."""
    return DTYPES[types()[name]] if types()[name] in ("F64", "F32", "F16", "BF16") else torch.bfloat16


def write_factorized(
    path: str, state: dict[str, Tensor], result: Any, request: dict[str, Any], source: str
) -> int:
    """Writes the checkpoint `state` with the factors and norms of the result; returns the number of parameters.

    The rest stays as it is, and what is tied is written once.
    """
    factors, norms = result.factors, result.norms
    ties = {name: group[0] for group in TIES for name in group[1:]}
    tensors: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if name in factors:
            stem = name.removesuffix(".weight")
            b, a = factors[name]
            tensors[f"{stem}.lowrank_a.weight"], tensors[f"{stem}.lowrank_b.weight"] = a, b
        elif name not in ties:
            tensors[name] = norms.get(name, tensor)
    stored = {name: {"shape": list(state[name].shape), "transposed": True} for name in factors if name in result.transposed}
    others = {name: types()[name] for name in factors if types()[name] not in ("F64", "F32", "F16", "BF16")}
    described = {
        "request": request,
        "ranks": {name: len(a) for name, (_, a) in factors.items()},
        **({"stored": stored} if stored else {}),
        **({"ties": ties} if ties else {}),
        **({"types": others} if others else {}),
    }
    metadata = {
        "format": "pt",
        **METADATA,
        "rankscope.format": "rankscope.factorized/1",
        "rankscope.source": os.path.basename(os.path.abspath(source)),
        "rankscope.factors": "2",
        **{f"rankscope.{key}": json.dumps(value, separators=(",", ":")) for key, value in described.items()},
    }
    # Wider types first, so that all are aligned.
    ordered = sorted(tensors.items(), key=lambda each: -each[1].dtype.itemsize)
    header: dict[str, Any] = {"__metadata__": metadata}
    at = 0
    names = {dtype: name for name, dtype in DTYPES.items()}
    for name, tensor in ordered:
        end = at + tensor.numel() * tensor.dtype.itemsize
        header[name] = {"dtype": names[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [at, end]}
        at = end
    encoded = json.dumps(header, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % 8)

    def fill(file: Any) -> None:
        file.write(struct.pack("<Q", len(encoded)) + encoded)
        for _, tensor in ordered:
            file.write(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())

    write_whole(path, fill)
    return sum(tensor.numel() for tensor in tensors.values())
