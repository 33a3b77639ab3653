"""Compares a model that generated code loaded with the dense model that transformers loads."""

import importlib.util
import shutil
from pathlib import Path
from typing import Any

import torch
from torch import nn

from build import Built, outputs, said
from safetensors.torch import load_file
from truth import dense_with_products, ranks_in, weights_file, wrong_spectra

# Between two ways to compute the same in f32, relative to the largest value of the tensor.
TOLERANCE = 1e-4
# By how much the error of B A may exceed the least possible one, as a share of the matrix's norm. The decomposition of
# a large matrix with a flat spectrum is approximate; the product of another matrix's factors is off by more than this.
SVD_TOLERANCE = 0.01


def judge(built: Built, folder: Path, result: Path, code: Path, findings: list[dict]) -> dict[str, Any]:
    """The verdict on one architecture, with what it rests on."""
    source = weights_file(folder)
    reference_folder = folder.parent / "reference"
    shutil.rmtree(reference_folder, ignore_errors=True)
    shutil.copytree(folder, reference_folder)
    planned, svd_error = dense_with_products(str(source), str(result), str(reference_folder / source.name))
    tensors, owners = load_file(source), owners_in(built.model)
    compared, wrong = wrong_spectra(str(source), findings)
    report: dict[str, Any] = {
        "planned": planned,
        "spectra": compared,
        "wrongSpectra": wrong + wrong_groups(owners, tensors, findings),
        "svdError": svd_error,
        "suspects": suspects(built, owners, tensors, ranks_in(str(result))),
    }
    if svd_error > SVD_TOLERANCE:
        return report | {
            "verdict": "WRONG",
            "reason": f"B A is off the best approximation by {svd_error:.1e} of its matrix",
        }
    cls = type(built.model)
    reference = cls.from_pretrained(reference_folder).eval().float()
    # As users make it: from the configuration that lies beside the weights.
    config = type(built.config).from_pretrained(folder)
    model = (cls._from_config(config) if hasattr(cls, "_from_config") else cls(config)).eval().float()
    before = snapshot(model)
    try:
        module_of(code).load_lowrank(model, str(result))
    except Exception as error:
        changed = differs(before, model)
        verdict = "refused" if changed is None else "half loaded"
        return report | {"verdict": verdict, "reason": said(error) + (f"; {changed}" if changed else "")}
    model.eval()
    report |= layers(model)
    return report | compare(built, reference, model)


def compare(built: Built, reference: nn.Module, model: nn.Module) -> dict[str, Any]:
    expected = outputs(reference, built.inputs)
    unchanged = outputs(built.model, built.inputs)
    try:
        found = outputs(model, built.inputs)
    except Exception as error:
        return {"verdict": "run error", "reason": said(error)}
    if found.keys() != expected.keys():
        return {"verdict": "WRONG", "reason": f"outputs {sorted(found)} instead of {sorted(expected)}"}
    difference = max((distance(found[name], value), name) for name, value in expected.items())
    # How much the products change at all: where it is nothing, equal outputs say nothing.
    effect = max(distance(unchanged[name], value) if name in unchanged else 1.0 for name, value in expected.items())
    weights = wrong_weights(reference, model)
    report = {"difference": min(difference[0], 1e9), "effect": min(effect, 1e9)}
    if weights or difference[0] > max(TOLERANCE, 10 * rounding(reference, built.inputs, expected, difference[0])):
        return report | {
            "verdict": "WRONG",
            "reason": "; ".join([f"{difference[1]} differs by {difference[0]:.1e}", *weights[:2]]),
        }
    return report | {"verdict": "equal"}


def rounding(model: nn.Module, inputs: dict[str, Any], expected: dict[str, torch.Tensor], difference: float) -> float:
    """How far the outputs move when every weight moves by a rounding error; 0 where there is no difference to explain.

    Codebooks, the experts with the largest scores and periodic activations of large numbers turn it into much more.
    Changes `model`.
    """
    if difference <= TOLERANCE:
        return 0.0
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.is_floating_point():
                parameter.mul_(1 + 2**-23 * torch.randn(parameter.shape, generator=generator))
    moved = outputs(model, inputs)
    return max(distance(moved[name], value) if name in moved else 1.0 for name, value in expected.items())


def distance(a: torch.Tensor, b: torch.Tensor) -> float:
    if a.shape != b.shape:
        return float("inf")
    # Masked scores are minus infinity, or the least number there is.
    usable = torch.isfinite(b) & (b.abs() < 1e30)
    if not torch.equal(usable, torch.isfinite(a) & (a.abs() < 1e30)):
        return float("inf")
    if not bool(usable.any()):
        return 0.0
    a, b = a[usable].double(), b[usable].double()
    return float((a - b).abs().max() / b.abs().max().clamp_min(1e-12))


