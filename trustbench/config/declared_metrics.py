"""The metrics that evaluators declare, read from their source without importing it.

Importing an evaluator imports torch and runs the code of its author; neither is needed to know
whether a table or a policy misspells a metric.
"""

import ast
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from trustbench.config.plugins import discover
from trustbench.config.yaml_file import read_yaml
from trustbench.contracts import PERMUTED, Metric, Metrics, attack_auc, attack_rate, fraction
from trustbench.contracts.metrics import SCORES
from trustbench.errors import ConfigError

NAMES: Mapping[str, Any] = {
    "Metric": Metric,
    "fraction": fraction,
    "attack_auc": attack_auc,
    "attack_rate": attack_rate,
    "PERMUTED": PERMUTED,
}
"""What a declaration may use besides literals, imported from `trustbench.contracts`."""


def declared_metrics(conf_dirs: Iterable[Path]) -> dict[str, Metrics | None]:
    """Returns the metrics of every evaluator by its name.

    None for an evaluator whose declaration cannot be read this way: its module is not installed
    here, or it computes or inherits its metrics.
    """
    return {name: _declared(path) for name, path in discover("evaluator", conf_dirs).items()}


def registered_scores(conf_dirs: Iterable[Path]) -> frozenset[str]:
    """The scores of prediction sets: trustbench's, and the `scores` of any option's YAML file."""
    found = set(SCORES)
    for name, path in discover("intervention", conf_dirs).items():
        text = path.read_text(encoding="utf-8", errors="replace")
        node = read_yaml(path, "the option") if "scores:" in text else {}
        settings = node.get(name) if isinstance(node, dict) else None
        listed = settings.get("scores") if isinstance(settings, dict) else None
        found |= {s for s in listed if isinstance(s, str)} if isinstance(listed, list) else set()
    return frozenset(found)


@cache
def _declared(path: Path) -> Metrics | None:
    try:
        node = read_yaml(path, "the option")
        module, _, name = node[path.stem]["_target_"].rpartition(".")
        source = _source(module)
        return None if source is None else metrics_in(source.read_text(encoding="utf-8"), name)
    except (OSError, ValueError, ConfigError, SyntaxError):  # reported when the plugin is built
        return None
    except (AttributeError, KeyError, TypeError):  # its YAML file names no class
        return None


def metrics_in(source: str, name: str) -> Metrics | None:
    """Returns the `metrics` of the class `name` in a module's source; None if not literal.

    >>> metrics_in("class A: metrics = computed()", "A") is None
    True
    """
    tree = ast.parse(source)
    imported = {
        alias.asname or alias.name: NAMES[alias.name]
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        and (node.module or "").startswith("trustbench.contracts")
        for alias in node.names
        if alias.name in NAMES
    }
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            try:
                found = [_value(v, imported) for v in map(_metrics, node.body) if v is not None]
            except (ValueError, TypeError):  # not literal, or not the arguments of a Metric
                return None
            return found[-1] if found else None
    return None


def _metrics(statement: ast.stmt) -> ast.expr | None:
    """Returns the value of an assignment to `metrics`; None for other statements."""
    targets: list[ast.expr] = []
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign):
        targets = [statement.target]
    else:
        return None
    named = any(isinstance(t, ast.Name) and t.id == "metrics" for t in targets)
    return statement.value if named else None


def _value(node: ast.expr, names: Mapping[str, Any]) -> Any:
    """Evaluates literals, tuples, and calls of `names`; raises ValueError for anything else."""
    if isinstance(node, ast.Tuple):
        return tuple(_value(element, names) for element in node.elts)
    if isinstance(node, ast.Name) and node.id in names:
        return names[node.id]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
        keywords = {str(k.arg): _value(k.value, names) for k in node.keywords}
        return names[node.func.id](*(_value(a, names) for a in node.args), **keywords)
    return ast.literal_eval(node)


def _source(module: str) -> Path | None:
    """Returns the file of a module; imports neither it nor its packages."""
    where: Any = None
    spec = None
    parts = module.split(".")
    for k in range(len(parts)):
        name = ".".join(parts[: k + 1])
        known = sys.modules.get(name)
        spec = known.__spec__ if known is not None else PathFinder.find_spec(name, where)
        if spec is None:
            return None
        where = spec.submodule_search_locations
    origin = spec.origin if spec is not None else None
    return Path(origin) if origin is not None and origin.endswith(".py") else None
