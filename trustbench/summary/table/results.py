"""The computed table; every rendering reads these types and nothing else."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from trustbench.contracts.aspects import Aspect
from trustbench.contracts.guarantees import Guarantee
from trustbench.contracts.metrics import Metric
from trustbench.store.records import Scalar
from trustbench.summary.stats.effects import Effect, Verdict
from trustbench.summary.table.effect_numbers import EffectNumbers
from trustbench.summary.table.registry import Cell, Measure

UTILITY = "utility"
"""The target name of what is printed beside the five aspects."""


@dataclass(frozen=True)
class Estimate(EffectNumbers):
    """The effect of one arm on one metric, or the verdict in its place.

    `verdict` is None for secondary metrics, which have no registered margin. `p_adjusted` is Holm's
    for the registered cells and Benjamini-Hochberg's elsewhere.
    """

    arm: str
    dose: Mapping[str, Scalar]
    regime: str | None
    metric: str | None
    against: str | float | None = None
    reference: str | None = None
    """The arm that replaces the baseline; None: the baseline, or the arm itself."""
    verdict: Verdict | None = None
    p_adjusted: float | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The evaluator's settings that are not the registered ones."""
    below_floor: str | None = None
    """By how much the arm misses the utility floor; None if it does not."""

    @property
    def reason(self) -> str | None:
        """The reason for a missing number; None if there is a number."""
        return self.verdict.reason if self.verdict and self.effect is None else None


@dataclass(frozen=True)
class CellResult:
    """One printed cell. `target` is an aspect or utility; a control has no `source`."""

    source: Aspect | None
    target: str
    intervention: str
    estimate: Estimate
    registered: Cell | None = None
    measure: Measure | None = None
    unreliable: str | None = None
    """A warning that the metric misleads here; None without any."""
    beyond_matched: Effect | None = None
    beyond_reason: str | None = None
    """Why there is no effect beyond matched accuracy, if there should be one."""
    matched_accuracy_gap: float | None = None
    secondary: tuple[Estimate, ...] = ()
    doses: tuple[Estimate, ...] = ()
    row: str | None = None
    """The row's method, which a cell may replace by one of its own; a control has none."""
    own: Estimate | None = None
    """What the row's method does where the cell is measured by another one, exploratory; None
    where it was not measured."""

    @property
    def borrowed(self) -> bool:
        """Whether the cell is measured by another method than its row's."""
        return self.row is not None and self.row != self.intervention

    @property
    def name(self) -> str:
        """The cell in letters.

        >>> from trustbench.summary.stats.effects import not_measured
        >>> from trustbench.summary.table.results import CellResult, Estimate
        >>> nothing = Estimate("none", {}, None, None, verdict=not_measured("an arm"))
        >>> CellResult(Aspect.PRIVACY, "fairness", "dpsgd", nothing).name
        'P→F'
        """
        target = self.target if self.target == UTILITY else Aspect(self.target).letter
        return f"{self.source.letter}→{target}" if self.source else f"reseed→{target}"

    @property
    def verdict(self) -> Verdict:
        """The verdict; a printed cell always has one."""
        assert self.estimate.verdict is not None
        return self.estimate.verdict


def metrics_of(cells: Iterable[CellResult], others: Iterable[Estimate]) -> set[str]:
    """Every metric from which the cells or other estimates show an effect."""
    shown = [e for cell in cells for e in (cell.estimate, *cell.secondary)]
    return {e.metric for e in (*shown, *others) if e.metric is not None}


@dataclass(frozen=True)
class ArmRow:
    """Every registered effect of one treated arm: a dose, an alternative or a combination.

    They are judged with Benjamini-Hochberg over the whole grid: exploratory.
    """

    label: str
    interventions: tuple[str, ...]
    dose: Mapping[str, Scalar]
    estimates: Mapping[str, Estimate]
    facts: Mapping[str, Scalar]
    """What training declared on this arm but not on the baseline: epsilon, accountant, ..."""
    privacy: tuple[Guarantee, ...]
    """The privacy ledger's claims on the arm."""
    claims: tuple[str, ...]
    """The same as printed lines, each number with its scope."""
    printed: bool
    below_floor: str | None = None
    """By how much the arm misses the utility floor; None if it does not."""


@dataclass(frozen=True)
class FactorialContrast:
    """A main effect, an interaction, or the cost of a combination beyond the sum of its parts.

    Positive is worse; an interaction above zero means that the methods harm more together.
    """

    target: str
    metric: str
    factors: tuple[str, ...]
    kind: str
    effect: Effect
    delta: float
    p_adjusted: float | None = None
    verdict: Verdict | None = None
    beyond_chance: Effect | None = None
    """The same, for a metric over groups minus what random groups show."""


@dataclass(frozen=True)
class FactorialResult:
    """All subsets of some methods, in one regime."""

    regime: str
    factors: tuple[str, ...]
    contrasts: tuple[FactorialContrast, ...]
    absent: Mapping[str, str] = field(default_factory=dict)
    """Column -> why its metric has no contrasts."""


@dataclass(frozen=True)
class MitigationResult:
    """Whether a method removes the harm that another does to an aspect, and its cost."""

    source: Aspect
    target: Aspect
    harmful: str
    mitigating: str
    metric: str
    references: tuple[str, ...]
    before: Effect | None = None
    after: Effect | None = None
    change: Effect | None = None
    """`after` minus `before`, paired: negative if the harm shrinks."""
    answer: str = ""
    costs: Mapping[str, Estimate] = field(default_factory=dict)
    """Target -> the mitigating arm's effect on it beyond the harmful arm, judged alone."""
    unpriced: Mapping[str, str] = field(default_factory=dict)
    """Target -> why its cost is unknown."""
    reason: str | None = None


@dataclass(frozen=True)
class TableResult:
    """The table of one dataset and model."""

    table: str
    dataset: str
    model: str
    variant: str
    """Distinguishes it from other tables of the same names; usually empty."""
    replicates: int
    seeds: tuple[int, ...]
    regimes: tuple[str, ...]
    """The regime of each aspect's column, in the order of the aspects."""
    cells: tuple[CellResult, ...]
    utility: tuple[CellResult, ...]
    reseed: tuple[CellResult, ...]
    arms: tuple[ArmRow, ...]
    exploratory: tuple[Estimate, ...]
    family: int
    """How many registered cells Holm's correction covers."""
    notes: tuple[str, ...] = field(default=())
    noise: tuple[str, ...] = ()
    """The notes on the source of privacy noise."""
    settings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Evaluator -> the notes on the settings at which it is read."""
    factorials: tuple[FactorialResult, ...] = ()
    mitigations: tuple[MitigationResult, ...] = ()
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    """What evaluators declare of the metrics shown, as far as that is known here."""

    def explanation(self, *metrics: str | None) -> str | None:
        """What these metrics mean, by their declarations; None if that is unknown here."""
        known = [found.explanation for m in metrics if m and (found := self.metrics.get(m))]
        return " ".join(known) or None

    def cell(self, source: Aspect, target: str) -> CellResult:
        """The cell of a source aspect and a target aspect or utility."""
        return next(
            c for c in (*self.cells, *self.utility) if (c.source, c.target) == (source, target)
        )

    @property
    def title(self) -> str:
        """Dataset, model and variant, for captions."""
        return f"{self.dataset} / {self.model}" + (f" ({self.variant})" if self.variant else "")
