"""Audits a given model: measures what can be measured, with intervals over rows, and gates it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from trustbench.api.audit_defaults import FORMATS
from trustbench.api.audit_records import gate_stored, upload_audit
from trustbench.api.folders import default_output_dir
from trustbench.api.gates import EXIT, Gated
from trustbench.api.lookup import find_policy
from trustbench.api.recipes import recipe_of
from trustbench.config.binding import bind
from trustbench.config.compose import conf_dirs
from trustbench.config.plugins import build, discover
from trustbench.config.settings_file import with_file
from trustbench.config.yaml_file import settings_below
from trustbench.contracts import Evaluator, Fact
from trustbench.contracts.given import GivenModel, ModelSource
from trustbench.datasets.loading.own.own_table import OwnTable
from trustbench.errors import UserError, did_you_mean
from trustbench.execution.audit.audit import NamedModel, run_audit
from trustbench.execution.audit.defaults import DRAWS, REFERENCES
from trustbench.execution.audit.prepare import prepared
from trustbench.execution.audit.queried import Explain
from trustbench.execution.audit.reading import read_rows
from trustbench.execution.audit.stages import begin
from trustbench.execution.export.given import ExportAdapter
from trustbench.models.given.opening import open_model
from trustbench.store.audits import AuditRecord, write_audit
from trustbench.store.record_files import to_json
from trustbench.summary.decide.policy import Policy
from trustbench.summary.render import audit_text
from trustbench.tracking.given_models import MlflowAdapter

if TYPE_CHECKING:
    import pandas as pd

    Table = str | Path | pd.DataFrame


@dataclass(frozen=True)
class AuditResult:
    """What an audit found; `print(result)` shows it as on the terminal."""

    record: AuditRecord
    gated: Gated | None = None

    @property
    def exit_code(self) -> int:
        """0 pass or no policy, 3 violated, 4 inconclusive."""
        return 0 if self.gated is None else EXIT[self.gated.outcome]

    @cached_property
    def metrics(self) -> "pd.DataFrame":
        """One row for each metric, diagnostics included, with its interval over rows."""
        import pandas as pd

        rows = [
            {
                "metric": name,
                "value": m.number.value,
                "low": m.number.low,
                "high": m.number.high,
                "n": m.n,
                "unit": m.unit,
                "higher_is_better": m.higher_is_better,
                "method": m.number.method,
                "null": m.null,
            }
            for name, m in self.record.metrics.items()
        ]
        return pd.DataFrame(rows).set_index("metric") if rows else pd.DataFrame()

    @cached_property
    def effects(self) -> "pd.DataFrame":
        """One row for each metric that both models have: the harm of replacing the old one."""
        import pandas as pd

        rows = [
            {"metric": name, "effect": e.number.value, "low": e.number.low, "high": e.number.high}
            for name, e in self.record.effects.items()
        ]
        return pd.DataFrame(rows).set_index("metric") if rows else pd.DataFrame()

    def render(self, format: str = "terminal") -> str:
        """The audit and the policy's decisions as `terminal`, `md`, `json` or `junit` text.

        `junit` holds the decisions only, and `json` the record only.
        """
        if format not in FORMATS:
            raise UserError(f"unknown format {format!r}; {did_you_mean(format, FORMATS)}")
        if format == "json":
            return to_json(self.record).decode()
        if format == "junit":
            if self.gated is None:
                raise UserError("--format junit holds a policy's decisions; give --policy.")
            return self.gated.render("junit")
        decided = [] if self.gated is None else [self.gated.render(format)]
        if format == "terminal":  # read from below
            return "\n".join([audit_text.text(self.record), *decided])
        return "\n".join([*decided, audit_text.markdown(self.record)])

    def __str__(self) -> str:
        return self.render()


def audit(
    model: object,
    data: "Table",
    *,
    target: str | None = None,
    sensitive: str | Sequence[str] = (),
    favourable: str | Sequence[str] | None = None,
    schema: str | Path | None = None,
    policy: "str | Path | Policy | None" = None,
    train: "Table | None" = None,
    unseen: bool = False,
    split_column: str | None = None,
    calibration: float = 0.0,
    reference: object = None,
    trust: Collection[str] = (),
    recipe: "str | Callable[..., object] | None" = None,
    references: int = REFERENCES,
    settings: Sequence[str] = (),
    options: Mapping[str, Fact] | None = None,
    evaluators: str | Sequence[str] | None = None,
    explain: Explain = "shap",
    draws: int = DRAWS,
    seed: int = 0,
    output_dir: str | Path | None = None,
    tracking_uri: str | None = None,
    config_dir: str | Path | None = None,
) -> AuditResult:
    """Measures a given model on rows of a table, and holds it to a policy.

    Args:
        model: a fitted estimator, a file, a URI, `column:NAME` of the table, or a function.
        data: the rows, as a file or a DataFrame.
        target: the column of classes.
        sensitive: the columns that make groups.
        favourable: the favourable class, or a list of them if there are three or more; by default
            the last of two classes.
        schema: a YAML file that says the same and more, as `trustbench data check` writes it.
        policy: the name of a policy or its file.
        train: the rows that the model was trained on: copies of them are marked and never gate.
        unseen: the model has seen none of the rows.
        split_column: a column with the words train, test and calibration.
        calibration: the share of the unseen rows that calibrates prediction sets.
        reference: an older model: effects are those of replacing it, row by row.
        trust: types that a file may hold; `pickle` allows a pickle.
        recipe: how reference models for membership attacks are made: your function fit(X, y) that
            returns a model, FILE:NAME of such a function, or FILE:NAME of a torch module, which is
            trained. It needs `train` or `split_column`.
        references: the number of reference models.
        settings: how the module of `recipe` is trained, as in `trustbench run`:
            "training.epochs=20".
        options: further settings of the model's adapter, such as `timeout_s`.
        evaluators: the names of the evaluators that run; None: all.
        explain: what explains the model's answers: shap or lime; for a torch module also
            saliency, gradient_x_input or integrated_gradients.
        draws: redrawn samples of the rows behind an interval.
        seed: the seed of these draws.
        output_dir: writes the record below this folder.
        tracking_uri: an MLflow server or database that gets the record as well.
        config_dir: a folder with policies and evaluators of your own.

    Raises:
        UserError: the model, the table or the policy cannot be used; one sentence.
    """
    if isinstance(policy, str | Path):
        policy = find_policy(policy, config_dir)
    _refuse_impossible(calibration, draws, settings if recipe is None else ())
    plugins = _evaluators(evaluators, config_dir)
    declared = _declared(
        target=target,
        sensitive=[sensitive] if isinstance(sensitive, str) else list(sensitive),
        favourable=favourable
        if favourable is None or isinstance(favourable, str)
        else list(favourable),
        schema=None if schema is None else str(schema),
    )
    begin("reading the table")
    table = read_rows(data, declared.reading)
    rows = prepared(
        table,
        declared,
        name=Path(data).name if isinstance(data, str | Path) else "table",
        train=None if train is None else read_rows(train, declared.reading),
        unseen=unseen,
        split_column=split_column,
        calibration=calibration,
    )
    source = ModelSource(
        model,
        frozenset(trust),
        rows.in_order,
        rows.classes[-1],
        rows.rows,
        options or {},
    )
    old = None if reference is None else _opened(replace(source, given=reference))
    subject = _opened(source)
    record = run_audit(
        subject,
        rows,
        plugins,
        reference=old,
        recipe=None
        if recipe is None
        else recipe_of(recipe, references, settings, subject.model, source, config_dir),
        explain=explain,
        draws=draws,
        seed=seed,
    )
    if output_dir is not None:
        write_audit(Path(output_dir), record)
    if tracking_uri is not None:
        upload_audit(output_dir or default_output_dir(), tracking_uri, record)
    return AuditResult(record, None if policy is None else gate_stored(record, policy, config_dir))


def _refuse_impossible(calibration: float, draws: int, unused: Sequence[str]) -> None:
    """Raises UserError for a number out of range, or for settings without a recipe."""
    if not 0 <= calibration < 1:
        raise UserError(f"--calibration is {calibration:zg}; give a share from 0 to below 1.")
    if draws < 100:
        raise UserError(f"--draws is {draws}; give at least 100.")
    if unused:
        raise UserError(f"{unused[0]} is a setting of a recipe's training; give a recipe as well.")


def _opened(source: ModelSource) -> NamedModel:
    """The model of a source, which may already keep the contract."""
    model = (
        source.given
        if isinstance(source.given, GivenModel)
        else open_model(source, beside=[ExportAdapter(), MlflowAdapter((ExportAdapter(),))])
    )
    path = source.path
    return NamedModel(model, source.name if path is None else path.name)


def _declared(**given: object) -> OwnTable:
    """What is declared about the table; what is given beside a schema wins."""
    settings = {k: v for k, v in given.items() if v is not None and v != []}
    return bind(OwnTable, with_file(OwnTable, settings, "dataset"), "dataset")


def _evaluators(
    names: str | Sequence[str] | None, config_dir: str | Path | None
) -> dict[str, Evaluator]:
    """The evaluators of these names, with their registered settings."""
    names = [names] if isinstance(names, str) else names
    if names is not None and not any(names):
        raise UserError(
            "no evaluator is named, so nothing would be measured; name some, as in --evaluator "
            "utility,fairness, or leave it out to run all."
        )
    dirs = conf_dirs(None if config_dir is None else str(config_dir))
    known = discover("evaluator", dirs)
    found: dict[str, Evaluator] = {}
    for name in known if names is None else names:
        if name not in known:
            raise UserError(f"unknown evaluator {name!r}; {did_you_mean(name, known)}")
        node = settings_below(name, known[name])
        plugin = build("evaluator", name, node, f"evaluator.{name}")
        assert isinstance(plugin, Evaluator)
        found[name] = plugin
    return found
