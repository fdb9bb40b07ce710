"""What each metric means may not move: its direction, unit, bounds, null and use, one line each.

A policy limits metrics by name and a table colours them by direction, so one that is turned around
would silently pass for its opposite. `tests/golden/metrics.txt` is written by `make golden`,
which adds new metrics and overwrites none: a metric of another meaning gets another name.
"""

import os
from pathlib import Path

import pytest

from tests.contract.golden_values import UPDATE
from trustbench.config.compose import conf_dir
from trustbench.config.declared_metrics import declared_metrics

FILE = Path(__file__).resolve().parents[1] / "golden" / "metrics.txt"
FIELDS = ("name", "better", "unit", "lower", "upper", "null", "diagnostic", "rate")


def lines_of(declared):
    """One line a metric, by its full name."""
    return {
        f"{evaluator}/{m.name}": " | ".join(
            [f"{evaluator}/{m.name}", *(str(getattr(m, field)) for field in FIELDS[1:])]
        )
        for evaluator, metrics in declared.items()
        for m in metrics
    }


def check(file, found):
    """AssertionError unless the file says the same of every metric.

    Where an update is asked for, metrics that the file lacks are added and those that left removed.
    """
    kept = {line.split(" | ")[0]: line for line in file.read_text().splitlines()[1:]}
    if os.environ.get(UPDATE):
        kept = {name: kept.get(name, line) for name, line in found.items()}
        file.write_text("\n".join([" | ".join(FIELDS), *(kept[n] for n in sorted(kept))]) + "\n")
    turned = [
        f"{kept[n]} became {found[n]}" for n in kept.keys() & found.keys() if kept[n] != found[n]
    ]
    assert not turned, f"a metric of another meaning needs another name: {turned}"
    assert kept.keys() == found.keys(), (
        f"{sorted(kept.keys() ^ found.keys())} are on one side only; run `make golden`, read its "
        "diff and commit it."
    )


def test_golden_meanings_of_all_metrics():
    check(FILE, lines_of(declared_metrics([conf_dir()])))


@pytest.mark.parametrize(
    ("was", "becomes"),
    [("higher", "lower"), ("fraction", "percent"), ("| 0.0 |", "| -1.0 |"), ("| 1.0 |", "| 2.0 |")],
)
def test_a_metric_that_is_turned_around_fails_even_where_golden_files_are_written(
    was, becomes, tmp_path, monkeypatch
):
    found = lines_of(declared_metrics([conf_dir()]))
    name = "fairness/worst_group_acc"
    assert was in found[name]
    file = tmp_path / "metrics.txt"
    file.write_text("\n".join([" | ".join(FIELDS), *found.values()]) + "\n")
    check(file, found)
    monkeypatch.setenv(UPDATE, "1")
    with pytest.raises(AssertionError, match="another meaning needs another name"):
        check(file, {**found, name: found[name].replace(was, becomes)})
    check(file, {**found, "fairness/new": "fairness/new | higher"})
    assert "fairness/new" in file.read_text()
