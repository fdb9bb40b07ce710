"""A lower bound of epsilon from an attack: what the data say, never what is guaranteed."""

from dataclasses import dataclass

import numpy as np

from trustbench.contracts import Array
from trustbench.methods.attacks.membership.likelihood import Scores
from trustbench.methods.attacks.membership.metrics import smallest_side
from trustbench.methods.attacks.membership.strongest import Strongest

# Thresholds tried on the other replicates: this many ranks, in steps that grow from either end.
RANKS = 60


def clopper_pearson(k: Array, n: Array, confidence: float) -> tuple[Array, Array]:
    """Exact bounds of a binomial rate after k of n: each holds alone with `confidence`.

    Reference: Clopper & Pearson 1934, Biometrika 26(4).
    """
    from scipy.stats import beta

    k, n = np.asarray(k, dtype=np.float64), np.asarray(n, dtype=np.float64)
    # the beta distribution is not defined where a count is 0; the bound there is the end
    low = np.where(k > 0, beta.ppf(1 - confidence, np.maximum(k, 1), n - k + 1), 0.0)
    high = np.where(k < n, beta.ppf(confidence, k + 1, np.maximum(n - k, 1)), 1.0)
    return low, high


@dataclass(frozen=True)
class Counts:
    """Decisions of one attack: true and false positives, arrays of one shape, and of how many."""

    true: Array
    members: int
    false: Array
    others: int

    def epsilon(self, delta: float, confidence: float) -> Array:
        """The largest epsilon that these decisions contradict, at least 0.

        (epsilon, delta)-DP allows no test TPR > e^epsilon FPR + delta, nor the same of the
        complementary decisions. Both rates' bounds hold together with `confidence`.

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
    """Lower bounds of every replicate as the target, and of all decisions together."""

    values: Array  # float64 [R]
    pooled: float
    thresholds: Array  # float64 [R]
    n: int  # the fewest rows that a replicate was decided on


def audit(found: Strongest, member: Array, *, delta: float, confidence: float) -> Audit | None:
    """Epsilon's lower bound from the strongest attack, which is chosen without the target.

    So is each target's threshold: it is the one that would bound epsilon best if the target's
    rates were those of the models which the attack was chosen on. So the target's rows test one
    attack and one threshold, not the best of many, and the bounds are honest. They take a
    replicate's rows for independent trials, as audits that train few models do: read the
    confidence as nominal. None where a target has no usable members or non-members.

    Args:
        found: scores of the targets, and what was chosen for each.
        member: of the targets, bool [R, n].
        delta: of the (epsilon, delta) that is contradicted.
        confidence: of each bound.

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
    """Counts of "member if score >= threshold", for each of the thresholds."""
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
    """What would bound epsilon best, were the target's rates those of these scores [S, n]."""
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
