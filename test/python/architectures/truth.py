"""What is right, worked out without Rankscope: by numpy in f64 and by transformers' own loading."""

import json
import re
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

A, B = ".lowrank_a.weight", ".lowrank_b.weight"


def dense_with_products(source: str, result: str, target: str) -> tuple[int, float]:
    """Writes the checkpoint `source` to `target` with each matrix that `result` holds as factors replaced by B A.

    Returns the number of these matrices, and the largest difference, relative to ||W||, between ||W - B A|| and the
    least error that any matrix of this rank can have (Eckart and Young). It is near 0 only if B A is the truncated
    decomposition of the right matrix.
    """
    tensors, factors = load_file(source), load_file(result)
    with safe_open(source, "pt") as file:
        metadata = file.metadata() or {}
    stems = [name.removesuffix(A) for name in factors if name.endswith(A)]
    worst = 0.0
    for stem in stems:
        product = factors[stem + B].double() @ factors[stem + A].double()
        name, index = place_of(stem, tensors)
        whole = tensors[name]
        dense = whole if index is None else whole[index]
        replaced, error = in_place_of(dense, product, factors[stem + A].shape[0])
        worst = max(worst, error)
        if index is None:
            tensors[name] = replaced.contiguous()
        else:
            whole[index] = replaced
    save_file(tensors, target, metadata)
    return len(stems), worst


def place_of(stem: str, tensors: dict[str, torch.Tensor]) -> tuple[str, int | None]:
    """The tensor that the factors of `stem` stand for, and the slice of it."""
    for name in (stem + ".weight", stem):
        if name in tensors:
            return name, None
    match = re.fullmatch(r"(.*)\.experts\.(\d+)", stem)
    if match and match[1] in tensors:
        return match[1], int(match[2])
    raise KeyError(f"factors of {stem}, which the dense checkpoint lacks")


def in_place_of(dense: torch.Tensor, product: torch.Tensor, rank: int) -> tuple[torch.Tensor, float]:
    """Returns `product` in the shape and orientation of `dense`, and by how much its error exceeds the least possible.

    The orientation is [out, in], or the reverse, as Conv1D and transposed convolutions have it.
    """
    original = dense.double()
    forms = []
    if product.numel() == original.numel():
        if original.shape[0] == product.shape[0]:
            forms.append((original.flatten(1), lambda p: p.reshape(original.shape)))
        if original.dim() == 2 and original.shape[1] == product.shape[0]:
            forms.append((original.T, lambda p: p.T))
        if original.dim() > 2 and original.shape[1] == product.shape[0]:
            swapped = original.transpose(0, 1)
            forms.append((swapped.flatten(1), lambda p: p.reshape(swapped.shape).transpose(0, 1)))
    if not forms:
        raise ValueError(f"a product of {tuple(product.shape)} for a tensor of {tuple(original.shape)}")
    best = None
    for matrix, back in forms:
        values = torch.linalg.svdvals(matrix)
        scale = float(values.norm())
        least = float(values[rank:].norm()) / scale
        error = abs(float(torch.linalg.norm(matrix - product)) / scale - least)
        if best is None or error < best[1]:
            best = (back(product).to(dense.dtype), error)
    return best


def wrong_spectra(source: str, findings: list[dict]) -> tuple[int, list[str]]:
    """The number of matrices compared, and those whose singular values are not numpy's, with the reason."""
    tensors = load_file(source)
    wrong = []
    for finding in findings:
        given = np.array(finding["singularValues"])
        expected = [np.linalg.svd(form, compute_uv=False) for form in forms_of(finding, tensors)]
        differences = [
            float(np.abs(given - values).max() / max(values[0], 1e-30))
            for values in expected
            if values.shape == given.shape
        ]
        if not differences:
            wrong.append(f"{finding['name']}: {len(given)} values of a {finding['shape']} matrix")
        elif min(differences) > 1e-5:
            wrong.append(f"{finding['name']}: singular values differ by {min(differences):.1e}")
    return len(findings), wrong


def forms_of(finding: dict, tensors: dict[str, torch.Tensor]) -> list[np.ndarray]:
    """The matrices that a finding may be about: its tensor or a slice of it, with one axis or another as the rows."""
    match = re.fullmatch(r"(.*?)((?:\[\d+\])*)", finding["name"])
    tensor = normed(match[1], tensors).double() if match[1] not in tensors else tensors[match[1]].double()
    pieces = [tensor, tensor[0]] if tensor.dim() > 3 and tensor.shape[0] == 1 else [tensor]
    for index in map(int, re.findall(r"\d+", match[2])):
        # One of a stack, or rows of a tensor that has groups or experts one below the other.
        stacked = [piece[index] for piece in pieces if piece.dim() > 2 and piece.shape[0] > index]
        blocks = [piece.split(size) for piece in pieces for size in set(finding["shape"])]
        pieces = stacked + [block[index] for block in blocks if len(block) > index]
    forms = [piece.flatten(1) for piece in pieces]
    for piece in pieces:
        if piece.dim() > 2:
            forms += [piece.transpose(0, 1).flatten(1), piece.flatten(0, -2)]
    return [form.numpy() for form in forms if sorted(form.shape) == sorted(finding["shape"])]


def normed(name: str, tensors: dict[str, torch.Tensor]) -> torch.Tensor:
    """The weight that torch's weight norm makes of a magnitude and a direction."""
    stem = name.removesuffix(".weight")
    for g, v in (("parametrizations.weight.original0", "parametrizations.weight.original1"), ("weight_g", "weight_v")):
        if f"{stem}.{g}" in tensors:
            magnitude, direction = tensors[f"{stem}.{g}"].double(), tensors[f"{stem}.{v}"].double()
            others = [axis for axis in range(direction.dim()) if magnitude.shape[axis] == 1 < direction.shape[axis]]
            return direction * magnitude / torch.linalg.vector_norm(direction, dim=others, keepdim=True)
    raise KeyError(f"{name} is analyzed, and the file lacks it")


def ranks_in(result: str) -> dict[str, int]:
    with safe_open(result, "pt") as file:
        return json.loads((file.metadata() or {}).get("rankscope.ranks", "{}"))


def weights_file(folder: Path) -> Path:
    found = sorted(folder.glob("*.safetensors"))
    if len(found) != 1:
        raise FileNotFoundError(f"{len(found)} safetensors files in {folder}")
    return found[0]
