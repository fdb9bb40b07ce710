"""What arms are called: the same everywhere, and two arms alike only if they are the same."""

import pytest

from tests.unit.summary.builder import TRAINING, method, record
from trustbench.store.labels import label, labels

DP = method("dpsgd", epsilon=3.0)


def arm(*interventions, **changes):
    return record(*interventions).arm.model_copy(update=changes)


def trained(**changes):
    return arm(training={**TRAINING["tuned"], **changes})


def test_a_label_has_methods_doses_controls_and_unusual_regimes():
    assert label(arm(DP)) == "dpsgd epsilon=3"
    assert label(arm(DP, method("pgd_at", epsilon=0.1))) == "dpsgd epsilon=3 + pgd_at epsilon=0.1"
    memorising = arm(control="reseed", training=TRAINING["memorising"])
    assert label(memorising) == "none (reseed, memorising)"


def test_settings_are_printed_where_they_tell_arms_apart():
    arms = [trained(lr=0.1), trained(lr=0.01), arm(DP)]
    assert labels(arms) == [
        "none (training.lr=0.1)",
        "none (training.lr=0.01)",
        "dpsgd epsilon=3",
    ]


def test_methods_of_one_dose_are_told_apart_by_their_own_settings():
    params = [{"epsilon": 3.0, "clip": clip} for clip in (0.5, 1.0)]
    assert labels([arm(DP.model_copy(update={"params": p})) for p in params]) == [
        "dpsgd epsilon=3 dpsgd.clip=0.5",
        "dpsgd epsilon=3 dpsgd.clip=1",
    ]


def test_arms_on_other_data_are_told_apart_by_its_name_alone():
    digits = arm(DP)
    other = digits.dataset.model_copy(update={"name": "adult", "params": {"rows": 9}})
    few = digits.dataset.model_copy(update={"params": {"rare": 2}})
    many = digits.dataset.model_copy(update={"params": {"rare": 3}})
    assert labels([arm(DP, dataset=d) for d in (few, many, other)]) == [
        "dpsgd epsilon=3 (dataset=digits, dataset.rare=2)",
        "dpsgd epsilon=3 (dataset=digits, dataset.rare=3)",
        "dpsgd epsilon=3 (dataset=adult)",
    ]


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ({"seed": 0}, {"seed": 1}),
        ({"engine": "stacked"}, {"engine": "opacus"}),
        ({"control": "none"}, {"control": "reseed"}),
        ({"protocol": {"replicates": 8}}, {"protocol": {"replicates": 16}}),
        ({"training": {"regime": "tuned", "lr": 0.1}}, {"training": {"regime": "tuned"}}),
        ({"interventions": [DP]}, {"interventions": [method("dpsgd", epsilon=3.0000001)]}),
    ],
    ids=["seed", "engine", "control", "protocol", "absent", "a digit that labels round"],
)  # fmt: skip
def test_no_two_arms_share_a_label(a, b):
    first, second = labels([arm(**a), arm(**b)])
    assert first != second
    assert labels([arm(**a), arm(**a)]) == [label(arm(**a))] * 2, "the same arm twice"
