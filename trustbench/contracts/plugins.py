"""The base classes of datasets, models and evaluators; interventions have a file of their own.

A plugin is a frozen dataclass in one file plus one YAML of the same stem; its fields are its
hyper-parameters and their schema. `trustbench/contracts/__init__.py` lists the shapes.
"""

import copy
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, ClassVar, Self

from trustbench.contracts.arrays import Array
from trustbench.contracts.aspects import Aspect
from trustbench.contracts.measurement import Measured, Measurement
from trustbench.contracts.mechanisms import Read
from trustbench.contracts.metrics import Metrics, declared
from trustbench.contracts.problem import Problem
from trustbench.contracts.seeding import Streams
from trustbench.contracts.system import CHANNELS, TRAINED, Access, Need, System

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
    # The folder in which the command was given, and where relative files begin: in no id.
    given_in: ClassVar[Path | None] = None

    def located(self, folder: Path) -> Self:
        """The same plugin of a command that was given in `folder`."""
        found = copy.copy(self)
        object.__setattr__(found, "given_in", folder)
        return found

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
    # The channels of a system that the numbers depend on, beside the test rows ("data"). An arm
    # that changes none of them and shares the baseline's replicates reuses the baseline's
    # evaluation.
    reads: ClassVar[frozenset[str]] = frozenset(CHANNELS)
    # The other systems that `measure` asks for, which are trained before any evaluator runs:
    # "baseline" (`system.baseline()`), "reseed" (`system.reseeded(1)`), "baseline_reseed"
    # (`reseeded(1)` and `reseeded(system.draw + 1)` of the baseline, or of the arm that is the
    # baseline) and "shadows" (`system.shadows()`). `supports` may look which of them there are.
    needs: ClassVar[frozenset[Need]] = frozenset()
    # What `measure` uses of the model, see `Access`; on a given model without it every metric is
    # "not applicable (needs ...)". By default all that a trained system offers.
    access: ClassVar[frozenset[Access]] = TRAINED
    # Whether the numbers mean something where decisions may be ABSTAIN: right is a decision that
    # equals the label, so that to abstain is not right. Otherwise a system that abstains is "not
    # applicable" to an evaluator that reads `decider`.
    takes_abstention: ClassVar[bool] = False
    # Whether the numbers may be repeated on test rows that are drawn with replacement, which gives
    # their interval on a given model: not if `measure` splits the test rows itself.
    over_rows: ClassVar[bool] = False
    no_interval: ClassVar[str] = ""  # why an audit has no interval over rows for its numbers

    @property
    def depends_on(self) -> frozenset[str]:
        """`reads`, and the test rows: no arm with other rows is given the baseline's evaluation."""
        return self.reads | {"data"}

    def needs_of(self, system: System) -> frozenset[Need]:
        """Those of `needs` that this system is measured with; override to spare a training."""
        return self.needs

    def supports(self, system: System) -> str | None:
        """Returns why nothing can be measured on this system ("needs released sets"), or None."""
        return None

    def refusal(self, system: System) -> str | None:
        """`supports`, and whether decisions are what the evaluator takes them for."""
        if system.abstains and "decider" in self.reads and not self.takes_abstention:
            return "needs a decision for every row, and this system may abstain"
        return self.supports(system)

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
