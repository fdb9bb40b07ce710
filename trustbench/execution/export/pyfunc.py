"""What MLflow calls to load and use an exported model; imports no MLflow."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trustbench.execution.export.model import ExportedModel, load_model
from trustbench.execution.export.spec import find_export, read_spec

if TYPE_CHECKING:
    from pandas import DataFrame


class PyfuncModel:
    """An exported model behind MLflow's interface."""

    def __init__(self, model: ExportedModel) -> None:
        self.model = model

    def predict(self, rows: Any, params: Mapping[str, Any] | None = None) -> "DataFrame":
        """What the deployed system releases; `params={"explanations": False}` leaves those out."""
        return self.model.predict(rows, explanations=(params or {}).get("explanations", True))


def _load_pyfunc(path: str) -> PyfuncModel:
    """Called by MLflow with the exported folder."""
    folder = find_export(Path(path))
    # MLflow has imported the module that the model names already: its author is trusted
    modules = {target.rpartition(".")[0] for target in read_spec(folder).targets.values()}
    return PyfuncModel(load_model(folder, plugins=modules))
