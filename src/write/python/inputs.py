import os
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from .weight import Weight


class Group:
    """Weights that multiply the same inputs X (n x t), with what is known of X X^T while they are collected."""

    def __init__(self, first: Weight, size: int, open: bool = False) -> None:
        self.name = first.title().removesuffix(".weight")
        self.weights, self.size, self.tokens = [first], size, 0
        # Whether this pass collects its inputs: up to n of them as they are, then X X^T (n x n), all in f64.
        self.open = open
        self.rows: list[Tensor] = []
        self.moments: Tensor | None = None

    def add(self, rows: Tensor) -> None:
        """Adds inputs (tokens x n)."""
        self.tokens += len(rows)
        self.rows.append(rows)
        if self.tokens > self.size:
            if self.moments is None:
                self.moments = rows.new_zeros(self.size, self.size)
            for part in self.rows:
                self.moments.addmm_(part.T, part)
            self.rows.clear()

    def close(self) -> Tensor:
        """R (n x n, f64), upper triangular with R^T R = X X^T. It exists where X X^T is singular as well."""
        moments, self.moments, self.open = self.moments, None, False
        result = torch.zeros(self.size, self.size, dtype=torch.float64)
        if moments is None and self.tokens > 0:
            result[: self.tokens] = torch.linalg.qr(torch.cat(self.rows).cpu(), mode="r").R
        elif moments is not None:
            lower, failed = torch.linalg.cholesky_ex(moments)
            if failed:
                values, vectors = torch.linalg.eigh(moments.cpu())
                root = values.clamp(min=0).sqrt()[:, None] * vectors.T
                result = torch.linalg.qr(root, mode="r").R
            else:
                result = lower.T.cpu()
        self.rows.clear()
        return result


class Inputs(TorchFunctionMode):
    """Sees each product of inputs with a weight of the model, in whatever layer and code."""

    def __init__(self, model: nn.Module, budget: int) -> None:
        """`budget` bytes are used for the sums of a pass; the groups that do not fit are left for the next one."""
        super().__init__()
        self.budget, self.room = budget, budget
        self.groups: list[Group] = []
        self.group_of: dict[Weight, Group] = {}
        self.left: set[Weight] = set()
        self.last: Tensor | None = None
        self.current: Group | None = None
        self.model = model
        self.weights: dict[int, tuple[str, int | None, Tensor]] = {}
        for path, module in model.named_modules():
            for attribute, parameter in module._parameters.items():
                name = f"{path}.{attribute}" if path else attribute
                # A head that shares its weight with the embedding goes by its own name.
                if parameter is None or parameter.dim() not in (2, 3) or isinstance(module, nn.Embedding):
                    continue
                for index, part in [(None, parameter)] if parameter.dim() == 2 else enumerate(parameter.detach()):
                    self.weights[part.data_ptr()] = (name, index, part)
        # Where the sums are: Apple's GPUs have no f64.
        self.device = model.device if model.device.type == "cuda" else torch.device("cpu")

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, values = getattr(func, "__name__", ""), [*args, *(kwargs or {}).values()]
        if name in ("linear", "matmul", "__matmul__", "mm", "addmm", "bmm"):
            x, weight = values[1:3] if name == "addmm" else values[:2]
            if name == "bmm" and weight.data_ptr() in self.weights:
                # All experts at once; the tokens that an expert does not get are zero.
                for rows, part in zip(x.detach(), weight.detach()):
                    self.see(rows[rows.any(1)], part, transposed=True)
            elif weight.dim() == 2 and weight.data_ptr() in self.weights:
                self.see(x.detach(), weight, transposed=name != "linear")
            elif name != "linear" and x.dim() == 2 and x.data_ptr() in self.weights:
                self.see(weight.detach().mT, x.T, transposed=True)
        return func(*args, **(kwargs or {}))

    def see(self, x: Tensor, weight: Tensor, transposed: bool) -> None:
        name, index, stored = self.weights[weight.data_ptr()]
        if weight.shape != stored.shape:
            # As in x @ weight.T; anything else is a part of the weight, or a coincidence.
            if weight.shape != stored.shape[::-1]:
                return
            transposed = not transposed
        elif weight.stride() != stored.stride():
            transposed = not transposed
        key = Weight(name, index, transposed)
        if self.last is not None and is_same(x, self.last):
            if self.current is not None and key not in self.group_of:
                self.group_of[key] = self.current
                self.current.weights.append(key)
            return
        # The reference keeps the memory from being used again, so that the next inputs are known to be others.
        self.last, self.current = x, self.begin(key, x.shape[-1])
        if self.current is not None and self.current.open:
            rows = x.reshape(-1, x.shape[-1]).to(self.device).double()
            if not torch.isfinite(rows).all():
                raise SystemExit(f"{self.current.name}: an input is not finite; nothing was written")
            self.current.add(rows)

    def begin(self, key: Weight, size: int) -> Group | None:
        """The group of the weight, a new one if there is room for its sums."""
        if key in self.group_of or key in self.left:
            return self.group_of.get(key)
        needed = 8 * size**2
        if needed > self.room and self.room < self.budget:
            self.left.add(key)
            return None
        self.room -= needed
        group = Group(key, size, open=True)
        self.groups.append(group)
        self.group_of[key] = group
        return group

    def end_call(self) -> None:
        self.last = self.current = None

    def next_pass(self) -> bool:
        """Whether groups are left; call it when the sums of this pass have been taken."""
        more = len(self.left) > 0
        self.left.clear()
        self.room = self.budget
        return more

    def add_unreached(self) -> list[Group]:
        """Adds the layers and experts that no token reached, and returns their groups."""
        transposed = {key.name: key.transposed for key in self.group_of}
        layers = {
            f"{path}.weight": type(module).__name__ == "Conv1D"
            for path, module in self.model.named_modules()
            if isinstance(module, nn.Linear) or type(module).__name__ == "Conv1D"
        }
        added = []
        for name, index, part in self.weights.values():
            turned = transposed.get(name, layers.get(name))
            if turned is not None and Weight(name, index, turned) not in self.group_of:
                key = Weight(name, index, turned)
                self.group_of[key] = Group(key, part.shape[0 if turned else 1])
                added.append(self.group_of[key])
        self.groups += added
        return added


def is_same(x: Tensor, y: Tensor) -> bool:
    """Whether two tensors are the same values in the same memory."""
    return x.data_ptr() == y.data_ptr() and x.numel() == y.numel() and x.shape[-1] == y.shape[-1] and (
        x.stride()[-1] == y.stride()[-1] and x._version == y._version
    )


def budget_of(device: torch.device) -> int:
    """Bytes for sums: half of what is free."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] // 2
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, ValueError, OSError):
        return 8 << 30
