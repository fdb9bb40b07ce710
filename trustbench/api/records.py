"""Records in memory: read from a folder or a tracking server, of one sweep or of all."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from trustbench import tracking
from trustbench.api.folders import default_output_dir
from trustbench.contracts import Array
from trustbench.errors import UserError, did_you_mean
from trustbench.store.labels import labels
from trustbench.store.records import Record, Store, Sweep
from trustbench.summary.table.arm_names import Names, arm_names

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Records(Sequence[Record]):
    """The records of one sweep, or all of them: a sequence of `Record`.

    It also knows the evaluations that the sweep requested and the table with which it is read, so
    `trustbench.table(records)` needs no further arguments.
    """

    store: Store
    """The given folder. With a server it need not exist."""
    every: tuple[Record, ...]
    """Every record of the folder or the server, including those of other sweeps."""
    sweep: Sweep | None
    """The chosen sweep; None: all records."""
    tracking_uri: str | None = None
    """The server of the records; None: they are in the folder."""
    chosen: tuple[str, ...] = ()
    """Evaluations to read in place of others of the same evaluators."""

    @cached_property
    def arms(self) -> list[Record]:
        """The records of the sweep; all of them without one."""
        if self.sweep is None:
            return list(self.every)
        wanted = set(self.sweep.arms)
        return [r for r in self.every if r.id in wanted]

    def __len__(self) -> int:
        return len(self.arms)

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> list[Record]: ...
    def __getitem__(self, index: int | slice) -> Record | list[Record]:
        return self.arms[index]

    def __iter__(self) -> Iterator[Record]:
        return iter(self.arms)

    def __repr__(self) -> str:
        what = f"sweep {self.sweep.experiment}" if self.sweep else "no sweep chosen"
        return f"<{len(self)} records of {self.tracking_uri or self.store.root}, {what}>"

    @property
    def evaluations(self) -> list[str] | None:
        """The evaluation ids requested by the sweep and the user; None: all may be read."""
        asked = self.sweep.evaluations if self.sweep else None
        if not self.chosen:
            return asked
        names = {k: e.evaluator.name for r in self.every for k, e in r.evaluations.items()}
        chosen = {names[k] for k in self.chosen}
        kept = asked if asked is not None else list(names)
        return [*(k for k in kept if names.get(k) not in chosen), *self.chosen]

    @property
    def names(self) -> Names:
        """Every name of an arm: those of the chosen sweep, or of the last sweep of each name."""
        if self.sweep is not None:
            return arm_names(self.arms, [self.sweep])
        if self.tracking_uri is not None:
            return arm_names(self.every, tracking.fetch_sweeps(self.store, self.tracking_uri))
        return arm_names(self.every, self.store.last_sweeps())

    def arrays(self, arm: str) -> Mapping[str, Array]:
        """The arrays of an arm: those of the folder, else the server's; empty without any."""
        own = self.store.arrays(arm)
        if own or self.tracking_uri is None:
            return own
        wanted = {k for r in self.every if r.id == arm for k in r.evaluations}
        return tracking.fetch_arrays(self.store, self.tracking_uri, arm, wanted)

    def frame(self) -> "pd.DataFrame":
        """Every measured value: one row for each arm, metric and replicate.

        Columns: record, arm, dataset, model, regime, seed, evaluator, metric, unit,
        higher_is_better, replicate, value.
        """
        import pandas as pd

        called = labels([record.arm for record in self])
        rows = [
            row
            for record, label in zip(self, called, strict=True)
            for row in _values(record, label, self.evaluations)
        ]
        return pd.DataFrame(rows, columns=[*_COLUMNS])


_COLUMNS = (
    "record", "arm", "dataset", "model", "regime", "seed",
    "evaluator", "metric", "unit", "higher_is_better", "replicate", "value",
)  # fmt: skip


def _values(
    record: Record, label: str, evaluations: Sequence[str] | None
) -> Iterator[tuple[Any, ...]]:
    arm = record.arm
    where = (record.id, label, arm.dataset.name, arm.model.name)
    for key, evaluation in record.evaluations.items():
        if evaluations is not None and key not in evaluations:
            continue
        for name, m in evaluation.measurements.items():
            what = (evaluation.evaluator.name, name, m.unit, m.higher_is_better)
            for r, value in enumerate(m.values):
                yield (*where, arm.training["regime"], arm.seed, *what, r, value)


