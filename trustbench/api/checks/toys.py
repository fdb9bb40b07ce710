"""Small problems and trained systems for checking a plugin's contract in seconds."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial

import numpy as np
import torch
from torch import Tensor

from trustbench.contracts import (
    SPLITS,
    Activation,
    Affine,
    Array,
    Chain,
    DataCard,
    Feature,
    Forward,
    Problem,
    SplitName,
    System,
)
from trustbench.contracts.seeding import Streams
from trustbench.methods.causal.graph import Variable
from trustbench.methods.causal.learning import Fitting, learn

CPU = torch.device("cpu")
CARD = DataCard("two Gaussians", "none", "none", "none", synthetic=True, rows_public=True)


def make_problem(
    n: int = 600, d: int = 6, classes: int = 2, groups: int = 2, seed: int = 0, shift: float = 1.5
) -> Problem:
    """Gaussian classes whose means differ by `shift`; the last group is a fifth of the rows."""
    rng = np.random.default_rng(seed)
    y = rng.integers(classes, size=n)
    group = (rng.random(n) < 0.2).astype(np.int64) if groups == 2 else rng.integers(groups, size=n)
    means = rng.normal(size=(classes, d)) * shift
    X = (means[y] + rng.normal(size=(n, d)) + 0.3 * group[:, None]).astype(np.float32)
    order = rng.permutation(n)
    a, b, c = int(0.4 * n), int(0.5 * n), int(0.7 * n)
    splits: dict[SplitName, np.ndarray] = {
        "train": order[:a],
        "validation": order[a:b],
        "calibration": order[b:c],
        "test": order[c:],
    }
    return Problem(
        name="toy",
        X=X,
        y=y.astype(np.int64),
        group=group.astype(np.int64),
        classes=tuple(map(str, range(classes))),
        groups=tuple(f"g{i}" for i in range(groups)),
        group_name="g",
        features=tuple(
            Feature(f"x{j}", "numeric", (j,), float(X[:, j].min()), float(X[:, j].max()))
            for j in range(d)
        ),
        splits=splits,
        card=CARD,
    )


def _halves(n: int, replicates: int, seed: int) -> Array:
    """Random halves of n rows in complementary pairs, bool [R, n]."""
    rng = np.random.default_rng(seed)
    membership = np.zeros((replicates, n), dtype=bool)
    for r in range(0, replicates, 2):
        half = rng.permutation(n)[: n // 2]
        membership[r, half] = True
        membership[min(r + 1, replicates - 1)] = ~membership[r]
    return membership


def _fit(
    params: list[Tensor], forward: Forward, X: Tensor, y: Tensor, members: Tensor, steps: int
) -> None:
    """Trains `params` in place: each replicate on its members; y and members [R, n]."""
    optimiser = torch.optim.Adam(params, lr=0.05)
    for _ in range(steps):
        loss = torch.nn.functional.cross_entropy(
            forward(X).flatten(0, 1), y.flatten(), reduction="none"
        ).view(y.shape)
        optimiser.zero_grad()
        (loss * members).sum().backward()
        optimiser.step()


def make_system(
    problem: Problem,
    replicates: int = 4,
    hidden: int = 16,
    steps: int = 150,
    seed: int = 0,
    draw: int = 0,
    dtype: torch.dtype = torch.float32,
    device: torch.device = CPU,
) -> System:
    """Replicates trained on complementary halves with full-batch Adam; plain torch, no engine.

    `draw` > 0 initialises the same replicates differently; `dtype` is the precision of training
    and of all answers. They are trained on the CPU and answer on `device`.
    """
    streams = Streams(seed)
    X, y, _ = problem.rows("train")
    n = len(y)
    membership = _halves(n, replicates, seed)
    g = torch.Generator().manual_seed(seed + 1000 * draw)
    d, k = problem.n_features, len(problem.classes)
    params = [
        torch.randn(replicates, d, hidden, generator=g, dtype=dtype) / d**0.5,
        torch.zeros(replicates, 1, hidden),
        torch.randn(replicates, hidden, k, generator=g, dtype=dtype) / hidden**0.5,
        torch.zeros(replicates, 1, k),
    ]
    params = [p.to(dtype).requires_grad_(True) for p in params]

    def forward(x: Tensor) -> Tensor:
        x = x.to(dtype).flatten(-len(problem.shape))
        if x.ndim == 2:
            x = x.expand(replicates, *x.shape)
        h = torch.tanh(torch.baddbmm(params[1], x, params[0]))
        return torch.baddbmm(params[3], h, params[2])

    data, target = torch.as_tensor(X), torch.as_tensor(y).expand(replicates, n)
    _fit(params, forward, data, target, torch.as_tensor(membership, dtype=dtype), steps)
    params[:] = [p.detach().to(device) for p in params]
    # a method that retrained nothing: its baseline has the same replicates
    again = partial(
        make_system, problem, replicates, hidden, steps, seed, dtype=dtype, device=device
    )
    pool = problem.splits["calibration"]
    drawn = [
        streams.numpy("calibration", r).choice(pool, size=len(pool) // 2, replace=False)
        for r in range(replicates)
    ]
    first, second = ((w.detach().mT, b.detach().squeeze(1)) for w, b in (params[:2], params[2:]))
    layers: tuple[Affine | Activation, ...] = Affine(*first), "tanh", Affine(*second)
    return System(
        problem=problem,
        forward=forward,
        parameters=Chain(layers, forward, len(problem.shape)),
        replicates=replicates,
        device=device,
        streams=streams,
        membership=membership,
        calibration=np.stack(drawn),
        facts={},
        draw=draw,
        baseline=cache(lambda: again(draw=draw)),
        reseeded=cache(lambda k: again(draw=draw + k)),
    )


@cache
def _trained(name: str) -> System:
    problem = TOYS[name]()
    return make_system(problem, 8, steps=60) if name == "eight replicates" else make_system(problem)


def toy_system(name: str) -> System:
    """The system of a toy, trained once in a process; its facts are the caller's own."""
    return replace(_trained(name), facts={})


