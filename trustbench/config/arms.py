"""An arm: the composed configuration, with its plugins built and checked.

Every field is classified: `IDENTITY` fields change the arm's numbers and are hashed into its id,
`RUNTIME` fields only say where and how fast it runs. A test fails on an unclassified field.
"""

from collections import Counter
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import Field

from trustbench.contracts import Dataset, Evaluator, Intervention, Model, Plugin, Schedule
from trustbench.contracts.metrics import Metrics
from trustbench.contracts.steps import MOST_EPOCHS
from trustbench.store.records import Pilot, PluginSpec

P = TypeVar("P", bound=Plugin)
Rate = Annotated[float, Field(gt=0)]


@dataclass(frozen=True)
class Chosen(Generic[P]):
    """A plugin under the name of its YAML."""

    name: str
    plugin: P
    # What its numbers depend on beside its settings, see `fingerprints`; empty for built-in ones.
    marks: tuple[tuple[str, str], ...] = ()

    def spec(self) -> PluginSpec:
        """The plugin as stored in records: effective hyper-parameters, version, fingerprints."""
        params: dict[str, Any] = _plain(asdict(self.plugin))
        aspect = getattr(self.plugin, "aspect", None)
        return PluginSpec(
            name=self.name,
            params=params,
            version=self.plugin.version,
            aspect=str(aspect) if aspect else None,
            dose={k: params[k] for k in getattr(self.plugin, "dose", ())},
            fingerprints=dict(self.marks),
            registered=self._registered(params) if isinstance(self.plugin, Evaluator) else {},
        )

    def _registered(self, params: dict[str, Any]) -> dict[str, Any]:
        """The defaults of those settings that have another value."""
        defaults = {f.name: f.default for f in fields(self.plugin) if f.default is not MISSING}
        plain = {k: _plain(v) for k, v in defaults.items() if k in params}
        return {k: v for k, v in plain.items() if params[k] != v}


def _plain(value: Any) -> Any:
    """Paths as text, as in records and ids."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, tuple):
        return tuple(_plain(v) for v in value)
    if isinstance(value, list):
        return [_plain(v) for v in value]
    return value


@dataclass(frozen=True)
class Training:
    """The `training` config group; field names shared with Schedule have the same meaning.

    `batch_size` null means a fiftieth of the members, between 64 and 256, so that small and large
    data both take tens of steps per epoch. `lr` null means the model's own learning rate, which
    then becomes a number in the arm's id and records. `lr` auto means the rate of `lr_grid` at
    which a pilot of the baseline reaches the lowest validation loss within `lr_pilot_share` of the
    epochs, or the smaller of two that tie. `patience` is the number of epochs without a better
    validation objective after which a tuned replicate is frozen. `max_members` is the size of the
    largest half that a replicate trains on (null: all of its half). `snapshots` is the number of
    states of a baseline kept for the matched control.
    """

    regime: Literal["tuned", "memorising"]
    epochs: Annotated[int, Field(ge=1, le=MOST_EPOCHS)]
    batch_size: Annotated[int, Field(ge=1)] | None
    lr: Rate | Literal["auto"] | None
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    patience: Annotated[int, Field(ge=1)] = 10
    max_members: Annotated[int, Field(ge=20)] | None = None
    snapshots: Annotated[int, Field(ge=2)] = 48
    lr_grid: tuple[Rate, ...] = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
    lr_pilot_share: Annotated[float, Field(gt=0, le=1)] = 0.25

    def __post_init__(self) -> None:
        """Raises ValueError for a grid that is empty, repeats a rate, or is never used."""
        if not self.lr_grid:
            raise ValueError("lr_grid is empty; give at least one learning rate.")
        twice = [r for r, count in Counter(self.lr_grid).items() if count > 1]
        if twice:
            raise ValueError(f"lr_grid names {twice[0]:g} more than once; give each rate once.")
        if self.lr != "auto":
            self._refuse_idle_pilot()

    def _refuse_idle_pilot(self) -> None:
        for key in ("lr_grid", "lr_pilot_share"):
            if getattr(self, key) != getattr(type(self), key):
                raise ValueError(
                    f"{key} is read with lr=auto only; add training.lr=auto, or drop it."
                )

    @property
    def pilot_epochs(self) -> int:
        """The number of epochs for which a pilot trains at each rate."""
        return max(1, round(self.lr_pilot_share * self.epochs))

    def content(self) -> dict[str, Any]:
        """The fields on which an arm's numbers depend, including the pilot's settings if any."""
        content = asdict(self)
        if self.lr != "auto":
            return {k: v for k, v in content.items() if k not in ("lr_grid", "lr_pilot_share")}
        return {**content, "lr_grid": sorted(self.lr_grid)}

    def schedule(self, members: int, rate: float | None = None) -> Schedule:
        """The schedule of the training loop and the gradient rules, for `members` rows.

        `rate` is the one that a pilot chose or tries.
        """
        lr = self.lr if rate is None else rate
        if lr is None or lr == "auto":
            raise ValueError("the learning rate is the model's or a pilot's; take that of an Arm")
        return Schedule(
            regime=self.regime,
            epochs=self.epochs,
            batch_size=self.batch_size or min(256, max(64, members // 50)),
            lr=lr,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
        )


Part = Literal["replicates", "shadows"]
"""The models that a protocol draws: those that are measured, and those used only by attacks."""


MOST_MODELS = 100_000
"""Maximum per arm: more would be a mistake, and sizes stay within what arrays can hold."""


@dataclass(frozen=True)
class Protocol:
    """How replicates are drawn.

    `inclusion`: with half, each replicate trains on a random half of the pool, in complementary
    pairs; with all, every replicate trains on the whole pool (membership attacks that need shadow
    models are then not applicable). `pools` is the number of draws of the data; a sweep then runs
    every arm with that many seeds, and intervals cover the population of the pools. `calibration`
    is the number of rows that each replicate draws from the calibration pool (null: half of it).
    `shadows` is the number of further models of the same recipe, on halves of their own. No metric
    is measured on them: membership attacks learn from them what members look like.
    """

    replicates: Annotated[int, Field(ge=2, le=MOST_MODELS)] = 16
    inclusion: Literal["half", "all"] = "half"
    pools: Annotated[int, Field(ge=1, le=MOST_MODELS)] = 1
    calibration: Annotated[int, Field(ge=20)] | None = None
    shadows: Annotated[int, Field(ge=0, le=MOST_MODELS, multiple_of=2)] = 0

    def __post_init__(self) -> None:
        """Refuses shadow models that were all trained on the same rows."""
        if self.shadows and self.inclusion != "half":
            raise ValueError(
                f"shadows={self.shadows} needs inclusion=half: where every model is trained on all "
                "rows, none shows what a row looks like that was left out"
            )

    def content(self) -> dict[str, Any]:
        """The fields on which an arm's numbers depend; one arm is always one pool."""
        return {**asdict(self), "pools": 1}

    def models(self, part: "Part") -> range:
        """The models of a part by the index of their random streams; pairs are never split."""
        if part == "replicates":
            return range(self.replicates)
        first = self.replicates + self.replicates % 2
        return range(first, first + self.shadows)

    def fit_content(self, part: "Part") -> dict[str, Any]:
        """What the trained models of a part depend on: replicates do not depend on shadows."""
        content = replace(self, shadows=0).content()
        if part == "shadows":
            models = self.models(part)
            content |= {"replicates": len(models), "first": models.start}
        return content


