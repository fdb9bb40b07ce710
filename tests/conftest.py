"""Small real systems that unit tests share: a Problem and R trained replicates."""

from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
import torch

from trustbench.contracts import DataCard, Feature, Problem, System
from trustbench.contracts.seeding import Streams

CARD = DataCard("two Gaussians", "none", "none", "none", synthetic=True, rows_public=True)


def make_problem(n=600, d=6, classes=2, groups=2, seed=0, shift=1.5):
    """Gaussian classes whose means differ by `shift`; the last group is a fifth of the rows."""
    rng = np.random.default_rng(seed)
    y = rng.integers(classes, size=n)
    group = (rng.random(n) < 0.2).astype(np.int64) if groups == 2 else rng.integers(groups, size=n)
    means = rng.normal(size=(classes, d)) * shift
    X = (means[y] + rng.normal(size=(n, d)) + 0.3 * group[:, None]).astype(np.float32)
    order = rng.permutation(n)
    a, b, c = int(0.4 * n), int(0.5 * n), int(0.7 * n)
    splits = {
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


def make_system(problem, replicates=4, hidden=16, steps=150, seed=0, draw=0, dtype=torch.float32):
    """Replicates trained on complementary halves with full-batch Adam; plain torch, no engine.

    `draw` > 0 initialises the same replicates differently; `dtype` is the precision of training
    and of all answers.
    """
    streams = Streams(seed)
    X, y, _ = problem.rows("train")
    n, rng = len(y), np.random.default_rng(seed)
    membership = np.zeros((replicates, n), dtype=bool)
    for r in range(0, replicates, 2):
        half = rng.permutation(n)[: n // 2]
        membership[r, half] = True
        membership[min(r + 1, replicates - 1)] = ~membership[r]
    g = torch.Generator().manual_seed(seed + 1000 * draw)
    d, k = problem.n_features, len(problem.classes)
    params = [
        torch.randn(replicates, d, hidden, generator=g, dtype=dtype) / d**0.5,
        torch.zeros(replicates, 1, hidden),
        torch.randn(replicates, hidden, k, generator=g, dtype=dtype) / hidden**0.5,
        torch.zeros(replicates, 1, k),
    ]
    params = [p.to(dtype).requires_grad_(True) for p in params]

    def forward(x):
        x = x.to(dtype).flatten(-len(problem.shape))
        if x.ndim == 2:
            x = x.expand(replicates, *x.shape)
        h = torch.tanh(torch.baddbmm(params[1], x, params[0]))
        return torch.baddbmm(params[3], h, params[2])

    optimiser = torch.optim.Adam(params, lr=0.05)
    data, target = torch.as_tensor(X), torch.as_tensor(y).expand(replicates, n)
    mask = torch.as_tensor(membership, dtype=dtype)
    for _ in range(steps):
        loss = torch.nn.functional.cross_entropy(
            forward(data).flatten(0, 1), target.flatten(), reduction="none"
        ).view(replicates, n)
        optimiser.zero_grad()
        (loss * mask).sum().backward()
        optimiser.step()
    for p in params:
        p.requires_grad_(False)
    # a method that retrained nothing: its baseline has the same replicates
    again = partial(make_system, problem, replicates, hidden, steps, seed, dtype=dtype)
    pool = problem.splits["calibration"]
    calibration = np.stack(
        [
            streams.numpy("calibration", r).choice(pool, size=len(pool) // 2, replace=False)
            for r in range(replicates)
        ]
    )
    return System(
        problem=problem,
        forward=forward,
        replicates=replicates,
        device=torch.device("cpu"),
        streams=streams,
        membership=membership,
        calibration=calibration,
        facts={},
        draw=draw,
        baseline=cache(lambda: again(draw=draw)),
        reseeded=cache(lambda k: again(draw=draw + k)),
    )


@pytest.fixture(scope="session")
def problem():
    """A binary problem with a minority group."""
    return make_problem()


@pytest.fixture(scope="session")
def system(problem):
    """Four trained replicates of the binary problem."""
    return make_system(problem)


@pytest.fixture(scope="session")
def multiclass_system():
    """Four trained replicates of a five-class problem."""
    return make_system(make_problem(n=900, classes=5, groups=5, seed=1))


@pytest.fixture(scope="session")
def shared_data():
    """Byte-exact copies of public data sets; tests that need them skip where they are absent."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"needs the public data files in {folder}; see docs/data.md")
    return folder
