from typing import Any

import torch
from torch import Tensor, nn

from .folder_layers import Product
from .folder_names import Names


class Part:
    """A tensor of the checkpoint that becomes a part of a weight: factors in a module, or the tensor itself there."""

    def __init__(self, holder: nn.Module, product: Product | None) -> None:
        self.holder, self.product = holder, product

    def value(self) -> Tensor:
        return self.holder.kept if self.product is None else self.product(self.holder)


class Shapes:
    """Stands for the model where an operation asks for the sizes of the weights that it splits a tensor into."""

    def __init__(self, weights: dict[str, Tensor]) -> None:
        self.weights = weights

    def get_parameter(self, name: str) -> Tensor:
        return self.weights[name]


class Merge:
    """A weight that transformers makes of several tensors of the checkpoint, such as the experts of a layer."""

    def __init__(
        self, converter: Any, first: str, target: str, parts: dict[str, list[Part]], shapes: "Shapes", config: Any
    ) -> None:
        self.operations = converter.operations
        self.sources, self.targets = converter.source_patterns, converter.target_patterns
        self.first, self.target, self.parts = first, target, parts
        self.shapes, self.config = shapes, config

    def __call__(self, _: nn.Module) -> Tensor:
        values: dict[str, Any] = {pattern: [part.value() for part in parts] for pattern, parts in self.parts.items()}
        for operation in self.operations:
            # Gradients reach the factors; the decorator is torch.no_grad.
            convert = getattr(type(operation).convert, "__wrapped__", type(operation).convert)
            values = convert(
                operation,
                values,
                source_patterns=self.sources,
                target_patterns=self.targets,
                full_layer_name=self.first,
                model=self.shapes,
                config=self.config,
            )
        value = next(each for name, each in values.items() if self.target.endswith(name) or name in self.target)
        return value[0] if isinstance(value, list) else value


def _sources(names: Names, converter: Any, targets: list[str]) -> dict[str, tuple[str, torch.Size]]:
    """The tensors of the checkpoint that make up the weights `targets`: their patterns and shapes, by name."""
    reverse = converter.reverse_transform()
    first = None
    for target in targets:
        renamed, pattern = reverse.rename_source_key(target)
        first = first or renamed
        reverse.add_tensor(renamed, target, pattern, names.state[target].to("meta"))
    found = reverse.convert(first, model=names.model, config=names.model.config)
    result = {}
    for name, value in found.items():
        tensor = value[0] if isinstance(value, list) else value
        made = names.converter(name)
        if made is None:
            raise ValueError(f"{name}: it is not known what transformers makes {targets[0]} of")
        result[name] = (made[1], tensor.shape)
    return dict(sorted(result.items(), key=lambda each: _numbered(each[0])))


def _numbered(name: str) -> list[tuple[int, str]]:
    """A key that sorts the tenth expert behind the second."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in name.split(".")]
