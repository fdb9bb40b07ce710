"""The utility floor on models that are trained: diverged, healthy, and private ones."""

import pytest

from trustbench.config.compose import compose, composed_arm, conf_dir
from trustbench.execution.arm import run_arm
from trustbench.store.records import Store
from trustbench.summary.stats.effects import Kind
from trustbench.summary.table.registry import load_table
from trustbench.summary.table.table import summarize

TABLE = load_table(conf_dir() / "table" / "cresswell.yaml")


def table_of(folder, *overrides):
    """A small study of DP-SGD on digits: its table."""
    store, records = Store(folder), []
    for intervention in ("none", "dpsgd"):
        config = compose([
            f"intervention={intervention}", "evaluator=[utility,fairness]", "device=cpu",
            "protocol.replicates=4", f"output_dir={folder}", *overrides,
        ])  # fmt: skip
        records.append(run_arm(composed_arm(config), store, lambda *_: None)[0])
    [result] = summarize(records, TABLE)
    return result


def numbers(result):
    """The cells that claim an effect, by name."""
    return {c.name: c for c in (*result.cells, *result.utility) if c.estimate.effect}


@pytest.mark.parametrize("regime", ["tuned", "memorising"])
def test_a_baseline_that_diverged_makes_no_method_look_good(regime, tmp_path):
    result = table_of(tmp_path, "training.lr=100", "training.epochs=5", f"training={regime}")
    assert not numbers(result)
    assert not [e for a in result.arms for e in a.estimates.values() if e.effect]
    if regime == "tuned":
        utility = result.utility[1]
        assert utility.verdict.kind is Kind.NOT_APPLICABLE
        assert utility.verdict.detail.startswith("baseline undertrained: accuracy 0.1")


def test_one_epoch_is_too_little_for_a_baseline(tmp_path):
    assert not numbers(table_of(tmp_path, "training.epochs=1"))


def test_healthy_models_are_compared_and_a_private_one_below_the_floor_is_marked(tmp_path):
    found = numbers(table_of(tmp_path, "training.epochs=20"))
    assert found["P→utility"].verdict.kind is Kind.HARM
    assert found["P→F"].estimate.below_floor.startswith("accuracy 0.8")
