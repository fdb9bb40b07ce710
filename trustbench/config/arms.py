"""What an arm is: the composed configuration, with its plugins built and checked.

Every field is classed: `IDENTITY` fields change the arm's numbers and are hashed into its id,
`RUNTIME` fields only say where and how fast it runs. A test fails on an unclassed field.
"""

from collections import Counter
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import Field

from trustbench.contracts import Dataset, Evaluator, Intervention, Model, Plugin, Schedule
from trustbench.store.records import Pilot, PluginSpec

P = TypeVar("P", bound=Plugin)
Rate = Annotated[float, Field(gt=0)]


@dataclass(frozen=True)
class Chosen(Generic[P]):
    """A plugin under the name that its YAML gives it."""

    name: str
    plugin: P
    # What its numbers depend on beside its settings, see `fingerprints`; none for built-in ones.
    marks: tuple[tuple[str, str], ...] = ()

    def spec(self) -> PluginSpec:
        """The plugin as records store it: effective hyper-parameters, version, fingerprints."""
        params: dict[str, Any] = _plain(asdict(self.plugin))
        for field_ in fields(self.plugin):
            if field_.name in self.plugin.later and params[field_.name] == field_.default:
                del params[field_.name]
        aspect = getattr(self.plugin, "aspect", None)
        return PluginSpec(
            name=self.name,
            params=params,
            version=self.plugin.version_of_settings(),
            aspect=str(aspect) if aspect else None,
            dose={k: params[k] for k in getattr(self.plugin, "dose", ())},
            fingerprints=dict(self.marks),
            registered=self._registered(params) if isinstance(self.plugin, Evaluator) else None,
        )

    def _registered(self, params: dict[str, Any]) -> dict[str, Any]:
        """The defaults of those settings that are given another value."""
        defaults = {f.name: f.default for f in fields(self.plugin) if f.default is not MISSING}
        plain = {k: _plain(v) for k, v in defaults.items() if k in params}
        return {k: v for k, v in plain.items() if params[k] != v}


def _plain(value: Any) -> Any:
    """Paths as text, as records and ids write them."""
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
    """The `training` config group; the field names of Schedule mean the same here.

    `batch_size` null: a fiftieth of the members, between 64 and 256, so that small and large data
    both take some tens of steps an epoch. `lr` null: the model's own learning rate, which the arm
    then has as a number, in its id and records too; auto: the rate of `lr_grid` at which a pilot
    of the baseline reaches the lowest validation loss, in `lr_pilot_share` of the epochs, and the
    smaller of two that reach the same. `patience`: epochs without a better validation
    objective after which a tuned replicate is frozen. `max_members`: the largest half that a
    replicate trains on (null: all of its half). `snapshots`: how many states of a baseline are
    kept for the matched control.
    """

    regime: Literal["tuned", "memorising"]
    epochs: Annotated[int, Field(ge=1)]
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
        """Raises ValueError for a grid that is empty, repeats a rate, or is never read."""
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
        """How many epochs a pilot trains at each rate."""
        return max(1, round(self.lr_pilot_share * self.epochs))

    def content(self) -> dict[str, Any]:
        """The fields that an arm's numbers depend on: the pilot's count where there is one."""
        content = asdict(self)
        if self.lr != "auto":
            return {k: v for k, v in content.items() if k not in ("lr_grid", "lr_pilot_share")}
        return {**content, "lr_grid": sorted(self.lr_grid)}

    def schedule(self, members: int, rate: float | None = None) -> Schedule:
        """What the training loop and the gradient rules read, for replicates of `members` rows.

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
"""Of the models that a protocol draws: those that are measured, and those that only attack."""


MOST_MODELS = 100_000
"""Of one arm: more cannot be meant, and sizes stay within what arrays can hold."""


@dataclass(frozen=True)
class Protocol:
    """How replicates are drawn.

    `inclusion`: half = each replicate trains on a random half of the pool, in complementary
    pairs; all = every replicate trains on the whole pool (membership attacks that need
    shadows are then not applicable). `pools`: how often the data are redrawn; a sweep then runs
    every arm with that many seeds, and intervals speak of the data that pools are drawn from.
    `calibration`: rows each replicate draws from the calibration pool (null: half of it).
    `shadows`: further models of the same recipe, on halves of their own, which no metric is
    measured on: membership attacks learn from them what members look like.
    """

    replicates: Annotated[int, Field(ge=2, le=MOST_MODELS)] = 16
    inclusion: Literal["half", "all"] = "half"
    pools: Annotated[int, Field(ge=1, le=MOST_MODELS)] = 1
    calibration: Annotated[int, Field(ge=20)] | None = None
    shadows: Annotated[int, Field(ge=0, le=MOST_MODELS, multiple_of=2)] = 0

    def __post_init__(self) -> None:
        """Shadow models of a row must differ in whether they were trained on it."""
        if self.shadows and self.inclusion != "half":
            raise ValueError(
                f"shadows={self.shadows} needs inclusion=half: where every model is trained on all "
                "rows, none shows what a row looks like that was left out"
            )

    def content(self) -> dict[str, Any]:
        """The fields that an arm's numbers depend on; one arm is always one pool."""
        content = {**asdict(self), "pools": 1}
        if not self.shadows:  # as in records from before there were any
            del content["shadows"]
        return content

    def models(self, part: "Part") -> range:
        """The models of a part by the index of their random streams; pairs are never split."""
        if part == "replicates":
            return range(self.replicates)
        first = self.replicates + self.replicates % 2
        return range(first, first + self.shadows)

    def fit_content(self, part: "Part") -> dict[str, Any]:
        """What the trained models of a part depend on: replicates do not on shadows."""
        content = replace(self, shadows=0).content()
        if part == "shadows":
            models = self.models(part)
            content |= {"replicates": len(models), "first": models.start}
        return content


