"""The strongest of several attacks on each target, chosen without the target."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from trustbench.contracts import Array
from trustbench.methods.attacks.membership.likelihood import Scores
from trustbench.methods.attacks.membership.metrics import auc, each, smallest_side
from trustbench.methods.attacks.membership.shadows import shadows_of

COMBINATION = "combination"
# Pairs of replicates: the target's, and two whose models attack each other in the choice.
LEAST = 6

Attacks = Mapping[str, Scores]
"""Scores of the same models by every available attack."""


@dataclass(frozen=True)
class AttackChoice:
    """An attack chosen on models other than the target and its complementary partner."""

    name: str
    weights: Mapping[str, float]  # of standardised scores
    scores: Scores  # of the models that chose, [S, n]
    member: Array  # bool [S, n]


@dataclass(frozen=True)
class Strongest:
    """Scores [R, n], and the attack used on each target."""

    scores: Scores
    choices: tuple[AttackChoice, ...]

    @property
    def chosen(self) -> str:
        """How many targets each attack was chosen for, most frequent first."""
        count = Counter(c.name for c in self.choices)
        return ", ".join(f"{name} {times}" for name, times in count.most_common())


def strongest(
    attack: Callable[[Array, int], Attacks], member: Array, targets: int | None = None
) -> Strongest | None:
    """Attacks every target by what works best when all the other models attack each other.

    The candidates are the attacks and their combination, a logistic regression of membership on
    their scores. Neither the target nor its partner takes part in the choice, as a model or as a
    shadow of others: the same models choose for both of a pair. If a target leaks nothing, its
    expected AUC is therefore one half, however many attacks are available.

    `without` repeats the attack of a target without a shadow, with the choice held fixed. Returns
    None if the models outside a pair have no shadows among each other.

    Args:
        attack: scores of the first of the chosen models (bool [M]) by every attack.
        member: which rows each model was trained on, bool [M, n].
        targets: the number of models, from the first, that are targets; default: all.
    """
    count = len(member) if targets is None else targets
    choices: dict[bytes, AttackChoice | None] = {}
    found: list[AttackChoice] = []
    for r in range(count):
        keep = shadows_of(member, r)
        if keep.tobytes() not in choices:
            n = int(keep.sum())
            choices[keep.tobytes()] = _choose(attack(keep, n), member[keep]) if n else None
        choice = choices[keep.tobytes()]
        if choice is None:
            return None
        found.append(choice)
    whole = attack(np.ones(len(member), dtype=bool), count)
    return Strongest(_weighted(whole, [c.weights for c in found]), tuple(found))


def _choose(attacks: Attacks, member: Array) -> AttackChoice | None:
    """The attack with the largest mean AUC on models [S, n] of known membership."""
    names = list(attacks)
    usable = np.logical_and.reduce([a.usable for a in attacks.values()])
    if not smallest_side(usable, member):
        return None
    options = {name: {name: 1.0} for name in names}
    options[COMBINATION] = _learned(attacks, usable, member)
    scores = {k: _weighted(attacks, [w] * len(member)) for k, w in options.items()}
    values = {k: each(auc, s, member).mean() for k, s in scores.items()}
    best = max(values, key=lambda k: values[k])
    return AttackChoice(best, options[best], scores[best], member)


def _learned(attacks: Attacks, usable: Array, member: Array) -> dict[str, float]:
    """The weights of standardised scores in a logistic regression of membership."""
    from sklearn.linear_model import LogisticRegression

    scaled = [_standardised(a.values, usable)[usable] for a in attacks.values()]
    model = LogisticRegression().fit(np.stack(scaled, axis=1), member[usable])
    return dict(zip(attacks, map(float, model.coef_[0]), strict=True))


def _standardised(values: Array, usable: Array, like: Array | None = None) -> Array:
    """Scores [R, n] standardised by each target's mean and standard deviation over `like`."""
    like = values if like is None else like
    mean = np.mean(like, axis=1, where=usable, keepdims=True)
    sd = np.std(like, axis=1, where=usable, keepdims=True)
    return np.asarray((values - mean) / np.where(sd > 0, sd, 1.0))


def _weighted(attacks: Attacks, weights: list[Mapping[str, float]]) -> Scores:
    """The sum of standardised scores, with weights for each target."""
    usable = np.logical_and.reduce([a.usable for a in attacks.values()])
    factors = {k: np.array([[w.get(k, 0.0)] for w in weights]) for k in attacks}

    def total(parts: Attacks) -> Scores:
        kept = usable & np.logical_and.reduce([a.usable for a in parts.values()])
        scaled = [
            factors[k] * _standardised(a.values, usable, attacks[k].values)
            for k, a in parts.items()
        ]
        fewest = min(a.shadows for a in parts.values())
        return Scores(np.where(kept, sum(scaled), 0.0), kept, fewest, "equal")

    def without(j: int) -> Scores:
        return total({k: a if a.without is None else a.without(j) for k, a in attacks.items()})

    return replace(total(attacks), without=without)
