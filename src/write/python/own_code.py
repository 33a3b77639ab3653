from torch import nn

# A subclass may say how its layers are made and printed, and define dunder names that Python does not call when a layer
# is used.
_HARMLESS = {"extra_repr", "reset_parameters"}
_CALLED = {"__call__", "__getattr__", "__getattribute__", "__setattr__", "__torch_function__"}


def _runs_only(layer: nn.Module, base: type[nn.Module]) -> bool:
    """Whether calling `layer` runs torch's own code of `base` on its weight and bias, and nothing else."""
    # Some programs patch the forward of nn.Linear itself.
    if not isinstance(layer, base) or base.forward.__module__ != base.__module__:
        return False
    added = {name for cls in set(type(layer).__mro__) - set(base.__mro__) for name in vars(cls)} - _HARMLESS
    hooked = "forward" in vars(layer) or any(hooks for name, hooks in vars(layer).items() if name.endswith("_hooks"))
    extended = layer._buffers or layer._modules or not layer._parameters.keys() <= {"weight", "bias"}
    return not hooked and not extended and all(name.startswith("__") and name not in _CALLED for name in added)