def wrong_weights(reference: nn.Module, model: nn.Module) -> list[str]:
    """The parameters and buffers of the dense model that the other does not have, or not with these values.

    Outputs do not show all: a tower that the inputs leave out, or a layer whose contribution vanishes.
    """
    wrong = []
    for name, value in reference.state_dict().items():
        try:
            found = get(model, name)
        except AttributeError:
            wrong.append(f"{name} is missing")
            continue
        if "ExpertStack" in [kind.__name__ for kind in type(found).__mro__]:
            found = found.product()
        if not isinstance(found, torch.Tensor) or found.shape != value.shape:
            wrong.append(f"{name} has another shape")
        elif value.is_floating_point():
            scale = float(value.abs().max()) if value.numel() else 0.0
            if scale and not torch.allclose(found.detach().float(), value.float(), rtol=0, atol=1e-5 * scale):
                wrong.append(f"{name} has other values")
        elif not torch.equal(found, value):
            wrong.append(f"{name} has other values")
    return wrong


def get(model: nn.Module, name: str) -> Any:
    value: Any = model
    for part in name.split("."):
        value = value[int(part)] if isinstance(value, (nn.ParameterList,)) else getattr(value, part)
    return value


def layers(model: nn.Module) -> dict[str, int]:
    """How many layers hold factors as layers of their own, and how many matrices became dense products elsewhere."""
    replaced = {id(each) for each in model.modules() if any(kind.__name__ == "LowRank" for kind in type(each).__mro__)}
    return {"replaced": len(replaced), "kept": len(getattr(model, "lowrank_dense", {}))}


def snapshot(model: nn.Module) -> tuple[dict[str, int], dict[str, torch.Tensor]]:
    modules = {name: id(each) for name, each in model.named_modules(remove_duplicate=False)}
    return modules, {name: value.clone() for name, value in model.state_dict().items()}


def differs(before: tuple[dict[str, int], dict[str, torch.Tensor]], model: nn.Module) -> str | None:
    """What a refused load changed in the model; None if it is as it was."""
    modules, state = before
    now, after = snapshot(model)
    changed = [name for name in {**modules, **now} if modules.get(name) != now.get(name)]
    if changed:
        return f"it had replaced {len(changed)} layers"
    if state.keys() != after.keys():
        return "it had changed the names of parameters"
    values = [name for name, value in state.items() if not torch.equal(bits(value), bits(after[name]))]
    return f"it had changed {values[0]}" if values else None


def bits(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.contiguous().flatten().view(torch.uint8) if tensor.numel() else tensor


def owners_in(model: nn.Module) -> dict[Any, list[tuple[str, nn.Module]]]:
    """The names of the parameters with these values, and the modules that own them."""
    owners: dict[Any, list[tuple[str, nn.Module]]] = {}
    for name, module in model.named_modules():
        for own, parameter in module.named_parameters(recurse=False):
            if parameter.dim() >= 2:
                owners.setdefault(key_of(parameter), []).append((f"{name}.{own}", module))
    return owners


def wrong_groups(owners: dict[Any, Any], tensors: dict[str, torch.Tensor], findings: list[dict]) -> list[str]:
    """The convolutions that were not analyzed as one matrix for each of their groups; channels of their own are one."""
    slices: dict[str, int] = {}
    for finding in findings:
        name = finding["name"].split("[")[0]
        slices[name] = slices.get(name, 0) + 1
    wrong = []
    for name, count in slices.items():
        for _, module in owners.get(key_of(tensors[name]), []) if name in tensors else []:
            convolution = isinstance(module, nn.modules.conv._ConvNd) and module.weight.shape[1] > 1
            if convolution and module.groups != count:
                wrong.append(f"{name}: {count} matrices of a convolution with {module.groups} groups")
    return wrong


def suspects(
    built: Built, owners: dict[Any, Any], tensors: dict[str, torch.Tensor], ranks: dict[str, int]
) -> list[str]:
    """Planned matrices that had better stay dense: embeddings, heads, routers, position tables, norms.

    The classes and names of modules tell what they are; the tensors of the file are found in the model by their values.
    """
    head = built.model.get_output_embeddings() if hasattr(built.model, "get_output_embeddings") else None
    found = []
    for planned in ranks:
        for name, module in owners.get(key_of(tensors[planned]), []) if planned in tensors else []:
            kind = kind_of(name, module, head)
            if kind:
                found.append(f"{kind} {planned}")
                break
    return found


def key_of(tensor: torch.Tensor) -> Any:
    flat = tensor.detach().flatten()
    if flat.numel() == 0:
        return ()
    return (tuple(tensor.shape), *(float(flat[at]) for at in {0, flat.numel() // 2, flat.numel() - 1}))


def kind_of(name: str, module: nn.Module, head: nn.Module | None) -> str | None:
    if module is head:
        return "head"
    if isinstance(module, nn.Embedding):
        return "position table" if "pos" in name.lower() else "embedding"
    if isinstance(module, nn.LayerNorm) or "norm" in type(module).__name__.lower():
        return "norm"
    if "router" in name.lower() or name.lower().endswith((".gate.weight", ".gate.wg.weight", "gate.classifier.weight")):
        return "router"
    if "pos_emb" in name.lower() or "position_embedding" in name.lower():
        return "position table"
    return None


def module_of(code: Path):
    spec = importlib.util.spec_from_file_location("generated", code)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
