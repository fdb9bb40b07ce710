"""Assigns rows to replicates and draws their initial parameters."""

import dataclasses

import numpy as np
import torch

from trustbench.config.arms import Protocol
from trustbench.contracts import Array, Model, Problem
from trustbench.contracts.seeding import Streams
from trustbench.errors import ConfigError
from trustbench.training.engines import Params, stack


def restrict(problem: Problem, members: int | None, streams: Streams) -> Problem:
    """Limits the pool to at most `2 * members` rows, so that a half has `members`."""
    pool = problem.splits["train"]
    if members is None or len(pool) <= 2 * members:
        return problem
    keep = streams.numpy("inclusion", "members").choice(len(pool), size=2 * members, replace=False)
    return dataclasses.replace(problem, splits={**problem.splits, "train": pool[np.sort(keep)]})


def membership(
    problem: Problem, protocol: Protocol, streams: Streams, models: range | None = None
) -> Array:
    """Returns which pool rows each model (None: each replicate) trains on: bool [R, n_pool].

    With `half`, replicates 2k and 2k+1 take complementary halves, drawn within each class and group
    so that rare ones are never absent. A row is a member with probability one half, and in exactly
    half of the replicates if R is even, as membership attacks by shadow models require (Carlini et
    al. 2022, section VI). A coin decides which half gets the odd row of a class and group.
    """
    _, y, group = problem.rows("train")
    models = range(protocol.replicates) if models is None else models
    inside = np.ones((len(models), len(y)), dtype=bool)
    if protocol.inclusion == "all":
        return inside
    strata = np.unique(np.stack([y, group]), axis=1, return_inverse=True)[1].ravel()
    for k, r in enumerate(models):
        rng = streams.numpy("inclusion", r // 2)
        half = np.zeros(len(y), dtype=bool)
        for stratum in range(strata.max() + 1):
            rows = rng.permutation(np.flatnonzero(strata == stratum))
            half[rows[: (len(rows) + rng.integers(2)) // 2]] = True
        inside[k] = half if r % 2 == 0 else ~half
    return inside


def calibration_rows(
    problem: Problem, protocol: Protocol, streams: Streams, models: range | None = None
) -> Array:
    """Draws the rows that each model (None: each replicate) calibrates on, without replacement.

    Returns int64 [R, n_cal].
    """
    pool = problem.splits["calibration"]
    size = protocol.calibration or len(pool) // 2
    if size > len(pool):
        raise ConfigError(
            f"protocol.calibration={size} asks for more rows than the calibration pool of "
            f"{problem.name} has; give at most {len(pool)}."
        )
    return np.stack(
        [
            streams.numpy("calibration", r).choice(pool, size=size, replace=False)
            for r in (range(protocol.replicates) if models is None else models)
        ]
    )


def initial_parameters(
    model: Model, problem: Problem, replicates: int, streams: Streams, device: torch.device
) -> Params:
    """Freshly initialised parameters {name: [R, *p]}, one stream per replicate."""
    modules = []
    for r in range(replicates):
        with streams.global_torch("initialisation", r):
            modules.append(model.build(problem))
    return {n: p.to(device) for n, p in stack(modules).items()}
