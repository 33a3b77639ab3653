from torch import Tensor

from .blocks import Blocks
from .cut_layers import LOW_RANK, is_transposed, norms_of
from .factorized import types
from .names import names_of
from .plan_by_loss import Layer
from .weight import Weight


def candidates_of(blocks: Blocks, state: dict[str, Tensor]) -> tuple[list[list[Layer]], list[str]]:
    """The layers of each block that may be cut, in order, and notes on matrices that stay dense."""
    uses: dict[int, int] = {}
    for module in blocks.model.modules():
        for parameter in module._parameters.values():
            uses[id(parameter)] = uses.get(id(parameter), 0) + 1
    linear = [
        (at, path, Weight(f"{blocks.path}.{at}.{path}.weight", None, is_transposed(module)))
        for at, block in enumerate(blocks.list)
        for path, module in block.named_modules()
        if any(kind.replaces(module) for kind in LOW_RANK) and uses[id(module.weight)] == 1
    ]
    found: list[list[Layer]] = [[] for _ in blocks.list]
    for (at, path, weight), names in zip(linear, names_of([[each] for _, _, each in linear], blocks.model, state)):
        (name, (m, n)), *others = names.items()
        if name in types() and not others:
            found[at].append(Layer(name, path, (m, n), weight.transposed))
    if not any(found):
        raise SystemExit(f"{type(blocks.model).__name__}: no linear layer in its blocks has a matrix that may be cut")
    known = {layer.name for own in found for layer in own}
    left = [name for name in types() if name not in known]
    where = "in this model they are no linear layers of a block of their own, such as experts in one tensor"
    return found, [f"{len(left)} matrices stay dense ({', '.join(left[:3])}): {where}."] if left else []


def norm_names(blocks: Blocks, state: dict[str, Tensor]) -> list[dict[str, str]]:
    """For each block, the paths of parameters of its norms, with their names in the checkpoint where it has them."""
    prefix = f"{blocks.model.base_model_prefix}."
    found: list[dict[str, str]] = []
    for at, block in enumerate(blocks.list):
        own = {}
        for path in norms_of(block):
            name = f"{blocks.path}.{at}.{path}"
            names = [name, name.removeprefix(prefix), prefix + name]
            stored = next((each for each in names if each in state), None)
            if stored is not None and state[stored].shape == block.get_parameter(path).shape:
                own[path] = stored
        found.append(own)
    return found
