"""The record schema."""

from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from trustbench.contracts.guarantees import Guarantee

if TYPE_CHECKING:
    from trustbench.contracts.measurement import Measurement

SCHEMA = 3
Status = Literal["started", "ok", "failed", "unsupported", "timeout"]
Scalar = bool | int | float | str | None


class Strict(BaseModel):
    """Base of the schema: refuses unknown keys and non-finite floats."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)


class PluginSpec(Strict):
    """A plugin as used by an arm: name, effective hyper-parameters, version."""

    name: str
    params: dict[str, Any] = Field(default_factory=dict)
    version: int = 1
    aspect: str | None = None
    """The aspect of an intervention or evaluator; None for utility, datasets and models."""
    dose: dict[str, Scalar] = Field(default_factory=dict)
    """The strength of an intervention, by its dose fields: {"epsilon": 3.0}."""
    fingerprints: dict[str, str] = Field(default_factory=dict)
    """For a plugin outside trustbench its `source`; for each field that names a file, its content.
    """
    registered: dict[str, Any] = Field(default_factory=dict)
    """For an evaluator, the defaults of settings that differ from them."""

    @property
    def settings(self) -> dict[str, Any]:
        """What distinguishes two uses of a plugin: hyper-parameters, and fingerprints if any."""
        marks = {"fingerprints": self.fingerprints} if self.fingerprints else {}
        return {**self.params, **marks}


class ArmSpec(Strict):
    """The definition of an arm; every field changes its numbers."""

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
    """The engine used: stacked or opacus."""


class MeasurementRecord(Strict):
    """One metric over R replicates: a Measurement without its name, arrays as lists."""

    values: list[float]
    higher_is_better: bool
    unit: str
    n: int
    lower: float | None = None
    upper: float | None = None
    diagnostic: bool = False
    pseudo: list[float] | None = None
    common_sd: float | None = None
    shadowing: list[float] | None = None
    null: str | None = None
    """The measurement of the same evaluation against which this one is read."""
    permuted: list[float] | None = None
    trivial: str | None = None

    @classmethod
    def of(cls, m: "Measurement") -> Self:
        """The record of a measurement, field by field."""
        return cls(**{name: _plain(getattr(m, name)) for name in cls.model_fields})


def _plain(value: Any) -> Any:
    return value if value is None or np.ndim(value) == 0 else [float(v) for v in value]


class Evaluation(Strict):
    """The measurements of one evaluator on the arm."""

    evaluator: PluginSpec
    status: Status
    reason: str | None = None
    seconds: float = 0.0
    measurements: dict[str, MeasurementRecord] = Field(default_factory=dict)
    facts: dict[str, Scalar] = Field(default_factory=dict)
    missing: dict[str, str] = Field(default_factory=dict)
    """Metric -> why it could not be measured on this system."""
    arrays: list[str] = Field(default_factory=list)
    """The names of its arrays."""


class ProblemSpec(Strict):
    """The problem at the time, for captions and comparability."""

    fingerprint: str
    sizes: dict[str, int]
    """Rows per split, and `members` per replicate."""
    classes: list[str]
    groups: list[str]
    group_name: str
    group_sizes: dict[str, int]
    """Rows of each group in the test set."""
    card: dict[str, Any]


class Tried(Strict):
    """One learning rate of a pilot."""

    rate: float
    loss: float | None
    """The lowest validation loss of any epoch, as a mean over replicates; None if one diverged,
    which counts as the worst."""
    diverged: int = 0
    """The number of replicates that diverged."""


class Pilot(Strict):
    """The learning rate chosen by `training.lr=auto`, and its alternatives."""

    rate: float
    tried: tuple[Tried, ...]
    """Every rate of the grid, in ascending order."""
    replicates: int
    epochs: int
    unused: bool = False
    """Whether the arm's method brings its own rate, so that this one is not used."""

    @property
    def effort(self) -> str:
        """The training done at each rate."""
        return f"{self.replicates} replicates, {self.epochs} epoch{'s' if self.epochs > 1 else ''}"

    def line(self) -> str:
        """The choice in one line, with every rate's loss; says so if it is not used."""
        if self.unused:
            return f"the method's own; the {self.rate:zg} that a pilot chose is for other arms"
        losses = ", ".join(
            f"{t.rate:zg} {'diverged' if t.loss is None else f'{t.loss:z.4g}'}" for t in self.tried
        )
        edges = {self.tried[0].rate: "smallest", self.tried[-1].rate: "largest"}
        edge = edges.get(self.rate) if len(self.tried) > 1 else None
        more = f"; it is the {edge} of the grid, so one beyond may do better" if edge else ""
        chosen = f"{self.rate:zg}, chosen by a pilot ({self.effort}) for the lowest validation loss"
        return f"{chosen}: {losses}{more}"


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
    privacy: list[Guarantee] = Field(default_factory=list)
    """The claims of the privacy ledger."""
    problem: ProblemSpec | None = None
    evaluations: dict[str, Evaluation] = Field(default_factory=dict)
    """Keyed by evaluation id, `<evaluator>-<hash of its settings>`."""
    environment: dict[str, Scalar] = Field(default_factory=dict)
    seconds: float = 0.0
    arrays_sha256: str | None = None
    """The checksum of arrays.npz, once finished."""
    pilot: Pilot | None = None
    """How `training.lr=auto` chose the learning rate; None if the configuration gives one."""

    def claims(self) -> tuple[str, ...]:
        """The privacy claims, each with its scope in one line."""
        return tuple(claim.line() for claim in self.privacy)


class Sweep(Strict):
    """The arms and evaluations that the last sweep of an experiment requested, in order."""

    experiment: str
    table: str
    arms: list[str]
    evaluations: list[str]
    """Evaluation ids; a table reads no others."""
    names: dict[str, str]
    """What the sweep calls its arms -> their ids."""