@dataclass(frozen=True)
class Arm:
    """Dataset x model x training x interventions, what measures it, and where it runs."""

    dataset: Chosen[Dataset]
    model: Chosen[Model]
    training: Training
    interventions: tuple[Chosen[Intervention], ...]
    evaluators: tuple[Chosen[Evaluator], ...]
    protocol: Protocol = field(default_factory=Protocol)
    control: Literal["none", "reseed", "matched"] = "none"
    # Which other draw of initialisation and batch order: 1 is the reseed control's own. Only
    # evaluators ask for further ones, of it or of a matched control.
    reseeds: Annotated[int, Field(ge=1)] = 1
    # Which of the protocol's models: `shadows` are asked for by membership attacks only.
    part: Part = "replicates"
    seed: Annotated[int, Field(ge=0)] = 0
    pilot: Pilot | None = None  # what training.lr=auto has chosen, once it has
    engine: Literal["auto", "stacked", "opacus"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: Annotated[int, Field(ge=1, le=1024)] = 1
    checkpoint_s: Annotated[float, Field(ge=0)] = 30.0
    output_dir: Path = Path("outputs")
    data_dir: Path = Path("data")
    tracking_uri: str | None = None
    experiment: str = "default"
    sweep_run: str | None = None  # the tracking run of the sweep that it belongs to
    label: str = ""  # what it is called beside the others of its sweep, see `arm_labels`
    uploads: bool = True  # whether its own process uploads its record, or who has started that

    def __post_init__(self) -> None:
        """All arms of a pair have one model, so they also share a learning rate that it states."""
        if self.training.lr is None:
            chosen = replace(self.training, lr=self.model.plugin.learning_rate)
            object.__setattr__(self, "training", chosen)

    @property
    def models(self) -> range:
        """Its models, by the index of their random streams."""
        return self.protocol.models(self.part)

    @property
    def undecided(self) -> bool:
        """Whether its learning rate is still to be chosen by a pilot."""
        return self.training.lr == "auto" and self.pilot is None

    def schedule(self, members: int) -> Schedule:
        """The schedule of its training; ValueError while it is undecided."""
        return self.training.schedule(members, self.pilot.rate if self.pilot else None)

    @property
    def salt(self) -> int:
        """What its random streams differ by from the baseline's."""
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
        "device",
        "threads",
        "checkpoint_s",
        "output_dir",
        "data_dir",
        "tracking_uri",
        "experiment",
        "sweep_run",
        "label",
        "uploads",
    }
)
