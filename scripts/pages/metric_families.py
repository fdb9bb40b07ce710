"""Writes docs/metrics.md: every family of metrics in plain words, from what evaluators declare.

What a person should read into a family is in metric_families.yaml, everything else is declared.

run: python scripts/pages/metric_families.py
"""

import html
from collections.abc import Iterator
from pathlib import Path

import yaml

from trustbench.config.compose import conf_dirs
from trustbench.config.declared_metrics import declared_metrics
from trustbench.config.plugins import discover
from trustbench.contracts.aspects import Aspect
from trustbench.contracts.metrics import PERMUTED, Metric

HERE = Path(__file__).resolve()
PAGE = HERE.parents[2] / "docs" / "metrics.md"
HEAD = """# Metrics in plain words

<!-- made by scripts/pages/metric_families.py; do not edit -->

Each family below is one evaluator, which measures the metrics of its table. The sentence says what
a metric means, the name is what tables and policies write. Diagnostics, which only check other
numbers, are left out; this command lists them too:

```bash
trustbench list metrics
```

In names, `<a|b>` stands for either word and `<score>` for a score of prediction sets, such as `aps`
or `lac`. [The 25 cells](cells/index.md) say which metric each cell of the table reads."""


def families() -> dict[str, dict[str, str]]:
    """Title and reading of each family, by evaluator."""
    return yaml.safe_load(HERE.with_suffix(".yaml").read_text())


def page() -> str:
    """The whole page."""
    dirs = conf_dirs(None)
    declared = {name: metrics for name, metrics in declared_metrics(dirs).items() if metrics}
    rooms = {name: _room(path) for name, path in discover("evaluator", dirs).items()}
    said = families()
    lines = [HEAD]
    for room in ("utility", *Aspect):
        lines += ["", f"## {room.capitalize()}"]
        for name in (name for name in said if rooms[name] == room):
            lines += ["", *_family(name, said[name], declared[name])]
    return "\n".join(lines) + "\n"


def _room(path: Path) -> str:
    """The aspect of an evaluator: the room that its class lives in; outside of one, utility."""
    target = yaml.safe_load(path.read_text())[path.stem]["_target_"].split(".")
    return target[2] if target[2] in list(Aspect) else "utility"


def _family(name: str, said: dict[str, str], metrics: tuple[Metric, ...]) -> Iterator[str]:
    yield f"### {said['title']}: `{name}`"
    yield ""
    yield said["reading"]
    yield ""
    yield "| what it says | metric | unit | better | read against |\n|---|---|---|---|---|"
    for metric in metrics:
        if not metric.diagnostic:
            cells = (metric.sentence, _code(f"{name}/{metric.name}"), metric.unit, metric.better)
            yield f"| {' | '.join(cells)} | {_null(metric)} |"


def _null(metric: Metric) -> str:
    if metric.null == PERMUTED:
        return "random groups of the same sizes"
    if isinstance(metric.null, str):
        return _code(metric.null)
    return "" if metric.null is None else f"{metric.null:g}"


def _code(text: str) -> str:
    """Text as code in a table cell, in which bars do not start columns."""
    return f"<code>{html.escape(text).replace('|', '&#124;')}</code>"


if __name__ == "__main__":
    PAGE.write_text(page())
