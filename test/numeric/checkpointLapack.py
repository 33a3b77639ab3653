"""Singular values of every matrix of a safetensors file by LAPACK in f64, read by the safetensors library.

argv: the file; stdout: JSON {name: [values, descending]}.
"""
import json
import sys
import numpy
from safetensors import safe_open

with safe_open(sys.argv[1], "pt") as checkpoint:
    matrices = {name: checkpoint.get_tensor(name) for name in checkpoint.keys()}
print(json.dumps({
    name: numpy.linalg.svd(tensor.double().numpy(), compute_uv=False).tolist()
    for name, tensor in matrices.items()
    if tensor.ndim == 2
}))
