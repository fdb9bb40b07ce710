"""Records of older versions: asked for again, they say what they did not say, and stay measured."""

from dataclasses import replace

import pytest

from tests.unit.arm_toys import ACCURACY, DP, Accuracy, Release, run
from trustbench.config.arms import Chosen
from trustbench.config.identity import evaluation_id
from trustbench.execution.measure import finished
from trustbench.execution.plan import plan
from trustbench.store.records import Store

CLAIMS = ("epsilon", "delta", "accountant")


def aged(arm, record, **changes):
    """The record as a version without the ledger would have stored it."""
    evaluations = {
        k: e.model_copy(update={"evaluator": e.evaluator.model_copy(update={"registered": None})})
        for k, e in record.evaluations.items()
    }
    update = {"privacy": None, "evaluations": evaluations, **changes}
    return Store(arm.output_dir).write(record.model_copy(update=update))


def test_a_record_without_a_ledger_gets_one_and_nothing_is_measured_again(arm):
    private = replace(arm, interventions=(DP,))
    whole, _ = run(private)
    assert whole.privacy[0].epsilon == whole.facts["epsilon"]
    old = aged(private, whole, facts={**whole.facts, "epsilon": 0.5, "accountant": "gdp"})
    assert b'"registered"' not in _bytes(private, old)
    assert finished(plan(private), Store(private.output_dir)) is None
    again, reused = run(private)
    assert reused
    assert again == whole, "ledger, facts and settings are as if written today"
    assert again == Store(private.output_dir).read(whole.id)
    assert finished(plan(private), Store(private.output_dir)) == whole


def test_a_void_claim_takes_the_old_number_with_it(arm):
    private = replace(arm, interventions=(DP, Chosen("release", Undeclared())))
    whole, _ = run(private)
    assert whole.privacy[0].void
    old = aged(private, whole, facts={**whole.facts, "epsilon": 3.9, "delta": 1e-3})
    assert not set(CLAIMS) & set(old.declared), "an old claim is not shown either"
    again, reused = run(private)
    assert reused
    assert again.privacy == whole.privacy
    assert not set(CLAIMS) & set(again.facts)


class Undeclared(Release):
    reads_rows = None


def test_an_older_evaluation_says_its_settings_when_another_is_added(arm):
    wide = replace(arm, evaluators=(Chosen("accuracy", Accuracy(points=7)),))
    first, _ = run(wide)
    [key] = first.evaluations
    assert first.evaluations[key].evaluator.registered == {"points": 0}
    old = aged(wide, first)
    assert old.evaluations[key].evaluator.registered is None
    second, reused = run(replace(wide, evaluators=(*wide.evaluators, ACCURACY)))
    assert not reused
    assert second.evaluations[key] == first.evaluations[key]
    assert second.evaluations[evaluation_id(ACCURACY)].evaluator.registered == {}


@pytest.mark.parametrize("points", [0, 3])
def test_the_id_of_an_evaluation_does_not_depend_on_what_is_registered(points):
    spec = Chosen("accuracy", Accuracy(points=points)).spec()
    assert spec.registered == ({"points": 0} if points else {})
    bare = spec.model_copy(update={"registered": None})
    assert "registered" not in bare.model_dump()


def _bytes(arm, record):
    return (Store(arm.output_dir).arm_dir(record.id) / "record.json").read_bytes()
