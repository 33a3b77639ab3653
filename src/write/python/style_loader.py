import json
import os
import sys

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

from .ab import _names, _put
from .own_code import _runs_only

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


def load_lowrank(model: nn.Module, path: str | os.PathLike[str]) -> nn.Module:
    """Loads the factorized checkpoint `path` into `model`, in place, and returns it.

    Each layer that the file has as two becomes two, with the device and the dtype that the layer has. The names in the
    file are those of the original checkpoint, which must be those of the model. Make optimizers after loading.

    Raises KeyError if the file lacks a tensor of the model or has one that the model lacks, and ValueError if a shape
    differs. The model is then as it was.
    """
    with safe_open(path, "pt") as file:
        ties = json.loads((file.metadata() or {}).get("rankscope.ties", "{}"))
    state = load_file(path)
    state.update({name: state[same] for name, same in ties.items() if same in state})
    # Weights that are shared have several names, of which the file may have one.
    own = model.state_dict(keep_vars=True)
    shapes = {name: tensor.shape for name, tensor in own.items()}
    made: dict[str, tuple[nn.Module, nn.Module]] = {}
    for name, layer in model.named_modules():
        first, second = _names(name)
        if f"{first}.weight" not in state or f"{second}.weight" not in state or f"{name}.weight" not in shapes:
            continue
        made[name] = _two_layers(layer, name, path, state[f"{first}.weight"].shape[0], state[f"{second}.weight"].shape)
        for each in ("weight", "bias"):
            shapes.pop(f"{name}.{each}", None)
        for prefix, new in zip((first, second), made[name]):
            shapes |= {f"{prefix}.{each}": tensor.shape for each, tensor in new.state_dict().items()}
    given = {id(own[name]) for name in state.keys() & own.keys()}
    lacking = [name for name in shapes if name not in state and id(own.get(name)) not in given]
    unknown = sorted(state.keys() - shapes.keys())
    misfit = f"{path} does not fit {type(model).__name__}, which was left unchanged"
    if lacking or unknown:
        raise KeyError(
            f"{misfit}: missing {lacking[:5]}, unknown {unknown[:5]}. "
            "Build the model with the class and the configuration of the original checkpoint"
        )
    for name, tensor in state.items():
        if tensor.shape != shapes[name]:
            raise ValueError(f"{misfit}: {name} is {tuple(shapes[name])} in the model, {tuple(tensor.shape)} in the file")

    for name, (first, second) in made.items():
        _put(model, name, first, second)
    model.load_state_dict(state, strict=False)
    return model


def _two_layers(
    layer: nn.Module, name: str, path: str | os.PathLike[str], leading: int, following: torch.Size
) -> tuple[nn.Module, nn.Module]:
    """Two layers without values in the place of one; `leading` is the first size of the first one's weight."""
    weight = layer.weight
    options = {"device": weight.device, "dtype": weight.dtype}
    has_bias = getattr(layer, "bias", None) is not None
    utils = sys.modules.get("transformers.pytorch_utils")
    if weight.is_meta:
        raise ValueError(f"{path}: {name} is on the device meta; give the model memory first: model.to_empty(device=...)")
    if _runs_only(layer, nn.Embedding) and layer.max_norm is None:
        rank, size = following[1], layer.embedding_dim
        table = nn.Embedding(layer.num_embeddings, rank, layer.padding_idx, **options)
        two = table, nn.Linear(rank, size, bias=False, **options)
    elif _runs_only(layer, nn.Linear) or (utils is not None and _runs_only(layer, utils.Conv1D)):
        n, m = (layer.in_features, layer.out_features) if isinstance(layer, nn.Linear) else tuple(weight.shape)
        two = nn.Linear(n, leading, bias=False, **options), nn.Linear(leading, m, bias=has_bias, **options)
    elif any(_runs_only(layer, kind) for kind in _CONVOLUTIONS) and layer.groups == 1:
        kind = next(each for each in _CONVOLUTIONS if isinstance(layer, each))
        how = {each: getattr(layer, each) for each in ("stride", "padding", "dilation", "padding_mode")}
        two = (
            kind(layer.in_channels, leading, layer.kernel_size, bias=False, **how, **options),
            kind(leading, layer.out_channels, 1, bias=has_bias, **options),
        )
    else:
        what = f"{name} is {type(layer).__name__}, with code of its own, hooks or no form as two layers"
        raise ValueError(f"{path}: {what}. Exclude it from the plan, or write the default style")
    for new in two:
        new.requires_grad_(weight.requires_grad).train(layer.training)
    return two
