"""A stress test of training: labels and inputs are recorded with errors."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field
from typing_extensions import override

from trustbench.contracts import Array, Intervention, Problem, Read, Schedule, Streams
from trustbench.contracts.aspects import Aspect
from trustbench.errors import did_you_mean


@dataclass(frozen=True)
class NoisyData(Intervention):
    """Training sees wrong labels and imprecise numbers, of all or of one group. A stress test.

    A share `label_rate` of the labels is replaced by another class, drawn evenly. Numbers get
    Gaussian errors of standard deviation `input_sd` times the width of their allowed range, and are
    kept within it; categories stay. `group` (null: all) names whose rows are affected. `noise_seed`
    draws the errors, the same in all arms and replicates. Validation rows have imprecise numbers
    too, and true labels; test and calibration rows are as they were.

    Reference: Wang et al. 2021, arXiv 2011.00379 (noise that depends on the group).
    """

    label_rate: Annotated[float, Field(ge=0, lt=1)] = 0.1
    input_sd: Annotated[float, Field(ge=0)] = 0.0
    group: str | None = None
    noise_seed: Annotated[int, Field(ge=0)] = 0

    aspect: ClassVar[Aspect] = Aspect.ROBUSTNESS
    reads_rows: ClassVar = (Read("pool", "the rows that are recorded wrongly", into="training"),)
    reference: ClassVar[str] = "Wang et al. 2021, arXiv 2011.00379"
    needs_group: ClassVar[Literal["train", "predict", "never"]] = "train"
    dose: ClassVar[tuple[str, ...]] = ("label_rate", "input_sd")

    @override
    def supports(self, problem: Problem, schedule: Schedule) -> str | None:
        if self.group is not None and self.group not in problem.groups:
            hint = did_you_mean(self.group, problem.groups)
            return f"{problem.name} has no group {self.group!r}; {hint}"
        if self.label_rate == self.input_sd == 0:
            return "label_rate=0 and input_sd=0 change nothing; make one of them positive"
        return None

    @override
    def labels(self, problem: Problem) -> Array | None:
        if self.label_rate == 0:
            return None
        _, y, group = problem.rows("train")
        rng = Streams(self.noise_seed).numpy("data", "noisy_labels")
        wrong = (rng.random(len(y)) < self.label_rate) & self._affected(problem, group)
        step = rng.integers(1, len(problem.classes), size=len(y))
        return np.where(wrong, (y + step) % len(problem.classes), y)

    @override
    def inputs(self, problem: Problem, split: Literal["train", "validation"]) -> Array | None:
        if self.input_sd == 0:
            return None
        X, _, group = problem.rows(split)
        rng = Streams(self.noise_seed).numpy("data", f"noisy_{split}")
        numbers = np.zeros(problem.n_features)
        for feature in problem.features:
            numbers[list(feature.columns)] = not feature.whole
        lower, upper = problem.per_column("lower"), problem.per_column("upper")
        flat = X.reshape(len(X), -1)
        noisy = flat + rng.normal(size=flat.shape) * self.input_sd * (upper - lower) * numbers
        changed = np.outer(self._affected(problem, group), numbers).astype(bool)
        seen = np.where(changed, noisy.clip(lower, upper), flat)
        return np.asarray(seen.astype(X.dtype).reshape(X.shape))

    def _affected(self, problem: Problem, group: Array) -> Array:
        if self.group is None:
            return np.ones(len(group), dtype=bool)
        return np.asarray(group == problem.groups.index(self.group))
