"""One input of a model, as the data describe it."""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Feature:
    """One named input in the model's scaled space.

    `columns` are its positions in the flattened input: one for a number, several for a one-hot
    block. `lower` and `upper` bound every value of a perturbed input. `scale` multiplies the radius
    of an attack (0: never perturbed). An immutable feature is one that a person cannot change, and
    `change` says that its value can only grow (up) or shrink (down). The columns of an embedding
    mean something only together.
    """

    name: str
    kind: Literal["numeric", "categorical", "pixel", "embedding"]
    columns: tuple[int, ...]
    lower: float
    upper: float
    mutable: bool = True
    scale: float = 1.0
    levels: tuple[str, ...] = ()
    # Not in repr, on which fingerprints from before this field existed depend.
    change: Literal["any", "up", "down"] = field(default="any", repr=False)

    @property
    def whole(self) -> bool:
        """Whether its columns mean something only together, so that none is perturbed alone."""
        return self.kind in ("categorical", "embedding")
