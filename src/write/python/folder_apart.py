import re

import transformers
from torch import nn

from .folder_names import Names, _register
from .folder_two import FACTORS


class Apart:
    """Tensors of the checkpoint that transformers would merge with others, some of which are products now."""

    def __init__(self) -> None:
        # Modules that hold a tensor as it is, which is not `weight` there.
        self.kept: list[str] = []
        # Modules that hold factors, by what the checkpoint calls the layer, and the pattern of what follows its name.
        self.moved: dict[str, tuple[str, str]] = {}

    def move(self, stem: str, is_stack: bool) -> str:
        follows = r"experts[\w.]+" if is_stack else "|".join(map(re.escape, FACTORS))
        return self.moved.setdefault(stem, (f"{MOVED}{len(self.moved)}", follows))[0]


# Begins the name of a module whose name in the checkpoint has a meaning for transformers on loading and saving.
MOVED = "lowrank_apart_"


def _load_apart(model: nn.Module, names: Names, apart: Apart) -> None:
    """Has transformers load and save these tensors under the names of their modules."""
    from transformers.conversion_mapping import get_checkpoint_conversion_mapping as known
    from transformers.core_model_loading import WeightRenaming

    # What is known of the kind of the model is applied to the model inside it, and must not be applied twice.
    kind = model.config.model_type
    inside = any(
        isinstance(each, transformers.PreTrainedModel) and each is not model and each.config.model_type == kind
        for each in model.modules()
    )
    mapping = known(type(model).__name__)
    if mapping is None:
        mapping = known(kind) or []
        if inside:
            # The model inside sees names without its own, so that these would never match there.
            begin = f"{re.escape(model.base_model_prefix)}\\."
            starts = [[pattern.removeprefix("^") for pattern in each.source_patterns] for each in mapping]
            mapping = [each for each, own in zip(mapping, starts) if any(start.startswith(begin) for start in own)]
    if apart.kept:
        kept = [names.original(path) for path in apart.kept] if inside else apart.kept
        alternatives = "|".join(sorted(map(re.escape, kept)))
        renaming = WeightRenaming(source_patterns=rf"^({alternatives})\.weight", target_patterns=r"\1.kept")
        mapping = [renaming, *mapping] if inside else [*mapping, renaming]
    moved = [
        WeightRenaming(source_patterns=rf"^{re.escape(stem)}\.({follows})", target_patterns=rf"{module}.\1")
        for stem, (module, follows) in apart.moved.items()
    ]
    _register(type(model), [*moved, *mapping])