def load_records(
    source: str | Path | None = None,
    experiment: str | None = None,
    *,
    evaluations: Sequence[str] = (),
) -> Records:
    """Loads the records in a folder (`output_dir` of a run) or on a tracking server.

    `source` is a folder, or the address of an MLflow server or database (`http://...`,
    `sqlite:///...`); by default the folder in which `run` writes. `experiment` names a sweep; it is
    optional in a folder with a single one. `evaluations` are ids to read in place of others of the
    same evaluator, if it was run with several settings.

    Raises:
        UserError: no such folder, no such sweep, or several to choose from.
        TrackingError: the server is unreachable.

    >>> load_records("nowhere")
    Traceback (most recent call last):
        ...
    trustbench.errors.UserError: nowhere is not a folder of records; give the output_dir of a \
run with --from, or run an experiment first: trustbench run +experiment=dp_vs_fairness
    """
    if source is not None and "://" in str(source):
        return read_records(
            default_output_dir(), experiment, tracking_uri=str(source), evaluations=evaluations
        )
    folder = default_output_dir() if source is None else source
    known = existing_store(folder).experiments()
    if experiment is None and len(known) > 1:
        raise UserError(
            f"{folder} holds the sweeps of {', '.join(known)}; name one of them, say "
            f"experiment={known[0]!r}."
        )
    return read_records(folder, experiment, evaluations=evaluations)


def read_records(
    folder: str | Path,
    experiment: str | None = None,
    *,
    tracking_uri: str | None = None,
    evaluations: Sequence[str] = (),
    one_sweep: bool = True,
) -> Records:
    """Reads the content of a folder or a server, and the sweep of that experiment.

    Without one, it chooses a folder's only sweep, and none of a server's. Several in a folder are
    refused, unless `one_sweep` is false: then none is chosen.

    Raises:
        UserError: no such folder, no such sweep, or several to choose from.
        TrackingError: the server is unreachable.
    """
    if tracking_uri:
        store = Store(Path(folder).expanduser())
        sweep = tracking.fetch_sweep(store, tracking_uri, experiment) if experiment else None
    else:
        store = existing_store(folder)
        sweep = _sweep_of_folder(store, experiment, one_sweep)
    records = tuple(every_record(folder, tracking_uri, experiment))
    known = sorted({k for r in records for k in r.evaluations})
    for key in evaluations:
        if key not in known:
            raise UserError(f"no evaluation {key!r} is stored; {did_you_mean(key, known)}")
    return Records(store, records, sweep, tracking_uri, tuple(evaluations))


def every_record(
    folder: str | Path, tracking_uri: str | None, experiment: str | None = None
) -> list[Record]:
    """Reads every record of the folder, or of the server (only of `experiment`, if given)."""
    if tracking_uri:
        store = Store(Path(folder).expanduser())
        return list(tracking.fetch_records(store, tracking_uri, experiment))
    return list(existing_store(folder).records())


def existing_store(folder: str | Path) -> Store:
    """Returns the store in a folder; raises UserError if it is missing."""
    store = Store(Path(folder).expanduser())
    if not store.root.is_dir():
        raise UserError(
            f"{folder} is not a folder of records; give the output_dir of a run with --from, "
            "or run an experiment first: trustbench run +experiment=dp_vs_fairness"
        )
    return store


def _sweep_of_folder(store: Store, experiment: str | None, one_sweep: bool) -> Sweep | None:
    known = store.experiments()
    if experiment is None and len(known) > 1:
        if not one_sweep:
            return None
        raise UserError(
            f"{store.root} holds the sweeps of {', '.join(known)}; choose one with --experiment."
        )
    if experiment is not None and experiment not in known:
        raise UserError(
            f"no sweep of experiment {experiment!r} is stored; {did_you_mean(experiment, known)}"
        )
    return store.sweep(experiment or known[0]) if known else None