def make_table(n: int = 500, seed: int = 0) -> Problem:
    """Two numbers, `colour` (3 levels) and the sensitive `g` (2 levels), in 7 columns.

    The label depends on x0 and on g; numbers are rounded to halves, so that a perturbed number is
    recognisable. The causal model, in which g and x0 cause x1, is fitted to the training pool.
    """
    rng = np.random.default_rng(seed)
    g, colour = rng.integers(2, size=n), rng.integers(3, size=n)
    x = np.round(2 * rng.normal(size=(n, 2))) / 2
    y = (x[:, 0] + 1.0 * g - 0.5 + 0.5 * rng.normal(size=n) > 0).astype(np.int64)
    X = np.concatenate([x, np.eye(3)[colour], np.eye(2)[g]], axis=1).astype(np.float32)
    features = (
        *(Feature(f"x{j}", "numeric", (j,), -5.0, 5.0) for j in range(2)),
        Feature("colour", "categorical", (2, 3, 4), 0.0, 1.0, levels=("r", "g", "b")),
        Feature("g", "categorical", (5, 6), 0.0, 1.0, mutable=False, levels=("g0", "g1")),
    )
    order = rng.permutation(n)
    a, b, c = int(0.4 * n), int(0.5 * n), int(0.7 * n)
    places = {f.name: f.columns for f in features}
    causes = {"g": (), "x0": (), "colour": (), "x1": ("g", "x0")}
    variables = [Variable(name, places[name], parents) for name, parents in causes.items()]
    line = Fitting(hidden=0)
    return Problem(
        scm=learn(X[order[:a]], variables, ["g"], Streams(0), line, groups=(0, 1)),
        name="table",
        X=X,
        y=y,
        group=g.astype(np.int64),
        classes=("no", "yes"),
        groups=("g0", "g1"),
        group_name="g",
        features=features,
        splits=dict(zip(SPLITS, np.split(order, [a, b, c]), strict=True)),
        card=CARD,
    )


TOYS: dict[str, Callable[[], Problem]] = {
    "two classes": make_problem,
    "a table": make_table,
    "five classes": lambda: make_problem(n=900, classes=5, groups=5, seed=1),
    "eight replicates": make_problem,
}
"""The small problems of the checks; with eight replicates every attack has shadow models."""
