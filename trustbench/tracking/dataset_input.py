"""The data set of a run, as MLflow shows it: source, digest, profile and schema."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trustbench.tracking.server import TrackingServer

if TYPE_CHECKING:
    from mlflow import MlflowClient

_TWICE = re.compile("UNIQUE constraint failed|duplicate key value|Duplicate entry")
LONGEST_DIGEST = 36  # in MLflow


@dataclass(frozen=True)
class DatasetInput:
    """A data set that a run has used.

    `columns` are the raw columns with their types (`double`, `string`); empty if they are unknown
    or the data are not a table.
    """

    name: str
    digest: str
    source: str
    profile: Mapping[str, Any]
    columns: Mapping[str, str]
    context: str = "train"

    @property
    def schema(self) -> str | None:
        """The columns as MLflow stores a schema."""
        if not self.columns:
            return None
        listed = [{"type": t, "name": n, "required": True} for n, t in self.columns.items()]
        return json.dumps({"mlflow_colspec": listed})


def log_dataset(server: TrackingServer, run_id: str, used: DatasetInput) -> None:
    """Adds a data set to a run."""
    from mlflow.entities import Dataset, InputTag
    from mlflow.entities import DatasetInput as Input

    dataset = Dataset(
        name=used.name,
        digest=used.digest[:LONGEST_DIGEST],
        source_type="trustbench",
        source=used.source,
        schema=used.schema,
        profile=json.dumps(used.profile),
    )
    inputs = [Input(dataset, [InputTag("mlflow.data.context", used.context)])]

    def log(client: "MlflowClient") -> None:
        from mlflow.exceptions import MlflowException

        # If several writers name a new data set at once, MLflow refuses all but one; it exists
        # then.
        for last in (False, False, True):
            try:
                return client.log_inputs(run_id, inputs)
            except MlflowException as error:
                if last or not _TWICE.search(str(error)):
                    raise
        return None

    server.ask(log)
