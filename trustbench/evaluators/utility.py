"""The purpose of a system: accuracy, balanced accuracy, ranking, and the train-test gap."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from typing_extensions import override

from trustbench.contracts import (
    ABSTAIN,
    Access,
    Array,
    Evaluator,
    Fact,
    Measured,
    Measurement,
    Metric,
    SplitName,
    System,
    fraction,
)
from trustbench.contracts.aspects import Aspect
from trustbench.evaluators._decisions import decisions
from trustbench.evaluators._logistic import ROWS, reference
from trustbench.methods.groups import means

OF_MEMBERS = ("train_test_gap", "member_accuracy")
"""What reads the model's own training rows."""
LOGISTIC = ("logistic_accuracy", "logistic_balanced_accuracy", "logistic_member_accuracy")
"""The floor of models that trustbench trains: a regression on the rows of each replicate."""


@dataclass(frozen=True)
class Utility(Evaluator):
    """Accuracy of the deployed decisions, printed beside the five aspects.

    `accuracy`, `balanced_accuracy` (mean recall of the classes) and `auc` (two classes only) are
    those of the test set. `train_test_gap` is the accuracy of each replicate on the pool rows on
    which it was trained, `member_accuracy`, minus its test accuracy.

    Of a system that abstains, accuracy is that of all rows, so that to abstain is not right. The
    fact `coverage` is the share of rows that are decided; the evaluator `coverage` measures it.

    `logistic_accuracy`, `logistic_balanced_accuracy` and `logistic_member_accuracy` are the results
    of a plain logistic regression on the same rows: the utility floor of the table.

    Reference: Brodersen et al. 2010, "The balanced accuracy and its posterior distribution".
    """

    version: ClassVar[int] = 3
    aspect: ClassVar[Aspect | None] = None
    reads: ClassVar[frozenset[str]] = frozenset({"forward", "decider"})
    takes_abstention: ClassVar[bool] = True
    access: ClassVar[frozenset[Access]] = frozenset()
    over_rows: ClassVar[bool] = True
    reference: ClassVar[str] = "Brodersen et al. 2010 (balanced accuracy)"
    metrics = (
        fraction(
            "accuracy",
            "The share of test rows that are decided correctly.",
            better="higher",
            rate=True,
        ),
        fraction(
            "balanced_accuracy",
            "The share of test rows decided correctly, each class counting as much as the others.",
            better="higher",
        ),
        fraction(
            "auc",
            "How often a row of class 1 gets a higher score than a row of class 0.",
            better="higher",
            null=0.5,
        ),
        Metric(
            "train_test_gap",
            "How much more accurate the model is on its own training rows than on test rows.",
            "fraction",
            better="lower",
            lower=-1.0,
            upper=1.0,
            null=0.0,
        ),
        fraction(
            "member_accuracy",
            "The share of its own training rows that the model decides correctly.",
            better="higher",
            diagnostic=True,
        ),
        fraction(
            "logistic_accuracy",
            "The accuracy that a plain logistic regression reaches on the same test rows.",
            better="higher",
            diagnostic=True,
        ),
        fraction(
            "logistic_balanced_accuracy",
            "The balanced accuracy that a plain logistic regression reaches on the same test rows.",
            better="higher",
            diagnostic=True,
        ),
        fraction(
            "logistic_member_accuracy",
            "The accuracy of a plain logistic regression on its own training rows.",
            better="higher",
            diagnostic=True,
        ),
    )

    @override
    def measure(self, system: System) -> Measured:
        _, y, _ = system.problem.rows("test")
        hit = _hits(system, "test")
        accuracy = hit.mean(axis=1)
        recall = means(hit, y, len(system.problem.classes))
        found = [
            self.measurement("accuracy", accuracy, len(y)),
            self.measurement("balanced_accuracy", np.nanmean(recall, axis=1), len(y)),
        ]
        reason = _no_auc(system, y)
        missing = {} if reason is None else {"auc": reason}
        if reason is None:
            logits = system.split_logits("test").double()
            auc = ranking_auc((logits[..., 1] - logits[..., 0]).cpu().numpy(), y)
            found.append(self.measurement("auc", auc, len(y)))
        if "members" in system.access:
            members = _member_accuracy(system)
            found.append(self.measurement("train_test_gap", members - accuracy, len(y)))
            own = int(system.membership.sum(axis=1).min())
            found.append(self.measurement("member_accuracy", members, own))
        else:
            missing |= dict.fromkeys(OF_MEMBERS, "needs members")
        if "replicates" in system.access:
            found += self._floor(system, len(y))
        else:
            missing |= dict.fromkeys(LOGISTIC, "needs replicates")
        facts: dict[str, Fact] = {}
        if system.abstains:
            facts["coverage"] = float((decisions(system, "test") != ABSTAIN).mean())
        return Measured(tuple(found), facts=facts, missing=missing)

    def _floor(self, system: System, n: int) -> Iterator[Measurement]:
        """What the utility floor reads: the accuracies of a plain regression."""
        plain = reference(system)
        own = int(system.membership.sum(axis=1).min())
        yield self.measurement("logistic_accuracy", plain.accuracy, n)
        yield self.measurement("logistic_balanced_accuracy", plain.balanced_accuracy, n)
        yield self.measurement("logistic_member_accuracy", plain.member_accuracy, min(own, ROWS))


def ranking_auc(scores: Array, y: Array) -> Array:
    """How often a row of class 1 outscores one of class 0, ties half: [R] of scores [R, n].

    >>> ranking_auc(np.array([[0.1, 0.4, 0.35, 0.8]]), np.array([0, 0, 1, 1])).tolist()
    [0.75]
    """
    ones, zeros = (np.sort(scores[:, y == label], axis=1) for label in (1, 0))
    # whole numbers, so that the sums are exact: a row of class 0 counts twice, or once if it ties
    twice = [
        sum(int(np.searchsorted(below, above, side).sum()) for side in ("left", "right"))
        for above, below in zip(ones, zeros, strict=True)
    ]
    auc = np.array(twice) / 2 / (ones.shape[1] * zeros.shape[1])
    return np.where(np.isnan(scores).any(axis=1), np.nan, auc)


def _hits(system: System, split: SplitName) -> Array:
    """1 where the deployed decision is right: float64 [R, n]."""
    y = system.problem.rows(split)[1]
    return np.asarray(decisions(system, split) == y, dtype=np.float64)


def _member_accuracy(system: System) -> Array:
    """The accuracy of each replicate on the pool rows on which it was trained: [R]."""
    hit, member = _hits(system, "train"), system.membership
    return np.asarray((hit * member).sum(axis=1) / member.sum(axis=1))


def _no_auc(system: System, y: Array) -> str | None:
    if "logits" not in system.access:
        return "needs logits"
    if not system.problem.binary:
        return f"auc needs two classes; this task has {len(system.problem.classes)}"
    if len(np.unique(y)) < 2:
        return "auc needs both classes in the test set"
    return None
