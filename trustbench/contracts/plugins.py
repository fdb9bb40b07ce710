"""The base classes of plugins: datasets, models, interventions and evaluators.

A plugin is a frozen dataclass in one file plus one YAML of the same stem; its fields are its
hyper-parameters and their schema. `trustbench/contracts/__init__.py` lists the shapes.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from trustbench.contracts.arrays import Array
from trustbench.contracts.aspects import Aspect
from trustbench.contracts.measurement import Measured, Measurement
from trustbench.contracts.mechanisms import Read
from trustbench.contracts.metrics import Metrics, declared
from trustbench.contracts.problem import Problem
from trustbench.contracts.seeding import Streams
from trustbench.contracts.steps import Batch, GradientRule, Schedule
from trustbench.contracts.system import CHANNELS, TRAINED, Access, Forward, Need, System

if TYPE_CHECKING:
    import torch
    from pandas import DataFrame
    from torch import Tensor


@dataclass(frozen=True)
class Plugin:
    """What every plugin declares. `version` is increased whenever its numbers change."""

    version: ClassVar[int] = 1
    reference: ClassVar[str] = ""
    paths: ClassVar[frozenset[str]] = frozenset()  # text fields that name a file, as a Path does
    settings_file: ClassVar[str | None] = None  # the field that names a YAML file of settings
    # The rows that are read beyond each member's own term of the loss, for the privacy ledger; ()
    # for none. None declares nothing, which voids every privacy claim of an arm with this plugin.
    reads_rows: ClassVar[tuple[Read, ...] | None] = None

    def sources(self) -> tuple[ModuleType, ...]:
        """Modules whose code the numbers depend on, beside the one that defines the class."""
        return ()


@dataclass(frozen=True)
class Dataset(Plugin, ABC):
    """Loads a Problem. It reads only files below `data_dir`, and those that fields name.

    `reads_rows` declares the statistics of the training pool that scale and bound the inputs; () if
    constants do. The names of columns and of their categories count as public.
    """

    @abstractmethod
    def load(self, data_dir: Path, streams: Streams) -> Problem:
        """Returns the problem; raises DataError with one sentence if it cannot be loaded."""

    def declares(self) -> tuple[Read, ...] | None:
        """The entries of the privacy ledger. Override this method if they depend on fields."""
        return self.reads_rows

    def read_raw(self, rows: "DataFrame") -> Array | None:
        """The inputs [n, *shape] of raw rows that no encoder describes, such as files of images.

        Returns None for a data set whose inputs are arrays or columns.
        """
        return None

    def state(self, data_dir: Path) -> str:
        """What changes when the user's own files do, so that a process reads them again."""
        return ""


@dataclass(frozen=True)
class Model(Plugin, ABC):
    """An architecture in evaluation mode; `training/module_checks.py` refuses unusable ones."""

    # The learning rate if training.lr is null. With it and the momentum of the `training` options,
    # plain descent reaches the accuracy of logistic regression on the data that the model takes.
    learning_rate: ClassVar[float] = 0.1
    reads_rows: ClassVar[tuple[Read, ...] | None] = ()

    def supports(self, problem: Problem) -> str | None:
        """Returns the reason why this architecture cannot take this problem, or None if it can."""
        return None

    @abstractmethod
    def build(self, problem: Problem) -> "torch.nn.Module":
        """Returns one freshly initialised replicate, which maps [n, *shape] to logits [n, C]."""

    def adapted(self, module: "torch.nn.Module") -> str | None:
        """Returns how `build` changed the outputs of the user's code, for the record, or None."""
        return None


# An intervention that fills one of them trains replicates that differ from the baseline's.
TRAINING_HOOKS = (
    "inputs",
    "labels",
    "weights",
    "resample",
    "adapt",
    "perturb",
    "hidden",
    "objective",
    "gradient",
)


