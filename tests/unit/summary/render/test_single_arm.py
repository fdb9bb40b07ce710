"""What a run of one arm prints."""

import io

from rich.console import Console

from tests.unit.summary.builder import method, record
from trustbench.store.records import PluginSpec
from trustbench.summary.render.single_arm import single_arm


def printed(renderable, width=120):
    console = Console(file=io.StringIO(), width=width)
    console.print(renderable)
    return console.file.getvalue()


def test_a_void_claim_prints_no_number():
    rec = record(method("dpsgd", epsilon=3.0), facts={"epsilon": 2.98, "accountant": "prv"})
    void = rec.privacy[0].model_copy(update={"epsilon": None, "void": "scaffold answers alone"})
    bare = rec.model_copy(update={"privacy": [void], "facts": {}})
    text = printed(single_arm(bare))
    assert "privacy claim void: scaffold answers" in text
    assert "2.98" not in text


def test_single_arm_prints_every_measurement_with_its_interval():
    rec = record(method("dpsgd", epsilon=3.0), facts={"epsilon": 2.98})
    text = printed(single_arm(rec))
    for evaluation in rec.evaluations.values():
        for name, m in evaluation.measurements.items():
            [line] = [x for x in text.splitlines() if f"{evaluation.evaluator.name}/{name} " in x]
            assert f"{sum(m.values) / 16:.3f}" in line
            assert " 16 " in line
    assert "dpsgd epsilon=3" in text
    said = " ".join(text.split())
    assert "Privacy: epsilon 2.98 at delta 0.001 (prv): one training member more or less" in said
    assert "epsilon=2.98" not in text, "no number without its scope"
    assert "fidelity_gap: unsupported (needs released explanations or sets)" in text


def test_single_arm_of_one_replicate_has_no_interval():
    assert "needs 2 replicates" in printed(single_arm(record(replicates=1)))


def test_single_arm_says_why_it_failed():
    rec = record(status="failed", reason="3 of 16 replicates diverged")
    assert "failed: 3 of 16 replicates diverged" in printed(single_arm(rec))


def test_two_evaluations_of_one_evaluator_are_told_apart_and_only_what_was_asked_is_printed():
    rec = record()
    plain = rec.evaluations["fairness-s1"]
    spec = {"name": "fairness", "params": {"min_group": 5, "min_cell": 1}}
    wide = PluginSpec(**spec, registered={"min_group": 20, "min_cell": 10})
    both = rec.model_copy(
        update={"evaluations": {"a": plain, "b": plain.model_copy(update={"evaluator": wide})}}
    )
    text = printed(single_arm(both))
    assert text.count("fairness/acc_gap ") == 2
    assert text.count("fairness/acc_gap (min_group=5 min_cell=1) ") == 1
    assert "not at its registered settings (min_group=20 min_cell=10)." in " ".join(text.split())
    alone = printed(single_arm(both, ["a"]))
    assert alone.count("fairness/acc_gap") == 1
    assert "min_group" not in alone
