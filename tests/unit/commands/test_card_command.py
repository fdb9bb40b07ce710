"""The command that a card says makes its arm again, and the command that makes the card."""

import shlex

import numpy as np
import pytest

from tests.unit.summary.builder import R, record
from tests.unit.summary.cards.test_card import front, records, section
from trustbench.commands import cli
from trustbench.config.compose import compose, composed_arm
from trustbench.store.records import Store
from trustbench.summary.table.reproduce import command, evaluators, overrides

pytestmark = pytest.mark.usefixtures("handmade_ids")


def test_the_command_composes_the_very_arm():
    given = [
        "intervention=[dpsgd,temperature]",
        "intervention.dpsgd.epsilon=8",
        "model.hidden=[32,16]",
        "training=memorising",
        "training.epochs=7",
        "protocol.replicates=4",
        "seed=5",
        "evaluator=[utility,robustness]",
        "evaluator.robustness.epsilon=0.05",
    ]
    arm = composed_arm(compose(given))
    like = record()
    spec = like.arm.model_copy(
        update={
            "dataset": arm.dataset.spec(),
            "model": arm.model.spec(),
            "training": {k: getattr(arm.training, k) for k in arm.training.__dataclass_fields__},
            "interventions": [i.spec() for i in arm.interventions],
            "protocol": arm.protocol.content(),
            "seed": arm.seed,
            "engine": arm.engine,
        }
    )
    some = like.evaluations["utility-s1"]
    measured = {e.name: some.model_copy(update={"evaluator": e.spec()}) for e in arm.evaluators}
    stored = like.model_copy(update={"arm": spec, "evaluations": measured})
    assert composed_arm(compose([*overrides(stored), *evaluators(stored)])) == arm
    words = shlex.split(command(stored).replace("\\\n", ""))
    assert words == ["trustbench", "run", *overrides(stored), *evaluators(stored)]


def test_the_card_of_a_stored_arm_is_written(tmp_path, capsys):
    store = Store(tmp_path / "out")
    found = records()
    store.write(found[0])
    store.write(found[1], {"fairness-s1/group_accuracy": np.full((R, 10), 0.5)})
    out = tmp_path / "CARD.md"
    args = ["card", "--from", str(store.root), "--arm", found[1].id]
    assert cli.main([*args, "--output", str(out), "--license", "mit"]) == 0
    text = out.read_text()
    assert front(text)["license"] == "mit"
    assert "0.5 [0.5, 0.5] n=16" in section(text, "Performance per group")
    assert cli.main(["card", "--from", str(store.root), "--arm", "nope"]) == 2
    assert "no record or arm 'nope' is stored" in capsys.readouterr().err
