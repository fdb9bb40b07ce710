"""Deletion faithfulness: does the prediction fall when the top-ranked parts are removed?"""

import math

import numpy as np
import torch
from torch import Tensor

from trustbench.contracts import System
from trustbench.methods.explanations.lime_surrogate import flatten
from trustbench.methods.explanations.neighbourhood_base import Neighbourhood


def deletion(
    system: System,
    area: Neighbourhood,
    X: Tensor,
    effects: Tensor,
    *,
    share: float,
    draws: int,
    rng: np.random.Generator,
) -> Tensor:
    """(p_random - p_named) / p_0 per row, [R, n]; 0 for an uninformative explanation.

    p_0 is the probability of the predicted class. p_named is that with the `share` of parts of
    largest supporting effect set to their baseline. p_random is the mean over `draws` random
    choices of equally many parts, the same for all replicates.

    Args:
        system: the replicates to query.
        area: provides the parts and their baseline.
        X: rows [n, *shape].
        effects: what each part adds according to the explanation, [R, n, parts].
        share: the fraction of the parts to remove, rounded up.
        draws: random choices per row.
        rng: draws them.

    Reference: Samek et al. 2017, arXiv 1509.06321, section 3 (region perturbation).
    """
    flat, k = flatten(system, X), math.ceil(share * area.parts)
    logits = system.logits(X)
    classes = logits.argmax(-1)
    start = _probability(logits, classes)
    named = torch.zeros(effects.shape, dtype=torch.bool, device=X.device)
    named.scatter_(-1, effects.topk(k).indices, value=True)
    without = _switched_off(system, area, flat, named, classes)
    random = torch.zeros_like(start)
    for _ in range(draws):
        ranks = rng.random((1, flat.shape[1], area.parts)).argsort(-1).argsort(-1)
        off = torch.as_tensor(ranks < k, device=X.device)
        random += _switched_off(system, area, flat, off, classes) / draws
    return (random - without) / start


def _switched_off(
    system: System, area: Neighbourhood, flat: Tensor, off: Tensor, classes: Tensor
) -> Tensor:
    X = area.switch_off(flat, off)
    shaped = X.reshape(*X.shape[:2], *system.problem.shape)
    return _probability(system.logits(shaped[0] if len(X) == 1 else shaped), classes)


def _probability(logits: Tensor, classes: Tensor) -> Tensor:
    return logits.double().softmax(-1).gather(-1, classes[..., None])[..., 0]
