"""The record schema and the store; the only module that builds paths.

outputs/
├── arms/<arm id>/record.json, arrays.npz      everything one arm produced
├── fits/<fit id>/fit.json, *.safetensors      trained replicates, shared by arms
├── sweeps/<experiment>.json                   which arms the last sweep of an experiment asked for
├── tables/<experiment>-<dataset>-<model>.{md,csv,json,tex,png}
└── mlflow.db, mlflow-artifacts/
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trustbench.errors import UserError

SCHEMA = 1
Status = Literal["started", "ok", "failed", "unsupported", "timeout"]
Scalar = bool | int | float | str | None


class Strict(BaseModel):
    """Base of the schema: unknown keys and non-finite floats are refused."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)


class PluginSpec(Strict):
    """A plugin as an arm uses it: name, effective hyper-parameters, version."""

    name: str
    params: dict[str, Any] = Field(default_factory=dict)
    version: int = 1
    aspect: str | None = None
    """The aspect of an intervention or evaluator; None for utility, datasets and models."""
    dose: dict[str, Scalar] = Field(default_factory=dict)
    """How strong an intervention is, by its dose fields: {"epsilon": 3.0}."""


class ArmSpec(Strict):
    """What defines an arm; every field changes its numbers."""

    dataset: PluginSpec
    model: PluginSpec
    training: dict[str, Any]
    """The schedule as configured; `regime` is one of its keys."""
    interventions: list[PluginSpec]
    control: Literal["none", "reseed", "matched"] = "none"
    """reseed: the baseline again with other seeds; matched: the baseline stopped early."""
    protocol: dict[str, Any]
    seed: int
    engine: str
    """The engine that ran: stacked or opacus."""


class MeasurementRecord(Strict):
    """One metric over R replicates; `pseudo` as in a Measurement."""

    values: list[float]
    higher_is_better: bool
    unit: str
    n: int
    lower: float | None = None
    upper: float | None = None
    diagnostic: bool = False
    pseudo: list[float] | None = None
    common_sd: float | None = None


class Evaluation(Strict):
    """What one evaluator measured on the arm."""

    evaluator: PluginSpec
    status: Status
    reason: str | None = None
    seconds: float = 0.0
    measurements: dict[str, MeasurementRecord] = Field(default_factory=dict)
    facts: dict[str, Scalar] = Field(default_factory=dict)
    missing: dict[str, str] = Field(default_factory=dict)
    """Metric -> why it could not be measured on this system."""


class ProblemSpec(Strict):
    """The problem as it was, for captions and comparability."""

    fingerprint: str
    sizes: dict[str, int]
    """Rows per split, and `members` per replicate."""
    classes: list[str]
    groups: list[str]
    group_name: str
    group_sizes: dict[str, int]
    """Rows of each group in the test set."""
    card: dict[str, Any]


class Record(Strict):
    """Everything one arm produced."""

    schema_version: int = SCHEMA
    id: str
    fit: str
    arm: ArmSpec
    status: Status
    reason: str | None = None
    traceback: str | None = None
    replicates: int
    facts: dict[str, Scalar] = Field(default_factory=dict)
    """What training declared: engine, epochs run, epsilon, delta, matched accuracy gap, ..."""
    problem: ProblemSpec | None = None
    evaluations: dict[str, Evaluation] = Field(default_factory=dict)
    """Keyed by evaluation id, `<evaluator>-<hash of its settings>`."""
    environment: dict[str, Scalar] = Field(default_factory=dict)
    seconds: float = 0.0

    def label(self) -> str:
        """A short name for people: `dpsgd epsilon=3.0`, `none`, `none (reseed)`."""
        names = "+".join(i.name for i in self.arm.interventions) or "none"
        return names if self.arm.control == "none" else f"{names} ({self.arm.control})"


class Sweep(Strict):
    """Which arms and evaluations the last sweep of an experiment asked for, in order."""

    experiment: str
    table: str
    arms: list[str]
    evaluations: list[str]
    """Evaluation ids; a table reads no others."""


