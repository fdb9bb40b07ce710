"""The loaders on the real files, each loaded once."""

import sys

import numpy as np

from trustbench.contracts import SPLITS
from trustbench.contracts.seeding import Streams
from trustbench.datasets.acs_income import ACSIncome
from trustbench.datasets.adult import Adult
from trustbench.datasets.compas import Compas
from trustbench.datasets.digits import Digits
from trustbench.datasets.german import German
from trustbench.datasets.mnist import Mnist
from trustbench.datasets.silobank import SiloBank

DATASETS = {
    "adult": Adult(),
    "adult_race": Adult(sensitive="race"),
    "compas": Compas(),
    "german": German(),
    "german_sex": German(sensitive="sex"),
    "acs_income": ACSIncome(subsample=20000),
    "digits": Digits(),
    "mnist10k": Mnist(folder="mnist10k"),
    "silobank": SiloBank(rows=4000),
}
TABLES = ["adult", "adult_race", "compas", "german", "german_sex", "acs_income", "silobank"]
LOADED = {}


def loader(shared_data):
    """A function of a name and a seed: the problem, loaded once for all tests."""

    def load(name, seed=0):
        if (name, seed) not in LOADED:
            LOADED[name, seed] = DATASETS[name].load(shared_data, Streams(seed))
        return LOADED[name, seed]

    return load


def group_sizes(problem):
    return dict(zip(problem.groups, np.bincount(problem.group).tolist(), strict=True))


def watched(monkeypatch):
    """What loaders read: the tables of the files, and the frame and rows given to the problem."""
    seen = {"files": []}
    for module in [m for name, m in sys.modules.items() if name.startswith("trustbench.datasets.")]:
        if hasattr(module, "read_columns"):
            real = module.read_columns

            def read(source, table, columns, real=real):
                seen["files"].append(table)
                return real(source, table, columns)

            monkeypatch.setattr(module, "read_columns", read)
        if hasattr(module, "table_problem"):
            build = module.table_problem

            def problem(*args, build=build, **given):
                seen["frame"] = given["frame"]
                seen["rows"] = np.concatenate([given["splits"][s] for s in SPLITS])
                return build(*args, **given)

            monkeypatch.setattr(module, "table_problem", problem)
    return seen
