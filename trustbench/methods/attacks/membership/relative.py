"""RMIA: how often a row's likelihood ratio exceeds that of rows that no model was trained on."""

from dataclasses import replace
from functools import lru_cache

import numpy as np

from trustbench.contracts import Array
from trustbench.methods.attacks.membership.likelihood import Scores
from trustbench.methods.attacks.membership.shadows import shadows_of

TINY = np.finfo(np.float64).tiny


def rmia(
    p: Array,
    member: Array,
    population: Array,
    *,
    gamma: float,
    offline_a: float | None,
    targets: int | None = None,
) -> Scores:
    """Pr_z[(p(x|target) / p(x)) / (p(z|target) / p(z)) > gamma]; all other models are references.

    p(x) is the mean of the references' probabilities: half the mean of those that saw x plus half
    the mean of those that did not or, offline, ((1 + a) mean_out + 1 - a) / 2. No reference saw a
    z, so online p(z) is their plain mean. For one target the score is an increasing function of the
    ratio of x: z and gamma map it to a scale that targets share.

    Args:
        p: probability of each row's label, [M, n].
        member: bool [M, n].
        population: the same for rows z that no model was trained on, [M, m].
        gamma: at least 1; how much larger the ratio of x must be.
        offline_a: None online; otherwise a, how far the models' confidences move on members.
        targets: the number of models, from the first, that are targets; default: all.

    Reference: Zarifzadeh et al. 2024, arXiv 2312.03262, section 3.
    """
    shape = len(p) if targets is None else targets, p.shape[1]

    def scores(without: int | None = None) -> Scores:
        values, usable = np.zeros(shape), np.zeros(shape, dtype=bool)
        shadows = len(p)
        for r in range(len(values)):
            keep = shadows_of(member, r)
            if without is not None:
                keep[without] = False
            shadows = min(shadows, int(keep.sum()))
            inside, outside = (_mean(p[keep], side) for side in (member[keep], ~member[keep]))
            usable[r] = (~member[keep]).any(0)
            p_x, p_z = (inside + outside) / 2, _mean(population[keep])
            if offline_a is None:
                usable[r] &= member[keep].any(0)
            else:
                p_x, p_z = (((1 + offline_a) * q + 1 - offline_a) / 2 for q in (outside, p_z))
            x, z = p[r] / np.maximum(p_x, TINY), population[r] / np.maximum(p_z, TINY)
            beaten = np.searchsorted(np.sort(gamma * z), x, side="left") / len(z)
            values[r] = np.where(usable[r], beaten, 0.0)
        return Scores(values, usable, shadows, "equal")

    return replace(scores(), without=lru_cache(maxsize=1)(scores), mutual=False)


def _mean(p: Array, chosen: Array | None = None) -> Array:
    """Mean of p [S, n] over the chosen models [S, n]; 0 if none is chosen."""
    chosen = np.ones(p.shape, dtype=bool) if chosen is None else chosen
    return np.asarray(np.where(chosen, p, 0.0).sum(0) / np.maximum(chosen.sum(0), 1))
