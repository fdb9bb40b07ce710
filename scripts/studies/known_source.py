"""The arms of the `known_*` experiments, and their metrics as used by known_answers.py."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import yaml

from trustbench.config.arms import Arm
from trustbench.config.compose import compose, composed_arm, conf_dir
from trustbench.config.sweep_arms import named_arms
from trustbench.contracts import System
from trustbench.execution.deploy import deployed
from trustbench.execution.plan import plan
from trustbench.store.records import MeasurementRecord, Record, Store
from trustbench.summary.stats.effects import Effect, paired_effect
from trustbench.summary.stats.series import Series, Values


def arms_of(experiment: str) -> dict[str, list[str]]:
    """The overrides of each arm of an experiment."""
    node = yaml.safe_load((conf_dir() / "experiment" / f"{experiment}.yaml").read_text())
    return named_arms(node["hydra"]["sweeper"]["arms"])


@dataclass(frozen=True)
class Quantity:
    """A metric over replicates, and what its interval rests on, as in the table.

    `dependent`: replicates are each other's shadows. `common_sd` is that of an error that all
    replicates share.
    """

    series: Series
    common_sd: float = 0.0
    dependent: bool = False

    @classmethod
    def of(cls, found: MeasurementRecord) -> "Quantity":
        """A metric of a record."""
        dependent = found.pseudo is not None or found.shadowing is not None
        return cls(Series.of([found]), found.common_sd or 0.0, dependent)

    @classmethod
    def of_values(cls, values: Values) -> "Quantity":
        """Values [R] of replicates that are independent."""
        return cls(Series(values, np.zeros(len(values)), np.zeros(len(values), dtype=np.int64)))

    def __sub__(self, other: "Quantity") -> "Quantity":
        """Paired by replicate."""
        return Quantity(
            self.series - other.series,
            math.hypot(self.common_sd, other.common_sd),
            self.dependent or other.dependent,
        )

    @property
    def effect(self) -> Effect:
        """The mean with its interval."""
        return paired_effect(self.series.independent, common_sd=self.common_sd)


@dataclass(frozen=True)
class Source:
    """The arms of one experiment, as records and as systems; `ids` names the record of an arm.

    `evaluations` are the ids to read (empty: all); `extra` are overrides with which every arm was
    run, in addition to those of the experiment.
    """

    experiment: str
    store: Store
    data_dir: Path
    ids: Mapping[str, str]
    evaluations: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()

    @classmethod
    def of_sweep(cls, experiment: str, store: Store, data_dir: Path) -> "Source":
        """The experiment's last sweep; without arms before it, or when it was of other arms."""
        sweep, names = store.sweep(experiment), arms_of(experiment)
        if sweep is None or len(sweep.arms) != len(names):
            return cls(experiment, store, data_dir, {})
        ids = dict(zip(names, sweep.arms, strict=True))
        return cls(experiment, store, data_dir, ids, tuple(sweep.evaluations))

    def record(self, arm: str) -> Record | None:
        """The finished record of an arm, or None."""
        found = self.store.read(self.ids[arm]) if arm in self.ids else None
        return found if found is not None and found.status == "ok" else None

    def arm(self, name: str) -> Arm:
        """The arm as it was run."""
        overrides = [f"+experiment={self.experiment}", *arms_of(self.experiment)[name]]
        spec: Arm = composed_arm(compose([*overrides, *self.extra]))
        return replace(spec, output_dir=self.store.root, data_dir=self.data_dir)

    def system(self, name: str) -> System:
        """The arm's deployed system; its replicates are read from the store."""
        return deployed(plan(self.arm(name)), self.store, lambda *_: None)

    def series(self, arm: str, metric: str) -> Quantity | None:
        """A metric [R] of an arm; `evaluator/array[j]` is column j of an array it kept."""
        record = self.record(arm)
        evaluator, name = metric.split("/")
        keys = [
            key
            for key, e in (record.evaluations if record else {}).items()
            if e.evaluator.name == evaluator and key in (self.evaluations or [key])
        ]
        if record is None or not keys:
            return None
        if name.endswith("]"):
            name, column = name[:-1].split("[")
            return Quantity.of_values(
                self.store.arrays(record.id)[f"{keys[0]}/{name}"][:, int(column)]
            )
        found = record.evaluations[keys[0]].measurements.get(name)
        return None if found is None else Quantity.of(found)
