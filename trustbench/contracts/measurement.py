"""What an evaluator returns: numbers over replicates, with what their interval rests on."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from trustbench.contracts.problem import Array
from trustbench.contracts.system import Fact


@dataclass(frozen=True)
class Measurement:
    """A named array of R finite numbers.

    `n` is how many rows each number rests on; `lower` and `upper` are the metric's own bounds.
    `diagnostic` marks controls and parts that no table cell may be read from as an effect.
    Where replicates are each other's shadow models their values depend on each other, and one of
    two things is given. `shadowing` [R]: what each replicate, as a shadow, adds to the values of
    the others, from which the dependence of a difference is estimated. `pseudo` [R]: values of
    the same mean, spread as the mean's error is known to ask, on which intervals rest instead.
    `common_sd`: the standard deviation of an error that all replicates share (they meet the same
    random grouping of the same test rows, say), which no number of replicates averages out.

    `null` names the measurement beside it that says what this one is when the groups that it
    compares mean nothing: an extreme or a gap over groups is above zero by chance alone. Of such
    a null, `permuted` [K] is the mean over replicates under each random grouping; arms that share
    the groupings share their luck, which a difference between arms then leaves out.

    `trivial`: why every value stands at a bound no matter what the system does, such as the
    sizes of sets that hold every label. Beside another such measurement it shows nothing.
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
class Measured:
    """What an evaluator returns: its measurements, arrays worth keeping, and declared facts.

    `missing` gives the reason for each metric that could not be measured on this system.
    """

    measurements: tuple[Measurement, ...]
    arrays: Mapping[str, Array] = field(default_factory=dict)
    facts: Mapping[str, Fact] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = {m.name for m in self.measurements}
        for m in self.measurements:
            if m.null is not None and m.null not in names:
                raise ValueError(f"measurement {m.name}: its null {m.null} is not beside it")
