"""The other trained replicates that a `deploy` hook takes, compared with its declaration."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from trustbench.contracts import Intervention, System

SEEN = " answers with "


def seen_in(void: str, methods: Iterable[Intervention]) -> list[str]:
    """The sentences of `Taken.undeclared` among the reasons of a void claim."""
    starts = tuple(f"{type(m).__name__}{SEEN}" for m in methods)
    return [reason for reason in void.split("; ") if reason.startswith(starts)]


@dataclass
class Taken:
    """The other trained replicates that a `deploy` hook takes from the system it receives."""

    bare: System
    copies: set[int] = field(default_factory=set)
    baseline: bool = False
    sealed: bool = False

    @property
    def watched(self) -> dict[str, Any]:
        """The fields of a system that return other replicates, recording each that is taken."""
        found: dict[str, Any] = {}
        if self.bare.reseeded is not None:
            found["reseeded"] = self._twin
        if self.bare.baseline is not None:
            found["baseline"] = self._baseline
        return found

    def undeclared(self, intervention: Intervention) -> list[str]:
        """Sentences on replicates taken beyond the declaration; none may be taken later."""
        self.sealed = True
        name, found = type(intervention).__name__, []
        if 1 + len(self.copies) != intervention.trained_copies():
            found.append(
                f"{name}{SEEN}{1 + len(self.copies)} trained copies and declares "
                f"{intervention.trained_copies()}"
            )
        if self.baseline:
            found.append(f"{name}{SEEN}the baseline, which was trained without a mechanism")
        return found

    def _twin(self, k: int) -> System:
        if k not in self.copies:
            self._refuse_late()
        self.copies.add(k)
        assert self.bare.reseeded is not None
        return self.bare.reseeded(k)

    def _baseline(self) -> System:
        if not self.baseline:
            self._refuse_late()
        self.baseline = True
        assert self.bare.baseline is not None
        return self.bare.baseline()

    def _refuse_late(self) -> None:
        if self.sealed:
            raise RuntimeError(
                "a method takes other trained replicates after its `deploy` hook has returned, "
                "where the privacy ledger cannot count them; take them in the hook"
            )
