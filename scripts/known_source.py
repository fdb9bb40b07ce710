"""The arms of the `known_*` experiments, and their metrics as known_answers.py reads them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from trustbench.arms import Arm
from trustbench.compose import compose, composed_arm, conf_dir
from trustbench.contracts import System
from trustbench.deployment import deploy
from trustbench.planning import plan
from trustbench.records import MeasurementRecord, Record, Store
from trustbench.summary.effects import Effect, paired_effect
from trustbench.sweeping import named_arms

Values = NDArray[np.float64]


def arms_of(experiment: str) -> dict[str, list[str]]:
    """The overrides of each arm of an experiment."""
    node = yaml.safe_load((conf_dir() / "experiment" / f"{experiment}.yaml").read_text())
    return named_arms(node["hydra"]["sweeper"]["arms"])


@dataclass(frozen=True)
class Series:
    """A metric over replicates [R], and what its interval rests on, as in the table.

    Where each replicate is the others' shadow, `values` are the measurement's pseudo-values, of
    the same mean and spread as its error asks; they are then `dependent`. `common_sd` is that of
    an error that all replicates share.
    """

    values: Values
    common_sd: float = 0.0
    dependent: bool = False

    @classmethod
    def of(cls, found: MeasurementRecord) -> "Series":
        """A metric of a record."""
        values = found.values if found.pseudo is None else found.pseudo
        return cls(np.array(values), found.common_sd or 0.0, found.pseudo is not None)

    def __sub__(self, other: "Series") -> "Series":
        """Paired by replicate."""
        return Series(
            self.values - other.values,
            math.hypot(self.common_sd, other.common_sd),
            self.dependent or other.dependent,
        )

    @property
    def effect(self) -> Effect:
        """The mean with its interval."""
        return paired_effect(self.values, common_sd=self.common_sd)


@dataclass(frozen=True)
class Source:
    """The arms of one experiment, as records and as systems; `ids` names the record of an arm.

    `evaluations` are the ids that are read (none given: all); `extra` are overrides that every
    arm was run with, beside those of the experiment.
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
        return deploy(plan(self.arm(name)), self.store, lambda *_: None)[0]

    def series(self, arm: str, metric: str) -> Series | None:
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
            return Series(self.store.arrays(record.id)[f"{keys[0]}/{name}"][:, int(column)])
        found = record.evaluations[keys[0]].measurements.get(name)
        return None if found is None else Series.of(found)
