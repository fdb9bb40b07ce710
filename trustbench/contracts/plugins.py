"""What a plugin is: the bases of datasets, models, interventions and evaluators.

A plugin is a frozen dataclass in one file plus one YAML of the same stem; its fields are its
hyper-parameters and their schema. Shapes: `trustbench/contracts/__init__.py`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from trustbench.contracts.aspects import Aspect
from trustbench.contracts.measurement import Measured
from trustbench.contracts.mechanisms import Read
from trustbench.contracts.problem import Array, Problem
from trustbench.contracts.seeding import Streams
from trustbench.contracts.steps import Batch, GradientRule, Schedule
from trustbench.contracts.system import CHANNELS, Forward, System

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class Plugin:
    """What every plugin states. `version` grows whenever its numbers change."""

    version: ClassVar[int] = 1
    reference: ClassVar[str] = ""
    # Fields that came after the first records of this plugin, and whose default means what was
    # before. At its default such a field is left out of records and ids, which then stay found.
    later: ClassVar[frozenset[str]] = frozenset()
    paths: ClassVar[frozenset[str]] = frozenset()  # text fields that name a file, as a Path does
    # Which rows are read beyond each member's own term of the loss, for the privacy ledger: () for
    # none. None declares nothing, which makes every privacy claim beside the plugin void.
    reads_rows: ClassVar[tuple[Read, ...] | None] = None

    def version_of_settings(self) -> int:
        """The version in records and ids: larger than `version` where only some numbers moved."""
        return self.version


@dataclass(frozen=True)
class Dataset(Plugin, ABC):
    """Loads a Problem. Reads files below `data_dir` only.

    `reads_rows` says with what of the training pool inputs are scaled and bounded; () where
    constants do. Names of columns and of their categories count as public.
    """

    @abstractmethod
    def load(self, data_dir: Path, streams: Streams) -> Problem:
        """The problem; raises DataError with one sentence when it cannot."""


@dataclass(frozen=True)
class Model(Plugin, ABC):
    """An architecture, measured in evaluation mode; `training/probing.py` says what is refused."""

    # Used where training.lr is null. With it and the momentum of the `training` options, plain
    # descent reaches the accuracy of logistic regression on the data that the model takes.
    learning_rate: ClassVar[float] = 0.1
    reads_rows: ClassVar[tuple[Read, ...] | None] = ()

    def supports(self, problem: Problem) -> str | None:
        """The reason this architecture cannot take this problem, or None if it can."""
        return None

    @abstractmethod
    def build(self, problem: Problem) -> "torch.nn.Module":
        """One freshly initialised replicate: [n, *shape] -> logits [n, C]."""


# Filling one of them makes the replicates differ from the baseline's.
TRAINING_HOOKS = (
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
    """A method of one aspect. Override the hooks it fills; it never owns a loop.

    Two interventions that override the same hook of `exclusive` cannot be combined.
    """

    aspect: ClassVar[Aspect]
    exclusive: ClassVar[frozenset[str]] = frozenset({"gradient", "hidden"})
    needs_group: ClassVar[Literal["train", "predict", "never"]] = "never"
    # False: the objective of one example reads other examples of its batch (a penalty on a
    # group gap, say). A gradient rule that bounds single examples then refuses to combine.
    per_example: ClassVar[bool] = True
    # The fields that say how strong the method is; the table prints them beside an effect.
    dose: ClassVar[tuple[str, ...]] = ()
    # Fields whose defaults were chosen by validation accuracy, and the values that were tried, in
    # all combinations. scripts/studies/dp_grid.py measures them for docs/results/dp-defaults.md.
    grid: ClassVar[Mapping[str, tuple[float, ...]]] = {}
    # When `deploy` runs: methods that replace the model's outputs, then those that open a
    # channel on it, then those that change what an open channel says.
    deploys: ClassVar[Literal["outputs", "channel", "release"]] = "channel"

    def supports(self, problem: Problem, schedule: Schedule) -> str | None:
        """The reason this method cannot be applied here, or None if it can."""
        return None

    def declares(
        self, problem: Problem, schedule: Schedule, n_members: int
    ) -> tuple[Read, ...] | None:
        """The private rows that the hooks read, and by which mechanism: the ledger's entries.

        What a hook does to one example from that example alone (an attack, a loss) needs no
        entry: the gradient rule bounds it. Override where an entry depends on fields.
        """
        return self.reads_rows

    def trained_copies(self) -> int:
        """How many trained copies of a replicate answer; more than 1: `deploy` takes twins."""
        return 1

    def labels(self, problem: Problem) -> Array | None:
        """The labels int64 [n_pool] that training sees in place of the true ones.

        Every other training hook reads them too. Evaluators and the halves read the true ones.
        """
        return None

    def weights(self, problem: Problem) -> Array | None:
        """Example weights [n_pool] with mean 1, from the whole pool (never from one half)."""
        return None

    def resample(
        self, problem: Problem, members: Array, rng: "np.random.Generator"
    ) -> Array | None:
        """The rows that one epoch of one replicate visits, with repetitions; None: each once.

        `members` int64 [m] are the replicate's rows, positions in the training pool; so is
        what is returned. Never combined with a gradient rule that samples by Poisson.
        """
        return None

    def adapt(
        self,
        memory: dict[str, "Tensor"],
        validation: Batch,
        forward: Forward,
        problem: Problem,
    ) -> None:
        """Called before the first epoch (with empty `memory`) and after each: learn from it.

        What is put into `memory` ([R, ...] tensors) stands in `batch.memory` of this
        intervention's `perturb` and `objective`, and survives in checkpoints. `validation` holds
        clean rows, X [R, n, 1, *shape]; `forward` the present replicates.
        """

    def perturb(self, batch: Batch, forward: Forward, problem: Problem) -> "Tensor":
        """The inputs [R, B, V', *shape] that replace batch.X. `forward` takes [R, n, *shape]."""
        return batch.X

    def hidden(self, shape: tuple[int, ...], generator: "torch.Generator") -> "Tensor":
        """Factors [n, *unit] on n outputs of a hidden activation, of one replicate, in training.

        Float32, on the generator's device, with mean 1: validation and the attacks of `perturb`
        see the network without factors, which is its mean to first order.
        """
        import torch  # whoever only reads contracts does without it

        return torch.ones(shape, dtype=torch.float32, device=generator.device)

    def draws(self) -> int:
        """How many draws of its `hidden` factors the deployed network is the mean of; 0: none."""
        return 0

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
    def accounted(self) -> bool:
        """Whether it declares its reads no higher in its hierarchy than it overrides a hook."""
        order = type(self).__mro__
        hooks, declarations = (*TRAINING_HOOKS, "deploy"), ("reads_rows", "declares")
        first = [
            next(i for i, c in enumerate(order) if any(n in vars(c) for n in names))
            for names in (declarations, hooks)
        ]
        return first[0] <= first[1]

    @property
    def retrains(self) -> bool:
        """Whether the replicates differ from the baseline's."""
        return any(map(self.fills, TRAINING_HOOKS))


@dataclass(frozen=True)
class Evaluator(Plugin, ABC):
    """Measures one aspect of a system (None: utility)."""

    aspect: ClassVar[Aspect | None]
    # What of a system the numbers depend on. Where an arm changed none of it and shares the
    # baseline's replicates, the baseline's evaluation is the arm's own and is not computed again.
    reads: ClassVar[frozenset[str]] = frozenset(CHANNELS)

    def supports(self, system: System) -> str | None:
        """The reason nothing can be measured on this system ("needs released sets"), or None."""
        return None

    @abstractmethod
    def measure(self, system: System) -> Measured:
        """The measurements, each over the same R replicates in the same order."""
