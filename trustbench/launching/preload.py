"""Imported by the fork server: whatever an arm may import, so that its process starts with it.

Importing this module is its whole effect. A fork cannot use CUDA when its parent has; so nothing
here may start it, and the server dies with a trace if something did.
"""

import importlib
import pkgutil
import warnings

MODULES = (
    "trustbench.commands.run",  # the function that runs an arm
    "trustbench.launching.child",
    "alembic.command",
    "mlflow",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.store.tracking.sqlalchemy_workspace_store",
    "opacus",
    "scipy.stats",
    "sklearn.datasets",
    "sklearn.ensemble",
    "sqlalchemy.dialects.sqlite",
    "torch",
)
PLUGINS = ("datasets", "evaluators", "interventions", "models")


def _preload() -> None:
    import torch

    with warnings.catch_warnings():
        # libraries import with deprecated features of their own dependencies
        warnings.simplefilter("ignore")
        for name in MODULES:
            importlib.import_module(name)
        for folder in PLUGINS:
            package = importlib.import_module(f"trustbench.{folder}")
            for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
                importlib.import_module(found.name)
    assert not torch.cuda.is_initialized(), "an import has started CUDA, which no fork survives"


_preload()
