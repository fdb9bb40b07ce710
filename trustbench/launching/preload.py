"""Imported by the fork server: everything an arm may import, so that its process starts with it.

Importing this module in the server is its whole effect. A fork cannot use CUDA if its parent has.
Nothing here may therefore start it, and the server exits with a traceback if something did.
"""

import atexit
import importlib
import os
import pkgutil
import warnings
from collections.abc import Iterator

SERVER = "TRUSTBENCH_FORK_SERVER"
"""An environment variable that only the server has."""
MODULES = (
    "trustbench.api.runs",  # the function that runs an arm
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
    parent = os.getppid()
    with warnings.catch_warnings():
        # libraries import deprecated features of their own dependencies
        warnings.simplefilter("ignore")
        for name in (*MODULES, *_plugins()):
            if os.getppid() != parent:
                os._exit(0)  # the parent is gone, and nothing needs this server
            importlib.import_module(name)
    import torch

    assert not torch.cuda.is_initialized(), "an import has started CUDA, which no fork survives"
    # Nothing needs cleaning up here, and cleaning up after all these libraries takes seconds.
    atexit.register(os._exit, 0)


def _plugins() -> Iterator[str]:
    """Every module of a folder of plugins, requested once their dependencies are imported."""
    for folder in PLUGINS:
        package = importlib.import_module(f"trustbench.{folder}")
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            yield found.name


if SERVER in os.environ:
    _preload()
