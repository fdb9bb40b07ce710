"""One decision threshold per group, chosen on calibration rows; nothing is retrained."""

from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from pydantic import Field
from sklearn.base import BaseEstimator
from torch import Tensor
from typing_extensions import override

from trustbench.contracts import Array, Intervention, Learnt, Problem, Read, Schedule, System
from trustbench.contracts.aspects import Aspect
from trustbench.errors import Unsupported
from trustbench.methods.groups import cells

# The `controls` sub-stream that decides between two thresholds.
COIN = "threshold_coin"

Constraint = Literal[
    "equalized_odds",
    "demographic_parity",
    "true_positive_rate_parity",
    "false_positive_rate_parity",
    "true_negative_rate_parity",
    "false_negative_rate_parity",
]


@dataclass(frozen=True)
class ThresholdPostprocessing(Intervention):
    """Decides by thresholds for each group and replicate that make rates equal.

    fairlearn's ThresholdOptimizer finds the thresholds on the replicate's own calibration rows,
    which training never saw, from the probability of class 1. Rates between those of two thresholds
    are reached by a coin: one number per position of a query, from a seeded stream, the same for
    all replicates and for every repetition of a query. Decisions require the group. If a group and
    class has few calibration rows, rates on other rows stay unequal. Each replicate draws its own
    rows, so intervals over replicates show this error. Prediction sets of the same arm are
    calibrated on the same rows. They use scores, not decisions, so this method does not change
    their coverage.

    `constraint` is what becomes equal across groups. `maximise` is the objective under it, on the
    calibration rows (`balanced_accuracy_score`: the mean recall of both classes). `grid_size` is
    the number of points of each trade-off curve.

    Reference: Hardt et al. 2016, arXiv 1610.02413, section 3.
    """

    constraint: Constraint = "equalized_odds"
    maximise: Literal["accuracy_score", "balanced_accuracy_score"] = "accuracy_score"
    grid_size: Annotated[int, Field(ge=10)] = 1000

    version: ClassVar[int] = 3
    aspect: ClassVar[Aspect] = Aspect.FAIRNESS
    reads_rows: ClassVar = (Read("calibration", "thresholds for each group", into="answers"),)
    reference: ClassVar[str] = "Hardt et al. 2016, arXiv 1610.02413"
    needs_group: ClassVar[Literal["train", "predict", "never"]] = "predict"

    @override
    def supports(self, problem: Problem, schedule: Schedule) -> str | None:
        if not problem.binary:
            return f"thresholds decide between two classes; this task has {len(problem.classes)}"
        lacking = _missing_groups(problem, problem.splits["calibration"])
        if lacking:
            return f"{lacking} has no calibration row of one class, so its rates are unknown"
        return None

    def deploy(self, system: System) -> System:
        """Opens `decider`.

        Raises:
            Unsupported: a replicate's calibration rows lack a class of a group.
        """
        learnt = system.learn("thresholds", lambda: Learnt(self._fitted(system)._asdict()))
        rules = ThresholdRules(**learnt.tensors)

        def decide(X: Tensor, group: Array) -> Tensor:
            scores = positive(system.logits(X))
            index = torch.as_tensor(group, device=scores.device)
            of_group = ThresholdRules(*(field[:, index] for field in rules))
            coin = system.streams.numpy("controls", COIN).random(len(group))
            return (of_group.probability(scores) >= system.tensor(coin)).long()

        return replace(system, decider=decide)

    def _fitted(self, system: System) -> "ThresholdRules":
        """Fits the thresholds of all groups for each replicate on its calibration rows."""
        from fairlearn.postprocessing import ThresholdOptimizer

        problem, chosen = system.problem, system.calibration
        scores = positive(system.logits(system.tensor(problem.X[chosen]))).cpu().numpy()
        found = []
        for r, (own, rows) in enumerate(zip(scores, chosen, strict=True)):
            lacking = _missing_groups(problem, rows)
            if lacking:
                raise Unsupported(
                    f"{lacking} has no row of one class among the {len(rows)} calibration rows of "
                    f"replicate {r}; raise protocol.calibration"
                )
            optimizer = ThresholdOptimizer(
                estimator=_Scores(),
                constraints=self.constraint,
                objective=self.maximise,
                grid_size=self.grid_size,
                prefit=True,
                predict_method="predict",
            ).fit(own[:, None], problem.y[rows], sensitive_features=problem.group[rows])
            by_group = optimizer.interpolated_thresholder_.interpolation_dict
            found.append([_rule(by_group[g]) for g in range(len(problem.groups))])
        return ThresholdRules(*system.tensor(np.array(found)).unbind(-1))


class _Scores(BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """A fitted estimator whose predictions are its inputs: fairlearn gets scores instead of X."""

    def fit(self, X: Array, y: Array) -> "_Scores":
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def predict(self, X: Array) -> Array:
        return np.asarray(X)[:, 0]


class ThresholdRules(NamedTuple):
    """A mixture of two thresholds and a constant, each float64 [R, G] or one per row [R, n]."""

    share: Tensor  # of the first threshold against the second
    first: Tensor
    second: Tensor
    ignore: Tensor  # the share of rows decided by the constant
    constant: Tensor

    def probability(self, scores: Tensor) -> Tensor:
        """The probability of deciding for class 1, [R, n], of scores float64 [R, n]."""
        above = [(scores > threshold).double() for threshold in (self.first, self.second)]
        mixed = self.share * above[0] + (1 - self.share) * above[1]
        return self.ignore * self.constant + (1 - self.ignore) * mixed


def positive(logits: Tensor) -> Tensor:
    """The probability of class 1, float64 [...], of logits [..., 2]."""
    return logits.double().softmax(-1)[..., 1]


def _missing_groups(problem: Problem, rows: Array) -> str:
    """Names the groups in which `rows` lack a class; empty if there are none."""
    count = cells(problem.group[rows], problem.y[rows], len(problem.groups), 2)
    names = [g for g, k in zip(problem.groups, count, strict=True) if not k.all()]
    return f"group {', '.join(names)} ({problem.group_name})" if names else ""


def _rule(found: Any) -> tuple[float, float, float, float, float]:
    """The numbers of fairlearn's interpolation for one group; without flips all are `>`."""
    operations = (found.operation0, found.operation1)
    if any(operation.operator != ">" for operation in operations):
        raise ValueError("a threshold that favours lower scores was not requested")
    first, second = (float(operation.threshold) for operation in operations)
    ignore = float(found.get("p_ignore", 0.0))
    return float(found.p0), first, second, ignore, float(found.get("prediction_constant", 0.0))