def write_atomically(path: Path, data: bytes) -> None:
    """Writes `data` so that a reader sees the old file or the new one, never half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as f:
            f.write(data)
            f.flush()
            os.fsync(f.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


class Store:
    """The outputs folder."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    def arm_dir(self, arm: str) -> Path:
        """The folder of an arm."""
        return self.root / "arms" / arm

    def fit_dir(self, fit: str) -> Path:
        """The folder of trained replicates."""
        return self.root / "fits" / fit

    def sweep_file(self, experiment: str) -> Path:
        """The manifest of an experiment's last sweep."""
        return self.root / "sweeps" / f"{experiment}.json"

    def table_file(self, experiment: str, suffix: str) -> Path:
        """Where a rendered table goes."""
        return self.root / "tables" / f"{experiment}.{suffix}"

    @property
    def tracking_db(self) -> Path:
        """The default MLflow database."""
        return self.root / "mlflow.db"

    @property
    def tracking_artifacts(self) -> Path:
        """The default MLflow artifact folder."""
        return self.root / "mlflow-artifacts"

    def write(
        self, record: Record, arrays: Mapping[str, np.ndarray[Any, Any]] | None = None
    ) -> None:
        """Writes arrays first and the record last, each atomically."""
        folder = self.arm_dir(record.id)
        if arrays is not None:
            import io

            buffer = io.BytesIO()
            np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
            write_atomically(folder / "arrays.npz", buffer.getvalue())
        write_atomically(folder / "record.json", (record.model_dump_json(indent=1) + "\n").encode())

    def read(self, arm: str) -> Record | None:
        """The record of an arm, or None. A half-written or foreign file is not a record."""
        path = self.arm_dir(arm) / "record.json"
        return read_record(path) if path.exists() else None

    def arrays(self, arm: str) -> dict[str, np.ndarray[Any, Any]]:
        """The arrays of an arm; empty when there are none."""
        path = self.arm_dir(arm) / "arrays.npz"
        if not path.exists():
            return {}
        with np.load(path, allow_pickle=False) as data:
            return dict(data)

    def records(self) -> Iterator[Record]:
        """Every readable record below the folder, sorted by id."""
        for path in sorted(self.root.glob("arms/*/record.json")):
            yield read_record(path)

    def sweep(self, experiment: str) -> Sweep | None:
        """The manifest of an experiment's last sweep, or None."""
        path = self.sweep_file(experiment)
        return Sweep.model_validate_json(path.read_bytes()) if path.exists() else None

    def experiments(self) -> list[str]:
        """The experiments that have a sweep manifest, sorted."""
        return sorted(p.stem for p in self.root.glob("sweeps/*.json"))

    def sweeps(self) -> list[Sweep]:
        """Every sweep of every experiment, also those that a later one of its name replaced."""
        past = sorted(self.root.glob("sweeps/past/*.json"))
        return [Sweep.model_validate_json(p.read_bytes()) for p in past]

    def write_sweep(self, sweep: Sweep) -> None:
        """Writes a sweep's manifest, as its experiment's last and among all past ones."""
        data = sweep.model_dump_json(indent=1).encode()
        which = hashlib.sha256(data).hexdigest()[:8]
        write_atomically(self.sweep_file(sweep.experiment), data)
        past = self.root / "sweeps" / "past" / f"{sweep.experiment}-{which}.json"
        write_atomically(past, data)


def read_record(path: Path) -> Record:
    """The record in a file; UserError when it is not one of this schema."""
    try:
        data = json.loads(path.read_bytes())
        version = data.get("schema_version") if isinstance(data, dict) else None
        if version != SCHEMA:
            raise UserError(
                f"{path} has record schema {version!r}; this trustbench reads schema {SCHEMA}. "
                "Run the arm again, or read it with the version that wrote it."
            )
        return Record.model_validate(data)
    except (json.JSONDecodeError, UnicodeDecodeError, ValidationError) as error:
        raise UserError(
            f"{path} is not a complete record ({type(error).__name__}); "
            "delete it and run the arm again."
        ) from error
