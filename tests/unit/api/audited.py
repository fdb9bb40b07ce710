"""A table, a model of it, and a policy: what the tests of audits share."""

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from trustbench.summary.decide.policy import parse_policy

FEW = ["utility", "fairness", "uncertainty", "privacy"]


def policy(**keys):
    ranked = {"priorities": [{"target": "fairness", "weight": 1}]}
    given = {"name": "p", "version": 1, "description": "d", **ranked, **keys}
    return parse_policy(given, "p.yaml")


def made_table():
    """A table of two groups, with the part of each row."""
    rng = np.random.default_rng(0)
    n = 1200
    town = rng.choice(["north", "south"], n, p=[0.6, 0.4])
    income, age = rng.normal(size=n), rng.integers(18, 80, n)
    merit = 1.5 * income + 0.02 * (age - 40) + 0.5 * (town == "north")
    repaid = np.where(merit + rng.logistic(size=n) > 0.3, "yes", "no")
    part = rng.permutation(np.repeat(["train", "calibration", "test"], [500, 200, 500]))
    return pd.DataFrame(
        {"town": town, "income": income, "age": age, "repaid": repaid, "part": part}
    )


def fitted(table, C=1.0, target="repaid", numbers=("income", "age"), words=("town",)):
    steps = make_column_transformer(
        (StandardScaler(), list(numbers)), (OneHotEncoder(handle_unknown="ignore"), list(words))
    )
    seen = table[table["part"] == "train"]
    model = make_pipeline(steps, LogisticRegression(C=C, max_iter=3000))
    return model.fit(seen[[*numbers, *words]], seen[target])
