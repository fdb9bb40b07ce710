"""The list of a sweep's arms, where two sweeps of one experiment run at the same time."""

from dataclasses import replace

import pytest

from trustbench.api.sweeps import keep_manifest
from trustbench.config.compose import RunRequest, compose, composed_arm, conf_dir
from trustbench.execution.job import ArmOutcome
from trustbench.store.manifests import manifest_digest
from trustbench.store.records import Store


@pytest.fixture
def request_of(tmp_path):
    """A sweep of one arm, which begins now."""
    arm = replace(composed_arm(compose(["evaluator=utility"])), output_dir=tmp_path)

    def begin():
        manifest = manifest_digest(Store(tmp_path), "mine")
        table = conf_dir() / "table" / "cresswell.yaml"
        return RunRequest({"a": arm}, "mine", table, sweep=True, manifest=manifest)

    return begin


def ended(arm_id, evaluation):
    return [ArmOutcome(arm_id * 16, "none", "ok", evaluations=(evaluation,))]


def test_two_sweeps_at_once_leave_the_list_of_both(request_of, tmp_path):
    one, other = request_of(), request_of()
    keep_manifest(one, ended("a", "utility-1"))
    both = keep_manifest(other, ended("a", "fairness-1"))
    assert both.evaluations == ["utility-1", "fairness-1"]
    assert both.arms == ["a" * 16]
    assert Store(tmp_path).sweep("mine") == both


def test_a_later_sweep_has_its_own_list(request_of, tmp_path):
    keep_manifest(request_of(), ended("a", "utility-1"))
    last = keep_manifest(request_of(), ended("b", "fairness-1"))
    assert (last.arms, last.evaluations) == (["b" * 16], ["fairness-1"])


def test_a_list_that_was_damaged_meanwhile_is_set_aside(request_of, tmp_path):
    began = request_of()
    path = Store(tmp_path).sweep_file("mine")
    path.parent.mkdir(parents=True)
    path.write_text("{")
    kept = keep_manifest(began, ended("a", "utility-1"))
    assert Store(tmp_path).sweep("mine") == kept
    assert list(path.parent.glob("*.damaged"))
