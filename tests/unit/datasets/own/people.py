"""A table of made-up people, with what real ones have: dates, gaps, codes and households."""

from pathlib import Path

import numpy as np
import pandas as pd

from trustbench.contracts.seeding import Streams
from trustbench.datasets.loading.own.own_table import OwnTable


def people(n=1200, seed=0):
    """n rows; `approved` depends on income and tenure, and a little on sex."""
    rng = np.random.default_rng(seed)
    sex = rng.choice(["female", "male"], n)
    income = rng.lognormal(10, 0.5, n).round()
    tenure = rng.integers(0, 30, n).astype(float)
    score = (income > np.median(income)) + (tenure > 10) + 0.4 * (sex == "male")
    approved = np.where(score + rng.normal(size=n) > 1.2, "yes", "no")
    return pd.DataFrame(
        {
            "income": income,
            "tenure": tenure,
            "sex": sex,
            "age": rng.integers(18, 80, n).astype(float),
            "region": rng.choice(["north", "south", "east", "west"], n),
            "applied": pd.Timestamp("2019-01-01") + pd.to_timedelta(rng.integers(0, 900, n), "D"),
            "household": rng.integers(0, n // 3, n).astype(float),
            "approved": approved,
        }
    )


BASE = {"target": "approved", "sensitive": ("sex",), "drop": ("applied", "household")}


def loaded(tmp_path, table, seed=0, **settings):
    """What a Table with these settings understands of a frame, through a Parquet file."""
    path = Path(tmp_path) / "people.parquet"
    table.to_parquet(path)
    given = {**BASE, **settings}
    if "drop" not in settings:
        given["drop"] = tuple(c for c in BASE["drop"] if c in table)
    if "yes" in set(table["approved"]):
        given.setdefault("favourable", "yes")
    return OwnTable(path=str(path), **given).prepared(Path(tmp_path), Streams(seed))


def column(problem, name):
    """The values of a feature: [n] for one column, else [n, columns]."""
    (feature,) = [f for f in problem.features if f.name == name]
    values = problem.X[:, list(feature.columns)]
    return values[:, 0] if len(feature.columns) == 1 else values


def feature(problem, name):
    """The feature of this name."""
    return next(f for f in problem.features if f.name == name)
