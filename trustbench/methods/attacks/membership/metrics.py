"""Metrics of an attacker's scores: AUC, and true-positive rates at low false-positive rates."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from trustbench.contracts import Array
from trustbench.methods.attacks.membership.likelihood import Scores


def auc(scores: Array, member: Array) -> float:
    """The area under the ROC curve, ties counted half: P(member > non-member) + P(equal) / 2.

    >>> auc(np.array([3.0, 1.0, 1.0, 0.0]), np.array([True, True, False, False]))
    0.875
    """
    inside = int(member.sum())
    outside = len(member) - inside
    _, position, count = np.unique(scores, return_inverse=True, return_counts=True)
    rank = np.cumsum(count) - (count - 1) / 2  # tied scores share their mean rank
    ranks = rank[position][member].sum()
    return float((ranks - inside * (inside + 1) / 2) / (inside * outside))


def resolves(fpr: float, non_members: int) -> bool:
    """Whether a false-positive rate can be distinguished from 0: it must allow one false positive.

    >>> resolves(0.01, 100), resolves(0.01, 99), resolves(0.001, 999)
    (True, False, False)
    """
    return allowed(fpr, non_members) >= 1


def allowed(fpr: float, non_members: int) -> int:
    """The number of false positives that a rate allows (tolerates the product's rounding error)."""
    return int(np.floor(fpr * non_members + 1e-9))


def tpr_at(scores: Array, member: Array, fpr: float) -> float:
    """The largest true-positive rate of any threshold with a false-positive rate of at most `fpr`.

    >>> tpr_at(np.array([3.0, 1.0, 2.0, 0.0]), np.array([True, True, False, False]), 0.5)
    1.0
    """
    inside, outside = scores[member], scores[~member]
    k = allowed(fpr, len(outside))
    if k >= len(outside):
        return 1.0
    barrier = np.partition(outside, len(outside) - 1 - k)[len(outside) - 1 - k]
    return float((inside > barrier).mean())


def oracle_balanced_accuracy(members: Array, non_members: Array) -> float:
    """The best balanced accuracy of any threshold on the scores, chosen on these same scores.

    An upper bound on what an attacker reaches: the threshold is swept on the evaluation data, as in
    Song et al. Never report it as an attack; it exists to reproduce published numbers.

    Reference: Song, Shokri & Mittal 2019, arXiv 1905.10291, section 4.1.

    >>> oracle_balanced_accuracy(np.array([0.9, 0.8, 0.4, 0.3]), np.array([0.5, 0.2, 0.1, 0.0]))
    0.875
    """
    thresholds = np.concatenate([members, non_members])
    tpr = 1 - np.searchsorted(np.sort(members), thresholds, side="left") / len(members)
    tnr = np.searchsorted(np.sort(non_members), thresholds, side="left") / len(non_members)
    return float(max(0.5, (0.5 * (tpr + tnr)).max()))


# --- over replicates -------------------------------------------------------------------------


def each(metric: Callable[[Array, Array], float], scores: Scores, member: Array) -> Array:
    """A metric of (scores, membership) on the usable rows of each replicate: [R]."""
    rows = zip(scores.values, member, scores.usable, strict=True)
    return np.array([metric(s[u], m[u]) for s, m, u in rows])


def smallest_side(usable: Array, member: Array) -> int:
    """The minimum number of usable members or non-members over replicates, of bool [R, n] each."""
    return int(min((usable & member).sum(1).min(), (usable & ~member).sum(1).min()))


def fewest_outside(usable: Array, member: Array) -> int:
    """The minimum number of usable non-members over replicates."""
    return int((usable & ~member).sum(1).min())


def aucs(scores: Array, member: Array) -> list[float]:
    """The AUC of each model's scores [R, n] of rows that are members or not, bool [R, n]."""
    return [auc(s, m) for s, m in zip(scores, member, strict=True)]


def large_groups(usable: Array, member: Array, group: Array, count: int, least: int) -> list[int]:
    """Groups with `least` usable members and non-members in every replicate, largest first.

    Args:
        usable: rows that the attack scores, bool [R, n].
        member: bool [R, n].
        group: int [n], below `count`.
        count: the number of groups.
        least: the minimum number of members, and of non-members, per group.
    """
    size = np.bincount(group, minlength=count)
    large = [g for g in range(count) if smallest_side(usable & (group == g), member) >= least]
    return sorted(large, key=lambda g: (-size[g], g))


def within(scores: Scores, rows: Array) -> Scores:
    """The same scores, usable only on `rows` (bool [n])."""
    left = scores.without
    without = None if left is None else lambda j: within(left(j), rows)
    return replace(scores, usable=scores.usable & rows, without=without)


# --- reasons why nothing can be measured -----------------------------------------------------


def needs_groups(least: int) -> str:
    """The reason for no number within groups, where fewer than two are `large_groups`."""
    return f"needs two groups with {least} members and non-members each"


def no_non_members(member: Array) -> str | None:
    """Returns a reason if a replicate of bool [R, n] lacks members or non-members, else None."""
    count = member.sum(axis=1)
    if ((count == 0) | (count == member.shape[1])).any():
        return (
            "not applicable: membership inference needs non-members, and every pool row was "
            "trained on (use protocol.inclusion=half)"
        )
    return None


def no_shadows(replicates: int, least: int = 4) -> str:
    """Says why an attack that needs `least` replicates found no shadow models."""
    return (
        "needs shadow models that saw a row and others that did not; "
        f"protocol.replicates={replicates} leaves none, give at least {least}"
    )


def unresolved(fpr: float, non_members: int) -> str:
    """Says why a true-positive rate at a false-positive rate cannot be measured."""
    return (
        f"a false-positive rate of {fpr:g} needs {round(1 / fpr)} non-members; "
        f"a replicate has {non_members}"
    )
