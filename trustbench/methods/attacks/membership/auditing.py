"""A lower bound of epsilon from an attack: what the data shows, not what is guaranteed."""

from dataclasses import dataclass

import numpy as np

from trustbench.contracts import Array
from trustbench.methods.attacks.membership.likelihood import Scores
from trustbench.methods.attacks.membership.metrics import smallest_side
from trustbench.methods.attacks.membership.strongest import Strongest

# Number of thresholds tried on the other replicates, with steps that grow from either end.
RANKS = 60


def clopper_pearson(k: Array, n: Array, confidence: float) -> tuple[Array, Array]:
    """Exact bounds of a binomial rate after k of n; each holds alone with `confidence`.

    Reference: Clopper & Pearson 1934, Biometrika 26(4).
    """
    from scipy.stats import beta

    k, n = np.asarray(k, dtype=np.float64), np.asarray(n, dtype=np.float64)
    # the beta distribution is undefined for a count of 0; the bound is then the end of the range
    low = np.where(k > 0, beta.ppf(1 - confidence, np.maximum(k, 1), n - k + 1), 0.0)
    high = np.where(k < n, beta.ppf(confidence, k + 1, np.maximum(n - k, 1)), 1.0)
    return low, high


@dataclass(frozen=True)
class Counts:
    """Decisions of one attack: true and false positives, arrays of one shape, with their totals."""

    true: Array
    members: int
    false: Array
    others: int

    def epsilon(self, delta: float, confidence: float) -> Array:
        """The largest epsilon that these decisions contradict; at least 0.

        (epsilon, delta)-DP excludes any test with TPR > e^epsilon FPR + delta, and the same for the
        complementary decisions. The bounds of both rates hold together with `confidence`.

        Reference: Kairouz et al. 2015, arXiv 1311.0776, theorem 2.1; Jagielski et al. 2020,
        arXiv 2006.07709, section 4.
        """
        each = 1 - (1 - confidence) / 2
        tpr, _ = clopper_pearson(self.true, np.asarray(self.members), each)
        _, fpr = clopper_pearson(self.false, np.asarray(self.others), each)
        with np.errstate(divide="ignore", invalid="ignore"):
            member = np.log(np.maximum(tpr - delta, 0.0) / fpr)
            outside = np.log(np.maximum(1 - fpr - delta, 0.0) / (1 - tpr))
        return np.asarray(np.maximum(np.maximum(member, outside), 0.0))


@dataclass(frozen=True)
class Audit:
    """Lower bounds for each replicate as the target, and for all decisions together."""

    values: Array  # float64 [R]
    pooled: float
    thresholds: Array  # float64 [R]
    n: int  # the minimum number of rows on which a replicate was decided


def audit(found: Strongest, member: Array, *, delta: float, confidence: float) -> Audit | None:
    """Returns the lower bound of epsilon by the strongest attack, chosen without the target.

    The threshold of each target is also chosen without it: the one that would give the best bound
    if the target's rates were those of the models on which the attack was chosen. The target's rows
    therefore test one attack and one threshold, not the best of many, so the bounds are honest.
    They treat a replicate's rows as independent trials, as all audits that train few models do:
    read the confidence as nominal. None if a target has no usable members or non-members.

    Args:
        found: scores of the targets, and what was chosen for each.
        member: membership of the targets, bool [R, n].
        delta: the delta of the guarantee to contradict.
        confidence: the confidence of each bound.

    Reference: Jagielski et al. 2020, arXiv 2006.07709; Nasr et al. 2021, arXiv 2101.04535;
    Steinke et al. 2023, arXiv 2305.08846 (many rows of one model).
    """
    if not smallest_side(found.scores.usable, member):
        return None
    decided, thresholds = [], []
    for r, choice in enumerate(found.choices):
        own = _side(found.scores, member, r)
        thresholds.append(_threshold(choice.scores, choice.member, own, delta, confidence))
        decided.append(_decide(own, np.array(thresholds[-1])))
    values = np.array([c.epsilon(delta, confidence) for c in decided])
    together = Counts(
        np.array(sum(c.true for c in decided)),
        sum(c.members for c in decided),
        np.array(sum(c.false for c in decided)),
        sum(c.others for c in decided),
    )
    pooled = float(together.epsilon(delta, confidence))
    fewest = min(c.members + c.others for c in decided)
    return Audit(values, pooled, np.array(thresholds), fewest)


Sides = tuple[Array, Array]  # sorted scores of members and of non-members


def _side(scores: Scores, member: Array, r: int | slice) -> Sides:
    usable, inside = scores.usable[r], member[r]
    return np.sort(scores.values[r][usable & inside]), np.sort(scores.values[r][usable & ~inside])


def _decide(sides: Sides, thresholds: Array) -> Counts:
    """Counts of "member if score >= threshold", for each threshold."""
    inside, outside = sides
    return Counts(
        len(inside) - np.searchsorted(inside, thresholds, side="left"),
        len(inside),
        len(outside) - np.searchsorted(outside, thresholds, side="left"),
        len(outside),
    )


def _threshold(
    scores: Scores, member: Array, target: Sides, delta: float, confidence: float
) -> float:
    """The best threshold for bounding epsilon if the target's rates were those of scores [S, n]."""
    sides = _side(scores, member, slice(None))
    every = np.sort(np.concatenate(sides))
    rank = np.unique(np.geomspace(1, len(every), RANKS).astype(int)) - 1
    tried = np.unique(np.concatenate([every[rank], every[::-1][rank]]))
    found, (inside, outside) = _decide(sides, tried), map(len, target)
    expected = Counts(
        np.floor(found.true / found.members * inside),
        inside,
        np.ceil(found.false / found.others * outside),
        outside,
    )
    return float(tried[np.argmax(expected.epsilon(delta, confidence))])
