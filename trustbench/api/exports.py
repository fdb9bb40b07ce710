"""Exports one model of a measured arm for use: to a folder, to MLflow, as ONNX."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from trustbench import tracking
from trustbench.api.cards import card_of
from trustbench.api.records import Records
from trustbench.api.selections import select
from trustbench.config.compose import compose, composed_arm, conf_dirs
from trustbench.errors import UserError
from trustbench.execution.arm import run_arm
from trustbench.execution.export import onnx_file, refit
from trustbench.execution.export.model import ExportedModel, load_model
from trustbench.execution.export.spec import CARD
from trustbench.execution.export.writing import ExportSource, plugin_modules, write_export
from trustbench.execution.fit import Progress
from trustbench.execution.job import prepare_torch
from trustbench.execution.pilot import settle
from trustbench.execution.plan import Plan, plan, refuse_impossible
from trustbench.store.files import write_atomically
from trustbench.store.labels import label
from trustbench.store.records import Record, Store
from trustbench.summary.cards.card import find
from trustbench.summary.cards.export_text import Remeasured, export_card, trained_share
from trustbench.summary.decide.comparison import Option
from trustbench.summary.table.reproduce import evaluators, overrides

__all__ = ["Exported", "ExportedModel", "Format", "export", "load_model"]

Format = Literal["folder", "mlflow", "onnx"]
FORMATS: tuple[Format, ...] = ("folder", "mlflow", "onnx")


def _quietly(stage: str, done: int, total: int) -> None:
    """Shows no progress."""


@dataclass(frozen=True)
class Exported:
    """Where a model was written, and what it is."""

    path: Path
    model: ExportedModel
    version: str | None = None
    """Its version in the model registry, as `models:/NAME/VERSION`."""


def export(
    records: Records,
    arm: str | None = None,
    *,
    policy: str | Path | None = None,
    replicate: int | None = None,
    to: Format = "folder",
    output: str | Path | None = None,
    data_dir: str | Path = "data",
    config_dir: str | Path | None = None,
    plugins: Sequence[str] = (),
    name: str | None = None,
    progress: Progress = _quietly,
) -> Exported:
    """Writes one model of a measured arm, as it is deployed, for use without trustbench's store.

    Args:
        records: the records of the sweep.
        arm: a label, a name in the sweep, or the beginning of a record's id; None: `policy` selects
            the arm.
        policy: the name of a policy or its file; beside an `arm`, its verdict goes into the card.
        replicate: one of the measured models; None trains the arm once more, on the whole training
            pool, and measures it again.
        to: a folder, an MLflow model around it, or the folder with an ONNX graph.
        output: a new or empty folder; None: one below exports/ in the working folder.
        data_dir: where the arm's data set is.
        config_dir: a folder with policies and plugins of your own.
        plugins: modules of your own from which classes may be imported.
        name: registers the MLflow model under this name.
        progress: is called with (stage, done, total) while models are trained.

    Raises:
        UserError: no such arm, another data set than the record's, seeded privacy noise, a
            package that is missing, or a folder that is not empty.

    >>> from trustbench.api.runs import run
    >>> small = {"protocol.replicates": 4, "evaluator": ["utility"]}
    >>> records = run({"dataset": "silobank"}, small, output_dir="outputs")
    >>> exported = export(records, "none", replicate=3, output="my-model")
    >>> load_model("my-model")
    <exported model none on silobank/mlp, replicate 3 of 4, trained on half of the training pool>
    """
    if to not in FORMATS:
        raise UserError(f"cannot export to {to!r}; give one of {', '.join(FORMATS)}.")
    if to == "onnx":
        onnx_file.refuse_missing()
    record, option = _chosen(records, arm, policy, config_dir)
    folder = _folder(output, record, replicate)
    store = records.store
    measured = _plan(record, store, data_dir, config_dir, plugins, progress)
    if replicate is None:
        store = store.refits
        trained, remeasured = _refitted(measured, store, progress)
        trained_on = "trained on the whole training pool"
    else:
        trained, remeasured = _one(measured, replicate), None
        trained_on = (
            f"replicate {replicate} of {record.replicates}, trained on {trained_share(record)}"
        )
    arm_label = option.label if option is not None else label(record.arm)
    verdict = None if option is None else (str(policy), option.outcome.value)
    card = card_of(records, record.id, config_dir=config_dir)

    def write(path: Path) -> ExportedModel:
        source = ExportSource(arm_label, record.id, trained_on)
        spec = write_export(trained, source, path, store, progress)
        text = export_card(record, spec, replicate, remeasured, verdict, card)
        write_atomically(path / CARD, text.encode())
        return load_model(path, plugins=plugin_modules(trained))

    if to == "mlflow":
        tags = _tags(record, option, policy, replicate)
        return _as_mlflow(records, write, folder, name, tags, record)
    model = write(folder)
    if to == "onnx":
        onnx_file.write(model, folder / "model.onnx")
    return Exported(folder, model)


def _as_mlflow(
    records: Records,
    write: Callable[[Path], ExportedModel],
    folder: Path,
    name: str | None,
    tags: dict[str, str],
    record: Record,
) -> Exported:
    """An MLflow model in the folder, registered if it has a name."""
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"{folder} is not an empty folder; give another one with --output.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder.parent) as temporary:
        model = write(Path(temporary) / "export")
        rows = model.example()
        tracking.write_model(
            Path(temporary) / "export",
            folder,
            tracking.SignatureSample(rows, model.predict(rows)),
            tags,
        )
    if name is None:
        return Exported(folder, model)
    uri = records.tracking_uri
    evidence = tracking.ModelEvidence(record, records.arrays(record.id), model.column_types)
    version = tracking.register(records.store, uri, folder, name, tags, model.spec.label, evidence)
    return Exported(folder, model, version)


def _chosen(
    records: Records, arm: str | None, policy: str | Path | None, config_dir: str | Path | None
) -> tuple[Record, Option | None]:
    """The record whose arm is exported, and what the policy says about it."""
    if arm is None and policy is None:
        raise UserError("give --arm LABEL, or --policy NAME to let a policy select the arm.")
    options: list[Option] = []
    best: list[Option] = []
    if policy is not None:
        selections = select(records, policy, config_dir=config_dir).selections
        options = [o for s in selections for o in s.options]
        best = [s.best for s in selections if s.best is not None]
    if arm is not None:
        record = find(arm, records.every, records.names)
        return record, next((o for o in options if record.id in o.records), None)
    if len(best) != 1:
        found = f"{len(best)} arms, one for each data set and model" if best else "no arm"
        raise UserError(f"policy {policy} selects {found}; choose one with --arm LABEL.")
    stored = {r.id: r for r in records.every}
    tuned = [stored[i] for i in best[0].records if stored[i].arm.training["regime"] == "tuned"]
    candidates = tuned or [stored[i] for i in best[0].records]
    return min(candidates, key=lambda r: r.arm.seed), best[0]


def _plan(
    record: Record,
    store: Store,
    data_dir: str | Path,
    config_dir: str | Path | None,
    plugins: Sequence[str],
    progress: Progress,
) -> Plan:
    """The plan of a record's arm, made anew from the record.

    Raises:
        UserError: the record is not of a finished arm, or the data or plugins have changed.
    """
    if record.status != "ok":
        raise UserError(f"arm {record.id} is {record.status}; only a finished arm can be exported.")
    words = [*overrides(record), *evaluators(record)]
    words += [f"plugins=[{','.join(plugins)}]"] if plugins else []
    arm = composed_arm(compose(words, conf_dirs(None if config_dir is None else str(config_dir))))
    data = Path(data_dir).expanduser().absolute()
    arm = replace(arm, output_dir=store.root, data_dir=data, tracking_uri=None)
    prepare_torch(arm)
    made = settle(plan(arm), store, progress)
    if made.arm_id != record.id:
        raise UserError(
            f"the arm of record {record.id} cannot be made again here: its data, a plugin or a "
            f"version differ (it would be {made.arm_id} now); give the same --data-dir, "
            "--config-dir and version of trustbench as in the run, or run the arm again."
        )
    refuse_impossible(made)
    return made


def _one(measured: Plan, replicate: int) -> Plan:
    total = measured.arm.protocol.replicates
    if not 0 <= replicate < total:
        raise UserError(f"--replicate {replicate} is not one of the arm's, 0 to {total - 1}.")
    return plan(replace(measured.arm, only=replicate))


def _refitted(measured: Plan, store: Store, progress: Progress) -> tuple[Plan, Remeasured]:
    """The arm trained on the whole pool, and what was measured on it."""
    made = refit.refitted(measured)
    refuse_impossible(made)
    record, _ = run_arm(refit.measurable(made.arm), store, progress)
    return made, Remeasured(record, refit.unmeasurable(made.arm))


def _folder(output: str | Path | None, record: Record, replicate: int | None) -> Path:
    if output is not None:
        return Path(output).expanduser().absolute()
    which = "all" if replicate is None else f"replicate-{replicate}"
    return Path("exports").absolute() / f"{record.id}-{which}"


def _tags(
    record: Record, option: Option | None, policy: str | Path | None, replicate: int | None
) -> dict[str, str]:
    tags = {
        "trustbench.record": record.id,
        "trustbench.records": " ".join(option.records) if option else record.id,
        "trustbench.trained_on": "all" if replicate is None else f"replicate {replicate}",
    }
    if option is not None:
        tags |= {"trustbench.policy": str(policy), "trustbench.gate": option.outcome.value}
    return tags
