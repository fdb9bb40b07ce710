"""Exported models in MLflow: a pyfunc model with signature and example, and the registry."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trustbench import __version__
from trustbench.errors import UserError
from trustbench.store.records import Record, Store
from trustbench.tracking import artifacts, runs
from trustbench.tracking.dataset_input import log_dataset
from trustbench.tracking.evaluation_tables import GROUP_HEAD, GROUPS, group_rows, log_table
from trustbench.tracking.server import TrackingServer, quiet
from trustbench.tracking.upload import close_run, create_run, dataset_of

if TYPE_CHECKING:
    from pandas import DataFrame

    from trustbench.contracts import Array

LOADER = "trustbench.execution.export.pyfunc"
"""The module that MLflow loads the folder with; nothing is pickled."""
EXPERIMENT = "exports"


@dataclass(frozen=True)
class SignatureSample:
    """A made-up input and its answers, from which MLflow takes the signature."""

    rows: "DataFrame | Array"
    answers: "DataFrame"


def write_model(
    export: Path, path: Path, sample: SignatureSample, metadata: Mapping[str, str]
) -> None:
    """Writes an exported folder as an MLflow model to `path`; MLflow keeps it below `data/`."""
    with quiet():
        from mlflow import pyfunc

        pyfunc.save_model(
            str(path),
            loader_module=LOADER,
            data_path=str(export),
            signature=_signature(sample),
            input_example=sample.rows,
            metadata=dict(metadata),
            pip_requirements=[f"trustbench=={__version__}"],
        )


@dataclass(frozen=True)
class ModelEvidence:
    """What a registered model comes from: its record, with arrays and the types of raw columns."""

    record: Record
    arrays: "Mapping[str, Array]"
    columns: Mapping[str, str]


def register(
    store: Store,
    uri: str | None,
    folder: Path,
    name: str,
    tags: Mapping[str, str],
    run: str,
    evidence: ModelEvidence,
) -> str:
    """Uploads an MLflow model as a run's artifact and registers it; returns `models:/NAME/VERSION`.

    Raises:
        TrackingError: the server is unreachable or refuses.
        UserError: the name cannot be that of a registered model.
    """
    if not name or any(c in name for c in "/:"):
        raise UserError(f"--name {name!r} cannot name a registered model; leave out / and :.")
    server = TrackingServer(store, uri)
    where = runs.experiment_id(server, EXPERIMENT)
    run_id = create_run(server, where, run, {"trustbench.kind": "export", **tags})
    kept = artifacts.of_run(server, run_id)
    record = evidence.record
    if record.problem is not None:
        log_dataset(server, run_id, dataset_of(record, evidence.columns))
    log_table(server, run_id, GROUPS, GROUP_HEAD, group_rows(record, evidence.arrays))
    kept.put_folder(folder, "model")
    close_run(server, run_id, "FINISHED")
    known = [m.name for m in server.call("search_registered_models", f"name = '{name}'")]
    if name not in known:
        server.call("create_registered_model", name)
    source = f"{kept.address}/model"
    made = server.call("create_model_version", name, source, run_id, dict(tags))
    return f"models:/{name}/{made.version}"


def _signature(sample: SignatureSample) -> Any:
    """The signature. Raw columns are of any type: MLflow refuses whole numbers for a double."""
    from mlflow.models import ModelSignature, infer_signature
    from mlflow.types import ColSpec, Schema
    from mlflow.types.schema import AnyType

    found = infer_signature(sample.rows, sample.answers, params={"explanations": True})
    if not hasattr(sample.rows, "columns"):
        return found
    anything: Any = AnyType
    columns = [ColSpec(anything(), str(name)) for name in sample.rows.columns]
    return ModelSignature(Schema([*columns]), found.outputs, found.params)
