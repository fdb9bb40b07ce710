"""What every evaluator keeps: it measures what it declares, and the same twice."""

import re
from typing import NamedTuple

import numpy as np
import pytest

from tests.conftest import make_problem, make_system
from tests.contract.conftest import OPTIONS, cheap, of, opened_by
from tests.tables import make_table
from trustbench.config.compose import conf_dir
from trustbench.config.declared_metrics import declared_metrics
from trustbench.contracts import PERMUTED
from trustbench.contracts.metrics import all_of, find

# What a sentence must not need: names of metrics, and of the words that only our code knows.
JARGON = re.compile(r"[a-z0-9]_[a-z0-9]|\bracc\b|\bece\b|\bR2\b")


class Systems(NamedTuple):
    """Toy systems: bare ones, and ones with every channel open that an intervention opens."""

    plain: object
    released: object
    multiclass: object
    released_table: object
    """Its sensitive attribute is among its inputs."""
    shadowed: object
    """With replicates enough that each attack has shadow models."""


@pytest.fixture(scope="module")
def systems(system, multiclass_system):
    return Systems(
        system,
        opened_by(system, "channel", "release"),
        multiclass_system,
        opened_by(make_system(make_table()), "channel", "release"),
        make_system(make_problem(), replicates=8, steps=60),
    )


@of("evaluator")
def test_an_evaluator_measures_what_it_declares_or_gives_a_reason(option, systems):
    plugin, known, measured_once = cheap(option.plugin), set(), False
    for some in systems:
        reason = plugin.supports(some)
        if reason is not None:
            assert isinstance(reason, str)
            assert reason
            continue
        measured_once = True
        known |= _measured(plugin, some)
    assert measured_once, "no channel that an intervention opens is enough for this evaluator"
    never = {m.name for m in all_of(plugin.metrics)} - known
    assert not never, "declared, and neither measured on a toy system nor missing with a reason"


def _measured(plugin, system):
    """The names of the declarations that are measured, or missing with a reason."""
    before = dict(system.facts)
    first, again = plugin.measure(system), plugin.measure(system)
    assert dict(system.facts) == before
    names = [m.name for m in first.measurements]
    assert names or first.arrays, "an evaluator measures, or keeps something to look at"
    assert len(names) == len(set(names))
    assert not set(names) & set(first.missing)
    for m, same in zip(first.measurements, again.measurements, strict=True):
        assert m.values.shape == (system.replicates,)
        np.testing.assert_array_equal(m.values, same.values, err_msg=f"{m.name} is not repeatable")
        assert m.lower is None or (m.values >= m.lower - 1e-6).all(), m.name
        assert m.upper is None or (m.values <= m.upper + 1e-6).all(), m.name
        assert m.n > 0
        metric = find(plugin.metrics, m.name)
        assert metric is not None, f"{m.name} is measured and not declared"
        assert metric.contradiction(m) is None, m.name
        assert (m.null is not None) == (metric.null == PERMUTED), m.name
    for name, array in first.arrays.items():
        assert np.isfinite(np.asarray(array, dtype=float)).all(), name
    declared = {name: find(plugin.metrics, name) for name in (*names, *first.missing)}
    assert None not in declared.values(), declared
    return {metric.name for metric in declared.values()} | {
        null.name for metric in declared.values() for null in metric.nulls()
    }


@of("evaluator")
def test_a_declaration_is_whole(option):
    metrics = option.plugin.metrics
    names = [m.name for m in all_of(metrics)]
    assert len(names) == len(set(names))
    for m in all_of(metrics):
        assert m.better in ("higher", "lower")
        assert m.unit
        if isinstance(m.null, str) and m.null != PERMUTED:
            known = m.null in names or find(metrics, m.null)
            assert known, f"{m.name}: its null {m.null} is not declared"


@of("evaluator")
def test_a_sentence_needs_no_name_of_a_metric(option):
    for m in option.plugin.metrics:
        assert 20 < len(m.sentence) <= 120, m.name
        assert m.sentence[0].isupper(), m.name
        assert m.sentence.endswith("."), m.name
        assert not JARGON.search(m.sentence), f"{m.name}: {m.sentence}"


def test_every_declaration_is_read_without_importing_its_evaluator():
    read = declared_metrics([conf_dir()])
    built = {o.name: o.plugin.metrics for o in OPTIONS if o.kind == "evaluator"}
    assert read == built, "write `metrics` with literals, Metric, fraction and PERMUTED"
