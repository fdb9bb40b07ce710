"""`trustbench list`: every available option, with the line that describes it."""

from collections.abc import Sequence
from pathlib import Path

from trustbench.commands.parsing import add_config_dir, parser
from trustbench.config.compose import conf_dirs
from trustbench.config.declared_metrics import declared_metrics
from trustbench.config.plugins import describe, discover

KINDS = {
    "datasets": "dataset",
    "models": "model",
    "interventions": "intervention",
    "evaluators": "evaluator",
    "metrics": "",
    "experiments": "experiment",
    "tables": "table",
    "policies": "policy",
}


def main(args: Sequence[str]) -> int:
    """Returns 0 once the options are printed."""
    p = parser("list", "Every option there is. Use it as dataset=NAME, +experiment=NAME, ...")
    p.add_argument("kind", nargs="?", choices=KINDS, help="default: all kinds")
    add_config_dir(p)
    given = p.parse_args(args)
    dirs = conf_dirs(given.config_dir)
    for kind in [given.kind] if given.kind else KINDS:
        rows = _metrics(dirs) if kind == "metrics" else _options(KINDS[kind], dirs)
        if given.kind is None:
            print(f"{kind}:")  # noqa: T201
        width = max((len(name) for name, _ in rows), default=0)
        for name, about in rows:
            print(f"  {name:<{width}}  {about}".rstrip())  # noqa: T201
    return 0


def _options(group: str, dirs: Sequence[Path]) -> list[tuple[str, str]]:
    return [(name, describe(path)) for name, path in discover(group, dirs).items()]


def _metrics(dirs: Sequence[Path]) -> list[tuple[str, str]]:
    """Every metric as tables and policies write it, and what it says."""
    rows = []
    for evaluator, metrics in declared_metrics(dirs).items():
        rows += [(f"{evaluator}/{m.name}", m.explanation) for m in metrics or ()]
        if metrics is None:
            rows.append((f"{evaluator}/...", "declared where it cannot be read; checked by a run"))
    return rows