@dataclass(frozen=True)
class Arm:
    """Dataset x model x training x interventions, its evaluators, and where it runs."""

    dataset: Chosen[Dataset]
    model: Chosen[Model]
    training: Training
    interventions: tuple[Chosen[Intervention], ...]
    evaluators: tuple[Chosen[Evaluator], ...]
    protocol: Protocol = field(default_factory=Protocol)
    control: Literal["none", "reseed", "matched"] = "none"
    # The index of another draw of initialisation and batch order: 1 is the reseed control's own.
    # Only evaluators request further ones, of it or of a matched control.
    reseeds: Annotated[int, Field(ge=1)] = 1
    # The part of the protocol's models: only membership attacks request `shadows`.
    part: Part = "replicates"
    # The one of its replicates that an export takes; None: all of them.
    only: int | None = None
    seed: Annotated[int, Field(ge=0)] = 0
    pilot: Pilot | None = None  # the choice of training.lr=auto, once made
    engine: Literal["auto", "stacked", "opacus"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    deterministic: bool = True  # whether a GPU gives equal bits each time
    threads: Annotated[int, Field(ge=1, le=1024)] = 1
    activation_gb: Annotated[float, Field(gt=0)] = 4.0  # memory of a pass that trains nothing
    checkpoint_s: Annotated[float, Field(ge=0)] = 30.0
    output_dir: Path = Path("outputs")
    data_dir: Path = Path("data")
    folder: Path | None = None  # where its command was given: relative files begin there
    tracking_uri: str | None = None
    experiment: str = "default"
    sweep_run: str | None = None  # the tracking run of its sweep
    label: str = ""  # what it is called beside the others of its sweep, see `arm_labels`
    uploads: bool = True  # whether its own process uploads its record

    def __post_init__(self) -> None:
        """All arms of a pair have one model, so they also share a learning rate set by it."""
        if self.training.lr is None:
            chosen = replace(self.training, lr=self.model.plugin.learning_rate)
            object.__setattr__(self, "training", chosen)

    @property
    def models(self) -> range:
        """Its models, by the index of their random streams."""
        if self.only is not None:
            return range(self.only, self.only + 1)
        return self.protocol.models(self.part)

    @property
    def metrics(self) -> dict[str, Metrics]:
        """What each of its evaluators declares of its metrics."""
        return {chosen.name: chosen.plugin.metrics for chosen in self.evaluators}

    @property
    def undecided(self) -> bool:
        """Whether its learning rate is still to be chosen by a pilot."""
        return self.training.lr == "auto" and self.pilot is None

    def schedule(self, members: int) -> Schedule:
        """The schedule of its training; raises ValueError while it is undecided."""
        return self.training.schedule(members, self.pilot.rate if self.pilot else None)

    @property
    def salt(self) -> int:
        """Distinguishes its random streams from the baseline's."""
        return {"none": 0, "reseed": self.reseeds, "matched": self.reseeds - 1}[self.control]


IDENTITY = frozenset(
    {
        "dataset",
        "model",
        "training",
        "interventions",
        "control",
        "reseeds",
        "protocol",
        "part",
        "seed",
        "engine",
        "pilot",
    }
)
# Evaluators are keyed by their own evaluation id inside the record, so that adding one neither
# retrains nor renames an arm.
RUNTIME = frozenset(
    {
        "evaluators",
        "only",
        "device",
        "deterministic",
        "threads",
        "activation_gb",
        "checkpoint_s",
        "output_dir",
        "data_dir",
        "folder",
        "tracking_uri",
        "experiment",
        "sweep_run",
        "label",
        "uploads",
    }
)
