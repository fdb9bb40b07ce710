"""Finds tables and policies by name or file."""

from pathlib import Path

from trustbench.config.compose import conf_dirs
from trustbench.config.plugins import discover
from trustbench.errors import ConfigError, UserError, did_you_mean
from trustbench.summary.decide.policy import Policy, load_policy
from trustbench.summary.table.registry import Table, load_table

DEFAULT_TABLE = "cresswell"


def find_table(name: str | Path, config_dir: str | Path | None = None) -> Table:
    """Returns the registered table of a name or a file; raises UserError for an unknown one."""
    known = discover("table", conf_dirs(_text(config_dir)))
    return load_table(_file("table", name, config_dir), known)


def table_at(path: Path) -> Table:
    """Returns the registered table of a run's configuration, by its file."""
    return load_table(path, discover("table", [*conf_dirs(None), path.parent.parent]))


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
    """Raises ConfigError for evaluators and interventions that do not exist."""
    dirs = conf_dirs(_text(config_dir))
    evaluators, methods = discover("evaluator", dirs), discover("intervention", dirs)
    problems = []
    for i, limit in enumerate(policy.limits):
        evaluator, slash, _ = limit.metric.partition("/")
        if slash and evaluator not in evaluators:
            hint = did_you_mean(evaluator, evaluators)
            problems.append(f"limits.{i}.metric is {limit.metric!r}, of no evaluator; {hint}")
        if limit.reference is not None and limit.reference not in methods:
            hint = did_you_mean(limit.reference, methods)
            problems.append(f"limits.{i}.reference is {limit.reference!r}; {hint}")
    if problems:
        raise ConfigError([f"policy {origin}: {p}" for p in problems])
