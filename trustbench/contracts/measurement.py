"""What an evaluator returns: numbers over replicates, and what their intervals need."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from trustbench.contracts.arrays import Array
from trustbench.contracts.learnt import Fact


@dataclass(frozen=True)
class Measurement:
    """A named array of R finite numbers.

    `n` is the number of rows behind each number; `lower` and `upper` are the metric's bounds.
    `diagnostic` marks controls and components: no table cell may read an effect from them.
    Replicates that are each other's shadow models have dependent values, so one of two things is
    given. `shadowing` [R] is what each replicate, as a shadow model, adds to the values of the
    others; the dependence of a difference is estimated from it. `pseudo` [R] has the same mean as
    the values and the spread that the error of the mean is known to have; intervals then use it
    instead. `common_sd` is the standard deviation of an error that all replicates share (for
    example because they all meet the same random grouping of the same test rows) and that more
    replicates cannot average out.

    `null` names the accompanying measurement that says what this one is when the groups it compares
    mean nothing: an extreme or a gap over groups is above zero by chance alone. For such a null,
    `permuted` [K] is the mean over replicates under each random grouping. Arms that share the
    groupings share that chance, so a difference between arms excludes it.

    `trivial` says why every value lies at a bound whatever the system does; the size of sets that
    hold every label is an example. A comparison with another trivial measurement shows nothing.
    """

    name: str
    values: Array  # float [R], finite
    higher_is_better: bool
    unit: str
    n: int
    lower: float | None = None
    upper: float | None = None
    diagnostic: bool = False
    pseudo: Array | None = None
    common_sd: float | None = None
    shadowing: Array | None = None
    null: str | None = None
    permuted: Array | None = None
    trivial: str | None = None

    def __post_init__(self) -> None:
        values = np.asarray(self.values, dtype=np.float64)
        if values.ndim != 1 or not np.isfinite(values).all():
            raise ValueError(f"measurement {self.name}: expected R finite numbers, got {values!r}")
        object.__setattr__(self, "values", values)
        for name, beside in (("pseudo", self.pseudo), ("shadowing", self.shadowing)):
            if beside is not None and np.shape(beside) != values.shape:
                raise ValueError(f"measurement {self.name}: {name} needs one number per value")


@dataclass(frozen=True)
class RowRedraw:
    """The numbers again on drawn rows: how a given model, a single one, gets its intervals.

    `y` and `group`, int64 [n], are those of the rows behind the numbers. `measured` takes K draws
    of their positions, int64 [K, n], and returns the numbers of each draw, as if they were K
    replicates. In every draw, position i holds a row of the same class and group.
    """

    y: Array
    group: Array
    measured: "Callable[[Array], Measured]"

    @classmethod
    def of(
        cls,
        outcomes: Mapping[str, Array],
        y: Array,
        group: Array,
        summarised: "Callable[[Mapping[str, Array], Array, Array], Measured]",
    ) -> Self:
        """The redraw of outcomes of single rows, [1, n] each, for a model without replicates.

        `summarised` maps outcomes [K, n], and the classes and groups [n] of their rows, to the
        numbers.
        """

        def measured(rows: Array) -> "Measured":
            drawn = {name: each[0][rows] for name, each in outcomes.items()}
            return summarised(drawn, y[rows[0]], group[rows[0]])

        return cls(y, group, measured)


@dataclass(frozen=True)
class Measured:
    """The result of an evaluator: measurements, arrays worth keeping, and declared facts.

    `missing` gives the reason for each metric that cannot be measured on this system.
    """

    measurements: tuple[Measurement, ...]
    arrays: Mapping[str, Array] = field(default_factory=dict)
    facts: Mapping[str, Fact] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    # The numbers of single rows, [R, n], whose mean a measurement is; a record does not keep them.
    rows: Mapping[str, Array] = field(default_factory=dict)
    # The numbers on redrawn rows, where they are more than means; a record does not keep it.
    redraw: RowRedraw | None = None

    def __post_init__(self) -> None:
        names = {m.name for m in self.measurements}
        for m in self.measurements:
            if m.null is not None and m.null not in names:
                raise ValueError(f"measurement {m.name}: its null {m.null} is not beside it")

    @classmethod
    def unmeasured(cls, names: Iterable[str], reason: str) -> Self:
        """None of these metrics, for one reason; each sentence begins with the metric."""
        return cls((), missing={name: f"{name} {reason}" for name in names})

    @classmethod
    def joined(cls, parts: Iterable["Measured"]) -> Self:
        """What all parts hold, in their order."""
        every = tuple(parts)
        return cls(
            measurements=tuple(m for part in every for m in part.measurements),
            arrays={k: v for part in every for k, v in part.arrays.items()},
            facts={k: v for part in every for k, v in part.facts.items()},
            missing={k: v for part in every for k, v in part.missing.items()},
            rows={k: v for part in every for k, v in part.rows.items()},
        )
