from typing import NamedTuple


class Weight(NamedTuple):
    """A matrix that multiplies inputs: a parameter, or a slice of one that stacks the experts of a layer."""

    name: str
    index: int | None
    # Whether it is stored as (in, out).
    transposed: bool

    def title(self) -> str:
        return self.name if self.index is None else f"{self.name}[{self.index}]"
