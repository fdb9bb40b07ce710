"""The contract of a data set: it loads a sound problem, always the same one, and describes it."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np

from trustbench.api.checks.findings import Check, require
from trustbench.contracts import SPLITS, Dataset, Problem
from trustbench.contracts.seeding import Streams


def checks(dataset: Dataset, data_dir: Path) -> Iterator[Check]:
    """The checks of a data set, whose files lie below `data_dir`."""

    @cache
    def problem(seed: int) -> Problem:
        return dataset.load(data_dir, Streams(seed))

    yield "it loads a sound problem", lambda: _sound(problem(0))
    yield "its splits share no row", lambda: _disjoint(problem(0))
    yield "it loads the same data twice", lambda: _stable(dataset, data_dir, problem(0))
    yield "its bounds hold the training pool", lambda: _bounded(problem(0))
    yield "its card says what a reader must know", lambda: _described(problem(0))
    yield "its causal model undoes itself", lambda: causal(problem(0))
    yield "it declares what it learns from the pool", lambda: _declared(dataset, problem)


def _sound(problem: Problem) -> str:
    # a Problem refuses parts that do not fit together, and numbers that are not finite
    require(
        isinstance(problem, Problem),
        "load returns something else than a Problem; return trustbench.Problem(...)",
    )
    require(len(problem.groups) > 1, "there is one group only; name at least two groups.")
    sizes = ", ".join(f"{len(problem.splits[s])} {s}" for s in SPLITS)
    return f"{problem.n_features} inputs, {len(problem.classes)} classes; rows: {sizes}"


def _disjoint(problem: Problem) -> None:
    rows = np.concatenate([problem.splits[s] for s in SPLITS])
    require(len(rows) == len(np.unique(rows)), "a row is in two splits; draw them without overlap.")


def _stable(dataset: Dataset, data_dir: Path, problem: Problem) -> None:
    again = dataset.load(data_dir, Streams(0))
    require(
        again.fingerprint == problem.fingerprint,
        "two loads with one seed differ; draw random numbers from `streams` only.",
    )


def _bounded(problem: Problem) -> None:
    flat = problem.rows("train")[0].reshape(len(problem.splits["train"]), -1)
    low, high = problem.per_column("lower"), problem.per_column("upper")
    outside = np.any((flat < low - 1e-4) | (flat > high + 1e-4), axis=0)
    columns = set(np.flatnonzero(outside))
    names = [f.name for f in problem.features if columns & set(f.columns)]
    require(
        not names,
        f"training rows lie outside of the bounds of {', '.join(names[:5])}; give Feature(lower, "
        "upper) that hold the pool.",
    )


def _described(problem: Problem) -> None:
    card = problem.card
    texts = ("description", "known_harms", "licence", "reference")
    lacking = [name for name in texts if len(getattr(card, name).strip()) < 3]
    require(not lacking, f"the DataCard lacks {', '.join(lacking)}; write it.")


def causal(problem: Problem) -> str | None:
    """The check of a causal model: raises Broken with what is wrong."""
    scm = problem.scm
    if scm is None:
        return "it has none"
    X, fixed = problem.rows("test")[0].astype(np.float64), list(scm.sensitive)
    Q = scm.latent(X)
    require(Q.shape == X.shape, "latent gives another shape than that of the inputs; keep it.")
    same = np.allclose(scm.from_latent(Q), X, atol=1e-4)
    require(same, "from_latent(latent(X)) differs from X; invert each equation.")
    require(
        np.array_equal(Q[:, fixed], X[:, fixed]), "latent changes sensitive columns; keep them."
    )
    levels = scm.levels()
    known = (X[:, None, fixed] == levels).all(2).any(1).all()
    require(known, "levels lacks a combination of sensitive values that occurs in the test rows.")
    for level in levels:
        other = Q.copy()
        other[:, fixed] = level
        back = scm.latent(scm.from_latent(other))
        require(np.allclose(back, other, atol=1e-3), "the noise of a twin is not the person's own.")
    new = scm.sample(20, np.random.default_rng(0))
    require(new.shape == (20, X.shape[1]), "sample gives another shape than [n, d].")
    return f"{len(levels)} levels; {'exact' if scm.exact else 'learnt'}"


def _declared(dataset: Dataset, problem: Callable[[int], Problem]) -> None:
    require(
        dataset.declares() is not None,
        "reads_rows is not declared; () where constants scale the inputs, else what the pool "
        "gives, say (POOL_STATISTICS,).",
    )
    one, other = problem(0), problem(1)
    bounds = [[(f.lower, f.upper) for f in p.features] for p in (one, other)]
    values = [np.unique(p.X.reshape(len(p.X), -1)[:, :1].round(5)) for p in (one, other)]
    constant = bounds[0] == bounds[1] and np.isin(values[0], values[1]).mean() > 0.5
    require(
        constant or dataset.declares(),
        "another pool gives other bounds, and reads_rows = () says that nothing is learnt; "
        "declare what is read.",
    )
    require(
        not (constant and dataset.declares()),
        "another pool gives the same inputs, so nothing is learnt from it; declare reads_rows = "
        "().",
    )
