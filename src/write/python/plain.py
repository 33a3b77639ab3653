from safetensors.torch import load_file
from torch import nn


def load_weights(model: nn.Module, path: str) -> nn.Module:
    """The model with the weights of a file."""
    loaded, report = type(model).from_pretrained(
        None, config=model.config, state_dict=load_file(path), output_loading_info=True
    )
    if report["missing_keys"]:
        raise SystemExit(f"{path}: it lacks {sorted(report['missing_keys'])[:5]}")
    return loaded.to(model.dtype)
