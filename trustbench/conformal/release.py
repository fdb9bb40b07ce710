"""What all methods that release prediction sets share."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor

from trustbench.conformal.scores import SCORES, Score, ScoreFunction
from trustbench.conformal.split import CalibrationScores, calibration_scores, predictor
from trustbench.contracts import Fact, Intervention, Problem, Read, Schedule, System
from trustbench.errors import ConfigError


@dataclass(frozen=True)
class ReleasedSets(Intervention, ABC):
    """A set predictor for every score; a subclass says which scores, and their thresholds.

    `alpha`: the miscoverage that is allowed. `rows`: only so many of each replicate's
    calibration rows are used, its first (null: all).

    A deployed system states as facts `set_alpha` and, for each score, `set_rows_SCORE`,
    `set_guarantee_SCORE` and what else the method has to say. Of two methods that release the
    same score, the one named last does.
    """

    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.1
    rows: Annotated[int, Field(ge=1)] | None = None

    dose: ClassVar[tuple[str, ...]] = ("alpha", "rows")
    guarantee: ClassVar[str] = "marginal coverage"
    reads_rows: ClassVar[tuple[Read, ...] | None] = (
        Read("calibration", "thresholds of prediction sets", into="answers"),
    )

    def supports(self, problem: Problem, schedule: Schedule) -> str | None:
        """None, or that there are fewer calibration rows than asked for."""
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
        """Thresholds [R, G or 1, C or 1], and facts about them."""

    def deploy(self, system: System) -> System:
        """The system with a set predictor for each score. Nothing is retrained."""
        if system.facts.get("set_alpha", self.alpha) != self.alpha:
            raise ConfigError(
                f"two methods release prediction sets, at alpha={system.facts['set_alpha']} and "
                f"alpha={self.alpha}; give both the same alpha."
            )
        predictors, facts = dict(system.set_predictors), {**system.facts, "set_alpha": self.alpha}
        for name, score in self.functions().items():
            own = calibration_scores(system, score, self.rows)
            threshold, said = self.thresholds(system, own, name)
            predictors[name] = predictor(system, score, threshold)
            stale = [k for k in facts if k.startswith("set_") and k.endswith(f"_{name}")]
            for key in stale:
                del facts[key]
            said = {"rows": own.y.shape[1], "guarantee": self.guarantee, **said}
            facts |= {f"set_{key}_{name}": value for key, value in said.items()}
        return replace(system, set_predictors=predictors, facts=facts)


@dataclass(frozen=True)
class ReleasedScores(ReleasedSets):
    """Methods that leave the score open: APS, LAC, or both side by side."""

    scores: Annotated[tuple[Score, ...], Field(min_length=1)] = ("aps", "lac")

    def functions(self) -> Mapping[str, ScoreFunction]:
        """Those named in `scores`."""
        return {score: SCORES[score] for score in self.scores}


def listed(names: Iterable[str], chosen: Iterable[bool]) -> str | None:
    """The chosen names as one fact, or None.

    >>> listed(["a", "b", "c"], [True, False, True])
    'a, c'
    """
    return ", ".join(n for n, c in zip(names, chosen, strict=True) if c) or None
