"""One input of a model, as the data describe it."""

from dataclasses import dataclass, field
from typing import Literal

Action = Literal["any", "up", "down", "none"]
"""What a person could do to a value: change it, only raise it, only lower it, or leave it."""


@dataclass(frozen=True)
class Feature:
    """One named input in the model's scaled space.

    `columns` are its positions in the flattened input: one for a number, several for a one-hot
    block. `lower` and `upper` bound every value of a perturbed input. `scale` multiplies the radius
    of an attack (0: never perturbed). An immutable feature is one that a person cannot change, and
    `change` says that its value can only grow (up) or shrink (down). The columns of an embedding
    mean something only together. `action` is what a person could do to the value where that is
    less than what an attack may do: an attack may report a shorter education, nobody can get one.
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
    # In no fingerprint: a data set that changes it raises its version.
    action: Action | None = field(default=None, repr=False)

    @property
    def whole(self) -> bool:
        """Whether its columns mean something only together, so that none is perturbed alone."""
        return self.kind in ("categorical", "embedding")

    @property
    def actionable(self) -> Action:
        """What a person could do to the value: never more than `mutable` and `change` say."""
        if not self.mutable:
            return "none"
        if self.action is None or self.action == "any":
            return self.change
        return self.action if self.change in ("any", self.action) else "none"
