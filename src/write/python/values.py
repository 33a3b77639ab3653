import copy
import os
import sys

import torch
from torch import Tensor, nn


def _described(model: nn.Module, prefix: str, path: str | os.PathLike[str]) -> nn.Module:
    """The part of the model that the file describes, without the wrappers of torch."""
    for name, module in model.named_modules():
        if isinstance(module, (nn.parallel.DistributedDataParallel, torch.jit.ScriptModule)):
            raise ValueError(f"{path}: {name or 'the model'} is a {type(module).__name__}; load the file before that")
    try:
        part = model.get_submodule(prefix.strip("."))
    except AttributeError as error:
        raise KeyError(f"{path}: the model has no submodule {prefix!r}; name one in `prefix`") from error
    while isinstance(part, nn.DataParallel) or hasattr(part, "_orig_mod"):  # The latter: torch.compile.
        part = part.module if isinstance(part, nn.DataParallel) else part._orig_mod
    offloads = any("_hf_hook" in vars(module) for module in part.modules())
    for name, tensor in _tensors(part).items():
        if type(tensor) not in (Tensor, nn.Parameter) or tensor.is_inference() or (tensor.is_meta and offloads):
            raise ValueError(
                f"{path}: {name} ({type(tensor).__name__}) is quantized, distributed, offloaded, not initialized or an "
                "inference tensor; load the file into an ordinary model"
            )
    return part


def _tensors(part: nn.Module) -> dict[str, Tensor]:
    """What a checkpoint has to give values to: parameters, buffers that are saved, and buffers without values."""
    found: dict[str, Tensor] = dict(part.named_parameters(remove_duplicate=False))
    for path, module in part.named_modules(remove_duplicate=False):
        for name, buffer in module._buffers.items():
            if buffer is not None and (buffer.is_meta or name not in module._non_persistent_buffers_set):
                found[f"{path}.{name}" if path else name] = buffer
    return found


def _values(
    part: nn.Module,
    wanted: dict[str, Tensor],
    state: dict[str, Tensor],
    dtype: torch.dtype,
    path: str | os.PathLike[str],
) -> dict[str, Tensor]:
    """What an ordinary load of the dense checkpoint `state` would put into each of the wanted tensors.

    It is loaded into a twin of `part`, which thus stays as it is until everything is known to fit.
    """
    misfit = f"{path} does not fit {type(part).__name__}, which was left unchanged"
    for wrapper in ("module", "_orig_mod", "module"):  # Saved from DataParallel or torch.compile.
        if all(name.startswith(f"{wrapper}.") for name in state) and not hasattr(part, wrapper):
            state = {name.removeprefix(f"{wrapper}."): value for name, value in state.items()}
    hub = sys.modules.get("transformers.modeling_utils")
    try:
        if hub is not None and isinstance(part, hub.PreTrainedModel):
            twin, missing, unknown = _load_by_transformers(part, state, dtype)
        else:
            twin, missing, unknown = _load_by_torch(part, state)
    except Exception as error:
        raise ValueError(f"{misfit}: {error}") from error

    values = dict(twin.named_parameters(remove_duplicate=False)) | dict(twin.named_buffers(remove_duplicate=False))
    # A weight that layers share may be in the file under one of its names only.
    loaded = {id(value) for name, value in values.items() if name not in missing}
    lacking = [name for name in wanted if name not in values or id(values[name]) not in loaded]
    lacking += sorted(missing - values.keys())
    if lacking or unknown:
        raise KeyError(
            f"{misfit}: missing {lacking[:5]}, unknown {sorted(unknown)[:5]}. "
            "Build the model with the class and the configuration of the original checkpoint"
        )
    shared: dict[int, str] = {}
    for name, tensor in wanted.items():
        if values[name].shape != tensor.shape:
            sizes = f"{tuple(tensor.shape)} in the model and {tuple(values[name].shape)} in the file"
            raise ValueError(f"{misfit}: {name} is {sizes}")
        same = shared.setdefault(id(tensor), name)
        if same != name and not torch.equal(values[same], values[name]):
            raise ValueError(f"{misfit}: the model has one weight for {same} and {name}, the file has two")
    return {name: values[name] for name in wanted}


def _load_by_transformers(
    part: nn.Module, state: dict[str, Tensor], dtype: torch.dtype
) -> tuple[nn.Module, set[str], set[str]]:
    """Returns a new model, loaded by `from_pretrained`, and the names of missing and unknown tensors."""
    config = copy.deepcopy(part.config)
    if hasattr(config, "quantization_config"):
        del config.quantization_config  # The products are not quantized.
    options = {"dtype" if hasattr(config, "dtype") else "torch_dtype": dtype}  # The latter before 4.56.
    twin, report = type(part).from_pretrained(
        None,
        config=config,
        state_dict=dict(state),
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # They are refused here, with both shapes.
        **options,
    )
    wrong = list(report.get("error_msgs", ()))
    for found in report.get("mismatched_keys", ()):
        name, *shapes = [found] if isinstance(found, str) else found  # Names alone before 5.0.
        shape = shapes[0] if shapes else state[name].shape if name in state else ("?",)
        wrong.append(f"{name} is {tuple(twin.state_dict()[name].shape)} in the model and {tuple(shape)} in the file")
    if wrong:
        raise ValueError("; ".join(wrong[:5]))
    return twin, set(report["missing_keys"]), set(report["unexpected_keys"])


def _load_by_torch(part: nn.Module, state: dict[str, Tensor]) -> tuple[nn.Module, set[str], set[str]]:
    """Returns a copy of `part`, loaded by `load_state_dict`, and the names of missing and unknown tensors."""
    memo: dict[int, object] = {}
    for parameter in part.parameters():
        memo[id(parameter)] = nn.Parameter(torch.empty_like(parameter, device="cpu"), parameter.requires_grad)
    for buffer in part.buffers():
        memo[id(buffer)] = torch.empty_like(buffer, device="cpu") if buffer.is_meta else buffer.to("cpu", copy=True)
    for module in part.modules():
        for value in vars(module).values():
            # Such as the weight that the older weight_norm computes; it cannot be copied.
            if isinstance(value, Tensor) and not value.is_leaf:
                memo[id(value)] = value.detach().clone()
    twin = copy.deepcopy(part, memo)
    names: dict[int, str] = {}
    for name, tensor in _tensors(twin).items():
        same = names.setdefault(id(tensor), name)
        if same in state and name in state and not torch.equal(state[same], state[name]):
            raise ValueError(f"the model has one weight for {same} and {name}, the file has two")
    result = twin.load_state_dict(state, strict=False)
    unsaved = {name for name, buffer in part.named_buffers() if buffer.is_meta} - twin.state_dict().keys()
    return twin, set(result.missing_keys) | unsaved, set(result.unexpected_keys)