@dataclass(frozen=True)
class Intervention(Plugin):
    """A method of one aspect. It overrides the hooks it needs and never owns a training loop.

    Two interventions that override the same hook of `exclusive` cannot be combined.
    """

    aspect: ClassVar[Aspect]
    exclusive: ClassVar[frozenset[str]] = frozenset({"gradient", "hidden"})
    needs_group: ClassVar[Literal["train", "predict", "never"]] = "never"
    # False: the objective of an example reads other examples of its batch (a penalty on a group
    # gap, say). Gradient rules that bound single examples then refuse to combine with it.
    per_example: ClassVar[bool] = True
    # The fields that set the strength of the method; the table prints them beside an effect.
    dose: ClassVar[tuple[str, ...]] = ()
    # Fields whose defaults were chosen by validation accuracy, with the values tried, in all
    # combinations. scripts/studies/dp_grid.py measures them for docs/results/dp-defaults.md.
    grid: ClassVar[Mapping[str, tuple[float, ...]]] = {}
    # When `deploy` runs: first methods that replace the model's outputs, then those that open a
    # channel, then those that change what an open channel releases.
    deploys: ClassVar[Literal["outputs", "channel", "release"]] = "channel"

    def supports(self, problem: Problem, schedule: Schedule) -> str | None:
        """Returns the reason why this method cannot be applied here, or None if it can."""
        return None

    def declares(
        self, problem: Problem, schedule: Schedule, n_members: int
    ) -> tuple[Read, ...] | None:
        """The private rows that the hooks read and the mechanism used: the ledger's entries.

        What a hook derives from one example alone (an attack, a loss) needs no entry: the gradient
        rule bounds it. Override this method if an entry depends on fields.
        """
        return self.reads_rows

    def trained_copies(self) -> int:
        """How many trained copies of a replicate answer; if several, `deploy` takes twins."""
        return 1

    def inputs(self, problem: Problem, split: Literal["train", "validation"]) -> Array | None:
        """Returns inputs [m, *shape] that training sees in place of the true ones of a split.

        All other training hooks see them too, and the next method starts from them. Evaluators read
        the true inputs. `train` is the whole pool; `validation` holds the rows by which epochs are
        chosen, None for a method that leaves them as they are. `inputs` and `labels` of a method
        see the same problem. A value that depends on other rows than its own is a read of them.
        """
        return None

    def labels(self, problem: Problem) -> Array | None:
        """Returns the labels int64 [n_pool] that training sees in place of the true ones.

        All other training hooks read them too. Evaluators and the membership halves read the true
        labels.
        """
        return None

    def weights(self, problem: Problem, members: Array) -> Array | None:
        """Weights [m] of one replicate's `members` in its loss: none negative, mean about 1.

        `members` int64 [m] are the replicate's rows as positions in the training pool. Weights come
        from these rows alone: with others, a row would act on models that never trained on it, and
        membership would mean less than an attack assumes. A method that counts in the whole pool
        all the same declares that to the ledger, which then takes the counts as public.
        """
        return None

    def resample(
        self, problem: Problem, members: Array, rng: "np.random.Generator"
    ) -> Array | None:
        """The rows that one epoch of one replicate visits, repeats included; None: each once.

        `members` int64 [m] are the replicate's rows as positions in the training pool; the result
        has the same form. Never combined with a gradient rule that samples by Poisson.
        """
        return None

    def adapt(
        self,
        memory: dict[str, "Tensor"],
        validation: Batch,
        forward: Forward,
        problem: Problem,
    ) -> None:
        """Learns from validation rows: before the first epoch (`memory` is empty) and after each.

        Tensors [R, ...] put into `memory` appear in `batch.memory` of this intervention's `perturb`
        and `objective`, and survive in checkpoints. `validation` holds clean rows, X [R, n, 1,
        *shape]; `forward` evaluates the present replicates.
        """

    def perturb(self, batch: Batch, forward: Forward, problem: Problem) -> "Tensor":
        """Inputs [R, B, V', *shape] that replace batch.X. `forward` takes [R, n, *shape]."""
        return batch.X

    def hidden(self, shape: tuple[int, ...], generator: "torch.Generator") -> "Tensor":
        """Returns factors [n, *unit] on a hidden activation of one replicate, in training.

        They are float32, on the generator's device, with mean 1. Validation and the attacks of
        `perturb` use the network without factors, which to first order is its mean.
        """
        import torch  # code that only reads contracts does not need torch

        return torch.ones(shape, dtype=torch.float32, device=generator.device)

    def draws(self) -> int:
        """The number of draws of `hidden` factors that the deployed network averages; 0: none."""
        return 0

    def objective(self, loss: "Tensor", logits: "Tensor", batch: Batch) -> "Tensor":
        """Maps per-example loss [R, B] and logits [R, B, V, C] to a new per-example loss [R, B]."""
        return loss

    def gradient(self, schedule: Schedule, n_members: int) -> GradientRule | None:
        """Returns the rule that turns per-example gradients into updates; None: plain descent."""
        return None

    def deploy(self, system: System) -> System:
        """Returns the system with this method's output channel; it retrains nothing."""
        return system

    def fills(self, hook: str) -> bool:
        """Whether this method overrides `hook`."""
        return getattr(type(self), hook) is not getattr(Intervention, hook)

    @property
    def accounted(self) -> bool:
        """Whether `declares` is overridden as low in the hierarchy as every hook it fills."""
        order = type(self).__mro__
        hooks, declarations = (*TRAINING_HOOKS, "deploy"), ("reads_rows", "declares")
        first = [
            next(i for i, c in enumerate(order) if any(n in vars(c) for n in names))
            for names in (declarations, hooks)
        ]
        return first[0] <= first[1]

    @property
    def retrains(self) -> bool:
        """Whether the trained replicates differ from the baseline's."""
        return any(map(self.fills, TRAINING_HOOKS))


