"""Packages that only some given models need."""

import importlib
from types import ModuleType

from trustbench.errors import UserError

EXTRA = "given"


def optional(module: str, what: str) -> ModuleType:
    """Imports the module that reads `what`; a missing one is refused with the extra to install."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise
        raise UserError(
            f"{what} needs the package {module}, which is not installed; "
            f"run: pip install 'trustbench[{EXTRA}]'"
        ) from error
