"""Finds tables and policies by name or file."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from types import MappingProxyType

from trustbench.api.metric_checks import check_policy, check_table, with_declarations
from trustbench.config.compose import conf_dirs
from trustbench.config.declared_metrics import declared_metrics, registered_scores
from trustbench.config.plugins import discover
from trustbench.contracts.metrics import DeclaredMetrics
from trustbench.errors import ConfigError, UserError, did_you_mean
from trustbench.store.records import Record
from trustbench.summary.decide.policy import Policy, load_policy
from trustbench.summary.table.registry import Table, load_table

DEFAULT_TABLE = "cresswell"


def find_table(
    name: str | Path, config_dir: str | Path | None = None, records: Iterable[Record] = ()
) -> Table:
    """Returns the registered table of a name or a file; raises UserError for an unknown one.

    Its metrics are checked: an evaluator exists if it is installed or if `records` hold it.
    """
    path, dirs = _file("table", name, config_dir), conf_dirs(_text(config_dir))
    measured = [e.evaluator.name for r in records for e in r.evaluations.values()]
    return _checked(path, [*dirs, path.parent.parent], dict.fromkeys(measured))


def table_at(path: Path, metrics: DeclaredMetrics = MappingProxyType({})) -> Table:
    """Returns the registered table of a run's configuration, by its file.

    Its metrics are checked; `metrics` are those of the run's own evaluators.
    """
    return _checked(path, [*conf_dirs(None), path.parent.parent], metrics)


def _checked(path: Path, dirs: Sequence[Path], beside: DeclaredMetrics) -> Table:
    """Returns the table in a file, its metrics checked and explained.

    `beside` names evaluators that need no YAML file here, with what they declare if it is known.
    """
    table = load_table(path, discover("table", dirs))
    known = {name: metrics for name, metrics in beside.items() if metrics is not None}
    declared = {**dict.fromkeys(beside), **declared_metrics(dirs), **known}
    check_table(table, str(path), declared, registered_scores(dirs))
    return with_declarations(table, declared)


def find_policy(name: str | Path, config_dir: str | Path | None = None) -> Policy:
    """Returns the policy of a name or a file; UserError if it is unknown or names unknown items."""
    path = _file("policy", name, config_dir)
    policy = load_policy(path)
    _check_names(policy, str(path), config_dir)
    return policy


def _file(kind: str, name: str | Path, config_dir: str | Path | None) -> Path:
    if Path(name).suffix in (".yaml", ".yml"):
        return Path(name).expanduser()
    known = discover(kind, conf_dirs(_text(config_dir)))
    if str(name) not in known:
        raise UserError(f"unknown {kind} {str(name)!r}; {did_you_mean(str(name), known)}")
    return known[str(name)]


def _text(folder: str | Path | None) -> str | None:
    return None if folder is None else str(folder)


def _check_names(policy: Policy, origin: str, config_dir: str | Path | None) -> None:
    """Raises ConfigError for metrics and interventions that do not exist."""
    dirs = conf_dirs(_text(config_dir))
    methods = discover("intervention", dirs)
    problems = check_policy(policy, declared_metrics(dirs), registered_scores(dirs))
    for i, limit in enumerate(policy.limits):
        if limit.reference is not None and limit.reference not in methods:
            hint = did_you_mean(limit.reference, methods)
            problems.append(f"limits.{i}.reference is {limit.reference!r}; {hint}")
    if problems:
        raise ConfigError([f"policy {origin}: {p}" for p in problems])
