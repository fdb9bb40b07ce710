"""What `deploy` hooks learn from rows, kept apart from the hooks, so that it can be stored.

A hook asks its system: `system.learn("threshold", compute)`. A run computes. An export records
what was computed, and the exported model gets the same values without any rows.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from trustbench.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

Fact = float | int | str | bool | None


class Learnt(NamedTuple):
    """The tensors that a method learnt from rows, and the facts about them."""

    tensors: "Mapping[str, Tensor]"
    facts: Mapping[str, Fact] = {}


@dataclass(frozen=True)
class Memory:
    """Everything that the methods of one system learnt; `given` if it came from an export."""

    values: dict[str, Learnt] = field(default_factory=dict)
    given: bool = False
    method: str = ""

    def of(self, method: str) -> "Memory":
        """The same memory, for the names that this method gives to what it learns."""
        return Memory(self.values, self.given, method)

    def take(self, name: str, compute: Callable[[], Learnt]) -> Learnt:
        """Returns the value of that name, computed on first use unless the memory was given.

        Raises:
            UserError: the memory was given and lacks it.
        """
        key = f"{self.method}/{name}"
        if key not in self.values:
            if self.given:
                raise UserError(
                    f"the exported model has no `{name}` of {self.method}; export it again with "
                    "this version of trustbench."
                )
            self.values[key] = compute()
        return self.values[key]
