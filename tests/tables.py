"""A small table of people with a sensitive attribute and one-hot columns, for unit tests."""

import numpy as np

from tests.conftest import CARD
from trustbench.contracts import Feature, Problem


def make_table(n=500, seed=0):
    """Two numbers, `colour` (3 levels) and the sensitive `g` (2 levels), in 7 columns.

    The label depends on x0 and on g; numbers are rounded to halves, so that a perturbed number
    is seen to be no real one.
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
    names = ("train", "validation", "calibration", "test")
    return Problem(
        name="table",
        X=X,
        y=y,
        group=g.astype(np.int64),
        classes=("no", "yes"),
        groups=("g0", "g1"),
        group_name="g",
        features=features,
        splits=dict(zip(names, np.split(order, [a, b, c]), strict=True)),
        card=CARD,
    )
