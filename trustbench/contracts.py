"""The words that every part of trustbench shares, and the four plugin contracts. Read this first.

Data flows one way: Dataset -> Problem -> (Model, Interventions, the training loop) -> System
-> Evaluators -> Measurements. A plugin is a frozen dataclass in one file plus one YAML of the
same stem; its fields are its hyper-parameters and their schema.

Shapes used everywhere: R replicates, n rows, B padded batch rows, V views of one example,
C classes, d flattened features, `*shape` one input (``(d,)`` tabular, ``(c, h, w)`` image).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

import numpy as np

from trustbench.aspects import Aspect
from trustbench.problem import (
    SPLITS,
    Array,
    DataCard,
    Feature,
    Problem,
    SplitName,
    StructuralCausalModel,
)
from trustbench.seeding import Streams

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = [
    "SPLITS",
    "Array",
    "Aspect",
    "Batch",
    "DataCard",
    "Dataset",
    "Evaluator",
    "Fact",
    "Feature",
    "Forward",
    "GradientRule",
    "Intervention",
    "Measured",
    "Measurement",
    "Model",
    "Plugin",
    "Problem",
    "Schedule",
    "SplitName",
    "Streams",
    "StructuralCausalModel",
    "System",
]

Fact = float | int | str | bool | None
# X [n, *shape] shared by all replicates, or [R, n, *shape]; returns logits [R, n, C],
# differentiable in X, with the replicates' parameters held fixed.
Forward = Callable[["Tensor"], "Tensor"]


# --- training --------------------------------------------------------------------------------


@dataclass
class Batch:
    """One padded batch of every replicate, as the hooks see it."""

    X: "Tensor"  # [R, B, V, *shape]; V = 1 unless an intervention adds views
    y: "Tensor"  # int64 [R, B]
    group: "Tensor"  # int64 [R, B]
    weight: "Tensor"  # float [R, B]; 0 marks padding
    rows: "Tensor"  # int64 [R, B], positions in the training pool
    generators: Sequence["torch.Generator"]  # one per replicate, for attack randomness


@dataclass(frozen=True)
class Schedule:
    """How a replicate is trained; the `training` config group, possibly changed by a gradient rule.

    `tuned` keeps each replicate's state with the best validation objective; `memorising` keeps
    the state after all epochs.
    """

    regime: Literal["tuned", "memorising"]
    epochs: int
    batch_size: int
    lr: float
    momentum: float = 0.0
    weight_decay: float = 0.0
    sampling: Literal["shuffle", "poisson"] = "shuffle"


class GradientRule(Protocol):
    """How per-example gradients become an update (the `gradient` hook). Made anew for each fit.

    `state` holds what the rule carries from step to step; checkpoints keep it. Guarantees are
    those of all planned steps: a replicate chosen at an earlier epoch keeps the same bound.
    """

    schedule: Schedule
    state: dict[str, "Tensor"]

    def coefficients(self, norms: "Tensor") -> "Tensor":
        """Per-example gradient norms [R, B] -> the factor [R, B] on each gradient."""
        ...

    def update(
        self, total: Mapping[str, "Tensor"], generators: Sequence["torch.Generator"]
    ) -> dict[str, "Tensor"]:
        """The sum of scaled gradients, {name: [R, *p]} -> the gradient that the optimiser sees."""
        ...

    def facts(self) -> Mapping[str, Fact]:
        """What the rule guarantees (epsilon, delta, accountant, sample rate, steps, ...)."""
        ...


# --- the system ------------------------------------------------------------------------------


@dataclass(frozen=True)
class System:
    """What is deployed: the trained replicates plus their output channels.

    Evaluators read it and never change it. `explainer` and `set_predictors` are None / empty
    until an intervention's `deploy` hook opens the channel.
    """

    problem: Problem
    forward: Forward
    replicates: int
    device: "torch.device"
    streams: Streams
    membership: Array  # bool [R, n_pool]: which rows of the training pool each replicate saw
    calibration: Array  # int64 [R, n_cal]: rows of the problem that each replicate calibrates on
    facts: Mapping[str, Fact]
    baseline: Forward | None = None  # the baseline arm's replicates; None for the baseline itself
    decider: Callable[["Tensor", Array], "Tensor"] | None = None
    explainer: Callable[["Tensor"], "Tensor"] | None = None
    set_predictors: Mapping[str, Callable[["Tensor"], "Tensor"]] = field(default_factory=dict)
    _cache: dict[str, "Tensor"] = field(default_factory=dict, init=False, repr=False)

    def tensor(self, X: Array) -> "Tensor":
        """A numpy array on the system's device (float arrays keep the replicates' precision)."""
        import torch

        return torch.as_tensor(X, device=self.device)

    def logits(self, X: "Tensor", rows_at_once: int = 4096) -> "Tensor":
        """Logits [R, n, C] of X [n, *shape] or [R, n, *shape], without gradients, in chunks."""
        import torch

        axis = X.ndim - 1 - len(self.problem.shape)
        with torch.no_grad():
            parts = [self.forward(x) for x in X.split(rows_at_once, dim=axis)]
            return torch.cat(parts, dim=1)

    def split_logits(self, split: SplitName) -> "Tensor":
        """Logits [R, n_split, C] of a whole split; computed once."""
        if split not in self._cache:
            self._cache[split] = self.logits(self.tensor(self.problem.rows(split)[0]))
        return self._cache[split]

    def decide(self, X: "Tensor", group: Array) -> "Tensor":
        """Deployed decisions, int64 [R, n]; the largest logit unless an intervention decides."""
        if self.decider is not None:
            return self.decider(X, group)
        return self.logits(X).argmax(-1)

    def explain(self, X: "Tensor") -> "Tensor":
        """Released attributions [R, n, d]. Only where `explainer` is set."""
        if self.explainer is None:
            raise ValueError("no explanations are released; check `explainer` first")
        return self.explainer(X)

    def sets(self, X: "Tensor", score: str) -> "Tensor":
        """Released prediction sets, bool [R, n, C], of the conformal score named."""
        return self.set_predictors[score](X)


@dataclass(frozen=True)
class Measurement:
    """A named array of R finite numbers.

    `n` is how many rows each number rests on; `lower` and `upper` are the metric's own bounds.
    `diagnostic` marks controls and parts that no table cell may be read from as an effect.
    """

    name: str
    values: Array  # float [R], finite
    higher_is_better: bool
    unit: str
    n: int
    lower: float | None = None
    upper: float | None = None
    diagnostic: bool = False

    def __post_init__(self) -> None:
        values = np.asarray(self.values, dtype=np.float64)
        if values.ndim != 1 or not np.isfinite(values).all():
            raise ValueError(f"measurement {self.name}: expected R finite numbers, got {values!r}")
        object.__setattr__(self, "values", values)


@dataclass(frozen=True)
class Measured:
    """What an evaluator returns: its measurements, arrays worth keeping, and declared facts.

    `missing` gives the reason for each metric that could not be measured on this system.
    """

    measurements: tuple[Measurement, ...]
    arrays: Mapping[str, Array] = field(default_factory=dict)
    facts: Mapping[str, Fact] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)


# --- the four plugin contracts ---------------------------------------------------------------


@dataclass(frozen=True)
class Plugin:
    """What every plugin states. `version` grows whenever its numbers change."""

    version: ClassVar[int] = 1
    reference: ClassVar[str] = ""


@dataclass(frozen=True)
class Dataset(Plugin):
    """Loads a Problem. Reads files below `data_dir` only."""

    def load(self, data_dir: Path, streams: Streams) -> Problem:
        """The problem; raises DataError with one sentence when it cannot."""
        raise NotImplementedError


@dataclass(frozen=True)
class Model(Plugin):
    """An architecture."""

    def supports(self, problem: Problem) -> str | None:
        """None, or why this architecture cannot take this problem."""
        return None

    def build(self, problem: Problem) -> "torch.nn.Module":
        """One freshly initialised replicate: [n, *shape] -> logits [n, C]."""
        raise NotImplementedError


@dataclass(frozen=True)
class Intervention(Plugin):
    """A method of one aspect. Override the hooks it fills; it never owns a loop.

    Two interventions that override the same hook of `exclusive` cannot be combined.
    """

    aspect: ClassVar[Aspect]
    exclusive: ClassVar[frozenset[str]] = frozenset({"gradient"})
    needs_group: ClassVar[Literal["train", "predict", "never"]] = "never"
    # False: the objective of one example reads other examples of its batch (a penalty on a
    # group gap, say). A gradient rule that bounds single examples then refuses to combine.
    per_example: ClassVar[bool] = True
    # The fields that say how strong the method is; the table prints them beside an effect.
    dose: ClassVar[tuple[str, ...]] = ()

    def supports(self, problem: Problem, schedule: Schedule) -> str | None:
        """None, or why this method cannot be applied here."""
        return None

    def weights(self, problem: Problem) -> Array | None:
        """Example weights [n_pool] with mean 1, from the whole pool (never from one half)."""
        return None

    def perturb(self, batch: Batch, forward: Forward, problem: Problem) -> "Tensor":
        """The inputs [R, B, V', *shape] that replace batch.X. `forward` takes [R, n, *shape]."""
        return batch.X

    def objective(self, loss: "Tensor", logits: "Tensor", batch: Batch) -> "Tensor":
        """Per-example loss so far [R, B] and logits [R, B, V, C] -> per-example loss [R, B]."""
        return loss

    def gradient(self, schedule: Schedule, n_members: int) -> GradientRule | None:
        """The rule that turns per-example gradients into updates, or None for plain descent."""
        return None

    def deploy(self, system: System) -> System:
        """The system with this method's output channel; retrains nothing."""
        return system

    def fills(self, hook: str) -> bool:
        """Whether this method overrides `hook`."""
        return getattr(type(self), hook) is not getattr(Intervention, hook)

    @property
    def retrains(self) -> bool:
        """Whether the replicates differ from the baseline's."""
        return any(map(self.fills, ("weights", "perturb", "objective", "gradient")))


@dataclass(frozen=True)
class Evaluator(Plugin):
    """Measures one aspect of a system (None: utility)."""

    aspect: ClassVar[Aspect | None]

    def supports(self, system: System) -> str | None:
        """None, or why nothing can be measured on this system ("needs released sets")."""
        return None

    def measure(self, system: System) -> Measured:
        """The measurements, each over the same R replicates in the same order."""
        raise NotImplementedError
