import re
from typing import Any

from torch import nn

try:
    from transformers import conversion_mapping, core_model_loading
except ImportError:
    # Before 5.0, transformers renames on loading and merges nothing.
    conversion_mapping = core_model_loading = None


class Names:
    """Where a tensor of the checkpoint belongs in a model: transformers renames, merges and splits on loading."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.state = model.state_dict()
        transforms = conversion_mapping.get_model_conversion_mapping(model) if conversion_mapping else []
        self.renamings = [each for each in transforms if not hasattr(each, "operations")]
        self.converters = [each for each in transforms if hasattr(each, "operations")]

    def renamed(self, name: str) -> str:
        for each in self.renamings:
            name, _ = each.rename_source_key(name)
        if conversion_mapping is None:
            for pattern, other in (getattr(self.model, "_checkpoint_conversion_mapping", None) or {}).items():
                name, count = re.subn(pattern, other, name)
                if count > 0:
                    break
        return name

    def original(self, renamed: str) -> str:
        """The name in the checkpoint of what `renamed` made of it."""
        for each in reversed(self.renamings):
            if each.was_used():
                renamed, _ = each.reverse_transform().rename_source_key(renamed)
        return renamed

    def is_renamed_on_saving(self, name: str) -> bool:
        """Whether a module that has the name of a tensor in the checkpoint may be saved under another name."""
        return any(each.reverse_transform().rename_source_key(name)[0] != name for each in self.renamings)

    def converter(self, renamed: str) -> tuple[str, str, Any] | None:
        """The first name in the model of what a tensor becomes a part of, its pattern, and the converter."""
        for each in self.converters:
            name, pattern = each.rename_source_key(renamed)
            if pattern is not None:
                return name, pattern, each
        return None

    def located(self, name: str) -> str | None:
        """The name in the model, which may be the base of that in the checkpoint, or have a head more."""
        prefix = f"{self.model.base_model_prefix}."
        return next((each for each in (name.removeprefix(prefix), prefix + name, name) if each in self.state), None)

    def place(self, name: str) -> tuple[str, tuple[str, str, Any] | None, str | None]:
        """What a tensor of the checkpoint is called on loading, what converts it, and its name in the model."""
        renamed = self.renamed(name)
        made = self.converter(renamed)
        located = self.located(renamed if made is None else made[0])
        if located is None and self.located(name) is not None:
            return name, None, self.located(name)
        return renamed, made, located

    def beside(self, name: str, located: str, original: str) -> str:
        """`name`, with the prefix of the base model as `located` has it in comparison with `original`."""
        prefix = f"{self.model.base_model_prefix}."
        if located == original:
            return name
        return name.removeprefix(prefix) if len(located) < len(original) else prefix + name


def _register(cls: type[nn.Module], transforms: list[Any] | None = None) -> None:
    """Has transformers convert the names of a checkpoint by `transforms`, or as for the class that `cls` is made of.

    The plan of another folder may have registered others for a class of the same name. Without any, those of the kind
    of the model apply.
    """
    if conversion_mapping is None:
        return
    transforms = transforms or conversion_mapping.get_checkpoint_conversion_mapping(cls._stock_name)
    conversion_mapping.register_checkpoint_conversion_mapping(cls.__name__, transforms, overwrite=True)
