from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map


class Call(NamedTuple):
    """How the model calls a block: with this hidden state, and with whatever else the block takes."""

    hidden: Tensor
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    by_name: bool

    def run(self, block: nn.Module) -> Tensor:
        """What the block gives for the hidden state, in f32."""
        if self.by_name:
            return first_of(block(*self.args, hidden_states=self.hidden, **self.kwargs))
        return first_of(block(self.hidden, *self.args, **self.kwargs))


class Reached(Exception):
    """The model need not run further."""


class Blocks:
    """The blocks of a decoder, each of which can be run by itself on stored hidden states."""

    def __init__(self, model: nn.Module) -> None:
        lists = [(name, each) for name, each in model.named_modules() if isinstance(each, nn.ModuleList) and len(each)]
        if not lists:
            raise SystemExit(f"{type(model).__name__} has no list of blocks; it cannot be compressed block by block")
        # The first of the largest: experts are lists as well, inside of blocks.
        self.path, found = max(lists, key=lambda each: sum(p.numel() for p in each[1].parameters()))
        self.model, self.list = model, list(found)
        # What a block returns behind the hidden state; None where it returns the hidden state alone.
        self.rest: list[tuple[Any, ...] | None] = [None] * len(self.list)

    @torch.no_grad()
    def logits(self, ids: Tensor) -> Tensor:
        """The logits of the whole model, while it is noted what its blocks return."""

        def note(at: int) -> Callable[..., None]:
            def hook(block: nn.Module, inputs: Any, output: Any) -> None:
                self.rest[at] = None if isinstance(output, Tensor) else tuple(output[1:])

            return hook

        hooks = [block.register_forward_hook(note(at)) for at, block in enumerate(self.list)]
        try:
            return self.model(ids, use_cache=False).logits
        finally:
            for hook in hooks:
                hook.remove()

    @torch.no_grad()
    def logits_from(self, at: int, ids: Tensor, hidden: Tensor | None) -> Tensor:
        """The logits where the block before `at` has given `hidden`."""
        with self._skipping(at, hidden):
            return self.model(ids, use_cache=False).logits

    @torch.no_grad()
    def call(self, at: int, ids: Tensor, hidden: Tensor | None) -> Call:
        """How the model calls block `at` if the block before has given `hidden` (None for the first)."""
        found: list[Call] = []

        def note(block: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            args, kwargs = tree_map(widened, (args, dict(kwargs)))
            by_name = "hidden_states" in kwargs
            found.append(Call(kwargs.pop("hidden_states") if by_name else args[0], args[not by_name :], kwargs, by_name))
            raise Reached

        hook = self.list[at].register_forward_pre_hook(note, with_kwargs=True)
        try:
            with self._skipping(at, hidden):
                self.model(ids, use_cache=False)
        except Reached:
            pass
        finally:
            hook.remove()
        if not found:
            raise SystemExit(f"{type(self.model).__name__} does not call {self.path}[{at}]")
        return found[0]

    @contextmanager
    def _skipping(self, count: int, hidden: Tensor | None) -> Iterator[None]:
        """The model runs as if each of the first blocks had given `hidden`."""
        given = None if hidden is None else hidden.to(self.model.dtype)
        skipped = list(zip(self.list[:count], self.rest))
        for block, rest in skipped:
            block.forward = lambda *_, rest=rest, **__: given if rest is None else (given, *rest)
        try:
            yield
        finally:
            for block, _ in skipped:
                del block.forward


def first_of(output: Any) -> Tensor:
    return output if isinstance(output, Tensor) else output[0]


def widened(value: Any) -> Any:
    """Blocks run in f32, whatever the type of the model is."""
    return value.float() if isinstance(value, Tensor) and value.is_floating_point() else value
