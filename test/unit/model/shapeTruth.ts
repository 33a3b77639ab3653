/**
 * Python: the matrices of small files as their frameworks apply them, each as (out) x (in), with their singular values
 * in float64. The rules are written down here a second time, for each file by hand.
 */
export const SHAPE_TRUTH = `
import json, os, sys
import numpy as np
root = sys.argv[1]
truth = {}

def add(file, name, matrix):
    matrix = np.asarray(matrix, dtype=np.float64)
    truth.setdefault(file, {})[name] = [list(matrix.shape), np.linalg.svd(matrix, compute_uv=False).tolist()]

def safetensors(file):
    from safetensors.numpy import load_file
    return load_file(os.path.join(root, file))

def stack(file, tensors, name, turned=False):
    for k, part in enumerate(tensors[name]):
        add(file, f"{name}[{k}]", part.T if turned else part)

file = "granite_moe_3d/model.safetensors"
tensors = safetensors(file)
for name, value in tensors.items():
    stack(file, tensors, name) if value.ndim == 3 else add(file, name, value)

for file in ["moe_3d_weight/model.safetensors", "mlx_switch_mlp_dense/model.safetensors"]:
    tensors = safetensors(file)
    for name in tensors: stack(file, tensors, name)

file = "gptoss_bf16_experts/model.safetensors"
tensors = safetensors(file)
for name, value in tensors.items():
    if name.endswith("_proj"): stack(file, tensors, name, turned=True)
    elif not name.endswith("bias"): add(file, name, value)

file = "mlx_switch_mlp_4bit/model.safetensors"
tensors = safetensors(file)
name = "model.layers.0.mlp.switch_mlp.up_proj"
codes = (tensors[name + ".weight"][..., None] >> (4 * np.arange(8, dtype=np.uint32))) & 15
codes = codes.reshape(3, 32, 64).astype(np.float64)
for k in range(3):
    add(file, f"{name}.weight[{k}]", codes[k] * tensors[name + ".scales"][k] + tensors[name + ".biases"][k])

file = "conv_transpose.safetensors"
tensors = safetensors(file)
add(file, "0.weight", tensors["0.weight"].transpose(1, 0, 2, 3).reshape(8, -1))
add(file, "1.weight", tensors["1.weight"].reshape(12, -1))
add(file, "2.weight", tensors["2.weight"].transpose(1, 0, 2).reshape(10, -1))

file = "bilinear_lstm.safetensors"
for name, value in safetensors(file).items():
    if value.ndim > 1: add(file, name, value.reshape(value.shape[0], -1))

for file in ["conv_kernel.npz", "vit_kernels.npz"]:
    for name, value in np.load(os.path.join(root, file)).items():
        outputs = 2 if any(f"/{part}/" in name for part in ("query", "key", "value")) else 1
        add(file, name, value.reshape(int(np.prod(value.shape[:-outputs])), -1).T)

import torch
file = "per_head_3d.pt"
tensors = {name: value.numpy() for name, value in torch.load(os.path.join(root, file)).items()}
for name, value in tensors.items():
    stack(file, tensors, name, turned=True) if value.ndim == 3 else add(file, name, value.T)

file = "weight_norm.pth"
state = torch.load(os.path.join(root, file))
for module, axis in [("ups.0", 0), ("conv", 0), ("pos", 2), ("lin", 0)]:
    new = f"{module}.parametrizations.weight.original"
    g, v = [state[name].double() for name in ([new + "0", new + "1"] if new + "0" in state else [module + ".weight_g", module + ".weight_v"])]
    weight = g * v / v.norm(dim=[k for k in range(v.dim()) if k != axis], keepdim=True)
    if module == "ups.0": weight = weight.transpose(0, 1)
    add(file, module + ".weight", weight.reshape(weight.shape[0], -1).numpy())
new = "sn.parametrizations.weight."
weight = state[new + "original"].double()
sigma = state[new + "0._u"].double() @ weight @ state[new + "0._v"].double()
add(file, "sn.weight", (weight / sigma).numpy())

import gguf
file = "gguf_mla_3d.gguf"
for tensor in gguf.GGUFReader(os.path.join(root, file)).tensors:
    value = np.asarray(tensor.data).reshape([int(size) for size in reversed(tensor.shape)])
    if value.ndim == 3:
        for k in range(value.shape[0]): add(file, f"{tensor.name}[{k}]", value[k])
    else: add(file, tensor.name, value)

print(json.dumps(truth))
`;
