"""The base of all methods that release prediction sets."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor

from trustbench.contracts import Fact, Intervention, Learnt, Problem, Read, Schedule, System
from trustbench.errors import ConfigError
from trustbench.methods.conformal.informative import rows_needed, too_few_rows
from trustbench.methods.conformal.scores import SCORES, Score, ScoreFunction
from trustbench.methods.conformal.split import CalibrationScores, calibration_scores, predictor


@dataclass(frozen=True)
class SetRelease(Intervention, ABC):
    """A set predictor for every score; subclasses define the scores and their thresholds.

    `alpha` is the allowed miscoverage. `rows` limits each replicate to its first calibration rows
    (null: all).

    A deployed system states the facts `set_alpha` and, for each score, `set_rows_SCORE`,
    `set_guarantee_SCORE` and further facts of the method, with `set_trivial_SCORE` if every set is
    full for lack of rows. If two methods release the same score, the one listed last applies.
    """

    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.1
    rows: Annotated[int, Field(ge=1)] | None = None

    dose: ClassVar[tuple[str, ...]] = ("alpha", "rows")
    guarantee: ClassVar[str] = "marginal coverage"
    reads_rows: ClassVar[tuple[Read, ...] | None] = (
        Read("calibration", "thresholds of prediction sets", into="answers"),
    )

    def supports(self, problem: Problem, schedule: Schedule) -> str | None:
        """Returns a reason if there are fewer calibration rows than requested, else None."""
        pool = len(problem.splits["calibration"])
        if self.rows is not None and self.rows > pool:
            return f"rows={self.rows} is more than the {pool} calibration rows of {problem.name}"
        return None

    @abstractmethod
    def functions(self) -> Mapping[str, ScoreFunction]:
        """The scores by the name of their channel."""

    @abstractmethod
    def thresholds(
        self, system: System, own: CalibrationScores, score: str
    ) -> tuple[Tensor, Mapping[str, Fact]]:
        """Returns thresholds [R, G or 1, C or 1], and facts about them."""

    def rows_needed(self, own: CalibrationScores) -> int:
        """The minimum number of calibration rows for a finite threshold.

        A method that uses only some of its rows for thresholds needs more.
        """
        return rows_needed(self.alpha)

    def deploy(self, system: System) -> System:
        """Returns the system with a set predictor for each score; retrains nothing."""
        facts = level_stated(system, self.alpha)
        predictors = dict(system.set_predictors)
        for name, score in self.functions().items():
            learnt = system.learn(name, partial(self._learnt, system, name, score))
            predictors[name] = predictor(system, score, learnt.tensors["threshold"])
            facts = released(facts, name, learnt.facts)
        return replace(system, set_predictors=predictors, facts=facts)

    def _learnt(self, system: System, name: str, score: ScoreFunction) -> Learnt:
        own = calibration_scores(system, score, self.rows)
        threshold, said = self.thresholds(system, own, name)
        rows = own.y.shape[1]
        trivial = too_few_rows(self.alpha, rows, self.rows_needed(own))
        facts: dict[str, Fact] = {"rows": rows, "guarantee": self.guarantee, **said}
        return Learnt({"threshold": threshold}, with_reason(facts, trivial))


def level_stated(system: System, alpha: float) -> Mapping[str, Fact]:
    """Returns the system's facts with the level of its sets.

    Raises:
        ConfigError: sets of another level are already released.
    """
    if system.facts.get("set_alpha", alpha) != alpha:
        raise ConfigError(
            f"two methods release prediction sets, at alpha={system.facts['set_alpha']} and "
            f"alpha={alpha}; give both the same alpha."
        )
    return {**system.facts, "set_alpha": alpha}


def released(facts: Mapping[str, Fact], score: str, added: Mapping[str, Fact]) -> dict[str, Fact]:
    """Returns the facts with those of a score's sets replaced."""
    kept = {
        k: v for k, v in facts.items() if not (k.startswith("set_") and k.endswith(f"_{score}"))
    }
    return kept | {f"set_{key}_{score}": value for key, value in added.items()}


def with_reason(facts: Mapping[str, Fact], trivial: str | None) -> dict[str, Fact]:
    """Returns facts about a score's sets, with the reason why they hold every label, if any."""
    return {**facts} if trivial is None else {**facts, "trivial": trivial}


@dataclass(frozen=True)
class ReleasedScores(SetRelease):
    """Methods whose score is a choice: APS, LAC, or both side by side."""

    scores: Annotated[tuple[Score, ...], Field(min_length=1)] = ("aps", "lac")

    def functions(self) -> Mapping[str, ScoreFunction]:
        """The scores named in `scores`."""
        return {score: SCORES[score] for score in self.scores}


def listed(names: Iterable[str], chosen: Iterable[bool]) -> str | None:
    """The names as one fact, or None without any.

    >>> listed(["a", "b", "c"], [True, False, True])
    'a, c'
    """
    return ", ".join(n for n, c in zip(names, chosen, strict=True) if c) or None
