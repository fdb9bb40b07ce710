import pytest

from tests.unit.summary.builder import full_table, method, record
from trustbench.errors import UserError
from trustbench.summary.table.grouping import group_records

DP3, DP8 = method("dpsgd", epsilon=3.0), method("dpsgd", epsilon=8.0)


def test_one_group_holds_both_regimes():
    [group] = group_records(full_table())
    assert set(group.training) == {"tuned", "memorising"}
    assert group.baseline("tuned").ids == ("digits-none-none-tuned-0",)
    assert group.reseed("memorising").ids == ("digits-none-reseed-memorising-0",)
    assert group.classes == 10


def test_matched_goes_with_its_treated_arm():
    [group] = group_records([record(), record(DP3), record(DP8), record(DP3, control="matched")])
    by_label = {a.label: a for a in group.treated()}
    assert group.matched(by_label["dpsgd epsilon=3"]).ids == ("digits-dpsgd3.0-matched-tuned-0",)
    assert group.matched(by_label["dpsgd epsilon=8"]) is None


def test_order_of_interventions_does_not_matter():
    pgd = method("pgd_at", epsilon=0.1)
    [group] = group_records(
        [record(DP3, pgd, seed=0), record(pgd, DP3, seed=1, fingerprint="other")]
    )
    [arm] = group.arms
    assert sorted(arm.records) == [0, 1]


def test_datasets_models_and_protocols_are_separate_tables():
    groups = group_records(
        [
            record(),
            record(dataset="adult", dataset_params={"sensitive": "sex"}),
            record(dataset="adult", dataset_params={"sensitive": "race"}, ident="race"),
            record(replicates=4, ident="r4"),
        ]
    )
    assert [(g.dataset.name, g.variant) for g in groups] == [
        ("adult", "dataset.sensitive=race"),
        ("adult", "dataset.sensitive=sex"),
        ("digits", "protocol.replicates=16"),
        ("digits", "protocol.replicates=4"),
    ]


def test_two_trainings_of_a_regime_are_two_tables_that_share_the_other_regime():
    longer = {"regime": "tuned", "epochs": 80, "lr": 0.1}
    groups = group_records(
        [record(), record(training=longer, ident="long"), record(regime="memorising")]
    )
    assert [g.variant for g in groups] == ["tuned.epochs=40", "tuned.epochs=80"]
    assert all(g.baseline("memorising") for g in groups)


def test_arms_of_equal_dose_are_told_apart_by_what_differs():
    spec = method("dpsgd", epsilon=3.0)
    clipped = [spec.model_copy(update={"params": {"epsilon": 3.0, "clip": c}}) for c in (0.5, 1.0)]
    [group] = group_records([record(c, ident=f"c{i}") for i, c in enumerate(clipped)])
    assert [a.label for a in group.arms] == [
        "dpsgd epsilon=3 dpsgd.clip=0.5",
        "dpsgd epsilon=3 dpsgd.clip=1",
    ]


def test_an_arm_is_told_from_those_of_other_tables_in_all_of_its_regimes():
    longer = {"regime": "tuned", "epochs": 80, "lr": 0.1}
    memorising = [record(regime="memorising"), record(DP3, regime="memorising")]
    groups = group_records(
        [record(), record(DP3), record(training=longer, ident="long"), *memorising]
    )
    assert [{(a.regime, a.label) for a in g.arms} for g in groups] == [
        {
            *((r, f"none (tuned.epochs={n})") for r in ("tuned", "memorising")),
            *((r, f"dpsgd epsilon=3 (tuned.epochs={n})") for r in regimes),
        }
        for n, regimes in ((40, ("tuned", "memorising")), (80, ("memorising",)))
    ]


def test_a_table_of_one_regime_calls_its_settings_those_of_training():
    rates = [{"regime": "tuned", "epochs": 40, "lr": lr} for lr in (0.01, 0.1)]
    groups = group_records([record(training=t, ident=str(t["lr"])) for t in rates])
    assert [a.label for g in groups for a in g.arms] == [
        "none (training.lr=0.01)",
        "none (training.lr=0.1)",
    ]


def test_doses_sort_as_numbers():
    doses = [method("dpsgd", epsilon=e) for e in (10.0, 8.0, 3.0)]
    [group] = group_records([record(d) for d in doses])
    assert [a.dose["epsilon"] for a in group.arms] == [3.0, 8.0, 10.0]


def test_two_settings_of_an_evaluator_are_refused_unless_one_is_chosen():
    records = [record(settings="s1"), record(DP3, settings="s2")]
    with pytest.raises(UserError, match=r"2 evaluations of .* different settings: .*-s1 .*-s2"):
        group_records(records)
    chosen = [f"{e}-s1" for e in ("fairness", "utility")]
    [group] = group_records(records, chosen)
    assert group.evaluations == {"fairness": "fairness-s1", "utility": "utility-s1"}


def test_the_newest_plugin_version_is_read_and_said():
    old = record(method("dpsgd", version=1, epsilon=3.0), ident="old")
    new = record(method("dpsgd", version=2, epsilon=3.0), ident="new")
    [group] = group_records([record(), old, new])
    [arm] = group.treated()
    assert arm.ids == ("new",)
    assert any("old" in note for note in group.notes)


def test_a_finished_record_is_read_before_a_failed_one():
    failed = record(DP3, status="failed", reason="x", engine="opacus", ident="bad")
    [group] = group_records([record(), failed, record(DP3, ident="good")])
    assert group.treated()[0].ids == ("good",)


def test_records_before_and_after_a_plugins_change_are_refused():
    old, new = (DP3.model_copy(update={"fingerprints": {"source": s}}) for s in ("a", "b"))
    with pytest.raises(UserError, match=r"a, b are the same arm .* before and after a change"):
        group_records([record(), record(old, ident="a"), record(new, ident="b")])


def test_records_that_only_differ_in_the_engine_are_refused():
    with pytest.raises(UserError, match=r"a, b are the same arm .* opacus, stacked"):
        group_records([record(DP3, ident="a"), record(DP3, ident="b", engine="opacus")])


def test_different_data_cannot_be_paired():
    with pytest.raises(UserError, match="different data under the same dataset settings"):
        group_records([record(), record(DP3, fingerprint="else")])


def test_regimes_may_cut_the_pool_differently():
    """The memorising regime of a large data set trains on a part of its pool."""
    arms = [record(), record(DP3), record(regime="memorising", fingerprint="cut")]
    [group] = group_records([*arms, record(DP3, regime="memorising", fingerprint="cut")])
    assert {a.regime for a in group.treated()} == {"tuned", "memorising"}


def test_three_and_three_point_zero_are_one_dose():
    matched = record(method("dpsgd", epsilon=3), control="matched")
    [group] = group_records([record(), record(DP3), matched])
    [arm] = group.treated()
    assert group.matched(arm) is not None