@dataclass(frozen=True)
class Evaluator(Plugin, ABC):
    """Measures one aspect of a system (None: utility).

    `metrics` declares every metric that it can measure, and `measurement` makes measurements of
    them, so that unit, direction and bounds are said once. Commands read the declaration from the
    class's source without importing it, so write it with literals and the names that
    `trustbench.contracts` exports.
    """

    aspect: ClassVar[Aspect | None]
    metrics: ClassVar[Metrics]
    # The channels of a system that the numbers depend on. An arm that changes none of them and
    # shares the baseline's replicates reuses the baseline's evaluation.
    reads: ClassVar[frozenset[str]] = frozenset(CHANNELS)
    # The other systems that `measure` asks for, which are trained before any evaluator runs:
    # "baseline" (`system.baseline()`), "reseed" (`system.reseeded(1)`), "baseline_reseed"
    # (`reseeded(1)` and `reseeded(system.draw + 1)` of the baseline, or of the arm that is the
    # baseline) and "shadows" (`system.shadows()`). `supports` may look which of them there are.
    needs: ClassVar[frozenset[Need]] = frozenset()
    # What `measure` uses of the model, see `Access`; on a given model without it every metric is
    # "not applicable (needs ...)". By default all that a trained system offers.
    access: ClassVar[frozenset[Access]] = TRAINED
    # Whether the numbers may be repeated on test rows that are drawn with replacement, which gives
    # their interval on a given model: not if `measure` splits the test rows itself.
    over_rows: ClassVar[bool] = False
    no_interval: ClassVar[str] = ""  # why an audit has no interval over rows for its numbers

    def needs_of(self, system: System) -> frozenset[Need]:
        """Those of `needs` that this system is measured with; override to spare a training."""
        return self.needs

    def supports(self, system: System) -> str | None:
        """Returns why nothing can be measured on this system ("needs released sets"), or None."""
        return None

    @abstractmethod
    def measure(self, system: System) -> Measured:
        """Returns the measurements, each over the same R replicates in the same order."""

    def measurement(
        self,
        name: str,
        values: "Array | Tensor",
        n: int,
        *,
        lower: float | None = None,
        upper: float | None = None,
    ) -> Measurement:
        """Returns a measurement of the declared metric `name`: `values` [R], each of `n` rows.

        Bounds are given only where the declaration says in words what they are.

        Raises:
            ValueError: `metrics` does not declare it.
        """
        metric = declared(self.metrics, name, type(self).__name__)
        return metric.of(name, values, n, lower=lower, upper=upper)
