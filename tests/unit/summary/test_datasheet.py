"""Datasheets say what records know of a data set, with the record's id beside each number."""

import re

import numpy as np
import pytest
import yaml

from tests.unit.summary.builder import CRESSWELL, DIGITS, TRAINING, R, method, record
from tests.unit.summary.test_card import CARD, HOSTILE, described, front, section
from trustbench.errors import UserError
from trustbench.records import Evaluation, PluginSpec
from trustbench.summary.datasheet import datasheet
from trustbench.summary.figures import mean_of
from trustbench.summary.render.data_front_matter import LICENCES
from trustbench.summary.render.datasheet import markdown
from trustbench.summary.render.sheets import interval

DP = method("dpsgd", epsilon=3.0)
SETTINGS = {"rare": 8, "keep": 0.3, "folder": "here"}
CUT = {**TRAINING["memorising"], "max_members": 200}
SECTIONS = [
    "Motivation",
    "Composition",
    "Collection process",
    "Preprocessing",
    "Uses",
    "Distribution",
    "Maintenance",
    "What was measured on it",
]


def made(*interventions, sizes=None, card=None, **options):
    """A record with a data set card and settings."""
    found = record(*interventions, **{"dataset_params": SETTINGS, **options})
    if found.problem is None:
        return found
    found = described(found, **(card or {}))
    more = {"sizes": sizes or {"train": 900, "calibration": 200, "test": 500, "members": 450}}
    return found.model_copy(update={"problem": found.problem.model_copy(update=more)})


def records():
    """Baseline, method and control on one version of the data; on a cut one; with another seed."""
    small = {"train": 400, "calibration": 200, "test": 500, "members": 199}
    cut = {"regime": "memorising", "training": CUT, "sizes": small}
    return [
        made(DP),
        made(),
        made(control="reseed"),
        made(DP, **cut),
        made(**cut),
        made(seed=1),
        made(DP, seed=1, status="failed", reason="diverged"),
    ]


def nothing(ident):
    return {}


def page(found=None, load=nothing, name=None):
    return markdown(datasheet(records() if found is None else found, load, CRESSWELL, name))


def rows(text, head):
    """The cells of the table whose first column has a heading."""
    lines = text.split(f"\n| {head} |", 1)[1].splitlines()[2:]
    table = lines[: next((i for i, x in enumerate(lines) if not x.startswith("|")), None)]
    return [[c.strip() for c in re.split(r"(?<!\\)\|", x)[1:-1]] for x in table]


def test_every_section_is_there_in_the_order_of_the_reference():
    assert re.findall(r"^## (.*)$", page(), re.M) == SECTIONS


def test_every_number_stands_beside_a_record_that_is_there():
    found = records()
    arrays = {"fairness-s1/group_accuracy": np.full((R, 10), 0.5)}
    body = page(found, lambda ident: arrays).split("\n---\n", 1)[1]
    lines = [
        x
        for x in body.splitlines()
        if re.search(r"\d", re.sub(r"2021|arXiv 1803\.09010|95 %", "", x))
    ]
    assert len(lines) > 40
    for line in lines:
        named = set(re.findall(r"`([^` ]+)`", line)) & {r.id for r in found}
        assert named, f"no record is named beside {line!r}"


def test_one_row_of_composition_for_each_fingerprint_with_settings_and_sizes():
    found = records()
    table = rows(section(page(found), "Composition"), "settings")
    assert [(r[1], r[2], r[3], r[6]) for r in table] == [
        ("0", "tuned", "900", "450"),
        ("0", "memorising", "400", "199"),
        ("1", "tuned", "900", "450"),
    ]
    assert {r[0] for r in table} == {"rare=8, keep=0.3, folder=here"}
    for row, index in zip(table, (1, 4, 5), strict=True):
        assert row[-2:] == [f"`{found[index].problem.fingerprint}`", f"`{found[index].id}`"]


def test_settings_that_make_the_same_data_share_a_row():
    same = [made(dataset_params=p, fingerprint="f1") for p in ({"rare": None}, {"keep": 0.5})]
    same[1] = same[1].model_copy(update={"id": "other"})
    (row,) = rows(section(page(same), "Composition"), "settings")
    assert sorted(row[0].split("; ")) == ["keep=0.5", "rare=None"]


def test_sizes_that_one_record_does_not_have_are_not_known():
    found = [made(), made(seed=1, sizes={"train": 900, "test": 500})]
    table = rows(section(page(found), "Composition"), "settings")
    assert [r[4] for r in table] == ["200", "not known"]


def test_groups_come_with_their_test_rows_once_for_each_division():
    found = records()
    table = rows(section(page(found), "Composition"), "groups by")
    assert table == [["class", d, "50", f"`{found[1].id}`"] for d in DIGITS]
    sex = {"group_name": "sex", "groups": ["a", "b"], "group_sizes": {"a": 300, "b": 200}}
    other = made(seed=2)
    other = other.model_copy(update={"problem": other.problem.model_copy(update=sex)})
    text = section(page([*found, other]), "Composition")
    assert rows(text, "groups by")[10:] == [
        ["sex", "a", "300", f"`{other.id}`"],
        ["sex", "b", "200", f"`{other.id}`"],
    ]
    assert "rows of each class, rows of each group" in text


RARE = "the class, counted from 0, that is made rare in the training pool"
KEEP = "the share of the rare class's rows that stay in the training pool"
NONE = "no class is made rare"


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"rare": 8, "keep": 0.1}, {"rare": RARE, "keep": KEEP}),
        ({"rare": None, "keep": 0.1}, {"rare": NONE, "keep": f"nothing here: {NONE}"}),
        ({"minority": 0.15}, {"minority": "the share that the smaller group is drawn with"}),
        ({"subsample": 500}, {"subsample": "how many rows are taken in all"}),
        ({"subsample": None}, {"subsample": "every row is taken"}),
        ({"sensitive": "sex"}, {"sensitive": ""}),
    ],
)
def test_preprocessing_says_what_settings_decide(params, expected):
    found = made(dataset_params=params)
    table = rows(section(page([found]), "Preprocessing"), "setting")
    assert {r[0]: r[2] for r in table} == expected
    assert {r[3] for r in table} == {f"`{found.id}`"}


def test_unequal_settings_come_first_and_each_value_once():
    found = [*records(), made(dataset_params={**SETTINGS, "keep": 0.1}, ident="tenth")]
    table = rows(section(page(found), "Preprocessing"), "setting")
    assert [r[:2] for r in table] == [
        ["rare", "8"],
        ["keep", "0.1"],
        ["keep", "0.3"],
        ["folder", "here"],
    ]
    assert [r[3] for r in table][:3] == ["`tenth`", "`tenth`", f"`{found[1].id}`"]


def test_trainings_that_cut_the_pool_are_told():
    text = section(page(), "Preprocessing")
    assert f"at most 200 rows for a replicate (`max_members`, record `{records()[4].id}`)" in text
    assert "its own random half of the training pool (`inclusion`: half" in text


def test_uses_have_known_harms_and_what_is_out_of_scope():
    text = section(page([made(card={"known_harms": "arrests, not crimes"})]), "Uses")
    assert "- Known harms: arrests, not crimes (record `digits-none-none-tuned-0`)" in text
    assert "- Out of scope: decisions about people; other data" in text
    assert "synthetic" not in text


def test_synthetic_data_are_called_that():
    text = page([made(card={"synthetic": True})])
    assert "Nothing was collected: the data are synthetic" in section(text, "Collection process")
    assert "statements about the world: the data are synthetic" in section(text, "Uses")
    assert "- Synthetic: yes (record" in section(text, "Composition")
    assert front(text)["tags"] == ["trustbench", "synthetic"]
    assert "consented" not in section(text, "Collection process")
    mixed = section(page([made(), made(seed=1, card={"synthetic": True})]), "Collection process")
    assert "synthetic (record `digits-none-none-tuned-1`)" in mixed
    assert "consented" in mixed
    assert "Nothing was collected" not in page()


def test_what_cards_say_differently_is_told_of_each_record():
    text = section(page([made(), made(seed=1, card={"licence": "MIT"})]), "Distribution")
    assert [x for x in text.splitlines() if x.startswith("- Licence")] == [
        "- Licence of the data: CC BY 4.0 (record `digits-none-none-tuned-0`)",
        "- Licence of the data: MIT (record `digits-none-none-tuned-1`)",
    ]


def test_what_no_record_knows_is_one_plain_line_in_each_section():
    text = page()
    for name in SECTIONS[:-1]:
        lines = section(text, name).splitlines()
        assert sum(x.startswith("- Not known from the records: ") for x in lines) == 1, name
    bare = page([record()])  # an older record without a card
    for name in ("Description", "Synthetic", "Known harms", "Licence of the data", "Reference"):
        assert f"- {name}: not known from the records" in bare
    assert "license" not in front(bare)


def test_the_baselines_primary_metrics_are_those_of_the_records():
    found = records()
    text = section(page(found), "What was measured on it")
    table = {(r[1], r[2], r[4]): r for r in rows(text, "model")}
    assert len(table) == 6  # two targets of three baselines
    for each, key in ((found[1], ("tuned", "0")), (found[4], ("memorising", "0"))):
        for metric in ("fairness/acc_gap", "utility/accuracy"):
            evaluator, name = metric.split("/")
            m = each.evaluations[f"{evaluator}-s1"].measurements[name]
            row = table[(*key, metric.replace("_", r"\_"))]
            assert row[5:] == [
                f"{interval(mean_of(m))} fraction",
                "higher" if m.higher_is_better else "lower",
                str(m.n),
                f"`{each.id}`, {evaluator}-s1",
            ]


def test_two_classes_have_the_binary_metric():
    text = section(page([made(classes=("no", "yes"))]), "What was measured on it")
    assert [r[4] for r in rows(text, "model")] == [r"fairness/eo\_gap", "utility/accuracy"]


def test_settings_of_an_evaluator_each_have_their_row():
    one, two = made(), made(settings="s2", shift={"utility/accuracy": -0.5})
    both = one.model_copy(update={"evaluations": {**one.evaluations, **two.evaluations}})
    table = rows(section(page([both]), "What was measured on it"), "model")
    assert [r[8].split(", ")[1] for r in table] == [
        f"{e}-{s}" for e in ("fairness", "utility") for s in ("s1", "s2")
    ]


def test_what_a_baseline_lacks_is_told_with_its_reason():
    lone = made(drop=("fairness",))
    failed = Evaluation(evaluator=PluginSpec(name="fairness"), status="failed", reason="no rows")
    more = {"evaluations": {**lone.evaluations, "fairness-s1": failed}}
    for each, why in ((lone, "not measured"), (lone.model_copy(update=more), "no rows")):
        (row, _) = rows(section(page([each]), "What was measured on it"), "model")
        assert why in row[5]
        assert row[8] == f"`{each.id}`"


def test_performance_by_group_is_read_from_the_baselines_arrays_only():
    found, asked = records(), []
    accuracy = np.linspace(0.8, 0.9, R)[:, None] * np.ones(10)
    accuracy[:, 3] = np.nan  # a group with too few rows

    def load(ident):
        asked.append(ident)
        return {
            "fairness-s1/group_accuracy": accuracy,
            "privacy-s1/lira_auc_group_2": np.full(R, 0.61),  # of no column that is shown here
        }

    text = section(page(found, load), "What was measured on it").split("By group:")[1]
    assert asked == [found[i].id for i in (1, 4, 5)]
    table = rows(text, "model")
    assert len(table) == 30
    assert {r[5] for r in table} == {"fairness/accuracy"}
    assert table[2][3:] == [
        "2", "50", "fairness/accuracy",
        table[0][6], f"`{found[1].id}`, fairness-s1",
    ]  # fmt: skip
    assert table[2][6].startswith("0.85 [")
    assert table[3][6] == "not measured (too few rows)"
    assert "No metric by group is stored" in page(found)


def test_every_record_can_be_found_with_its_method_and_status():
    found = [*records(), made(method("dpsgd", epsilon=8.0))]
    text = section(page(found), "What was measured on it")
    table = rows(text, "method")
    assert {r[6] for r in table} == {f"`{r.id}`" for r in found}
    assert ["dpsgd epsilon=3", "none", "mlp", "tuned", "1", "failed"] in [r[:6] for r in table]
    assert table[-1][:2] == ["none", "reseed"]  # controls last
    assert r"dpsgd epsilon=8" in {r[0] for r in table}


def test_without_a_baseline_that_is_said():
    text = section(page([made(DP)]), "What was measured on it")
    assert "No baseline (no method, no control) was measured." in text
    assert "dpsgd epsilon=3" in text


# --- front matter ------------------------------------------------------------------------------


def with_rows(found, facts=None, arrays=()):
    kept = Evaluation(
        evaluator=PluginSpec(name="examples"), status="ok", facts=facts or {}, arrays=list(arrays)
    )
    return found.model_copy(update={"evaluations": {**found.evaluations, "examples-s1": kept}})


def test_the_front_matter_has_the_keys_that_records_know():
    data = front(page())
    assert data == {
        "license": "cc-by-4.0",
        "pretty_name": "digits",
        "tags": ["trustbench"],
        "size_categories": ["1K<n<10K"],
    }


def test_the_size_is_that_of_the_largest_use_and_members_are_no_rows_of_their_own():
    sizes = {"train": 500, "test": 300, "members": 250}
    found = [made(sizes=sizes), made(seed=1, sizes={**sizes, "train": 100})]
    assert front(page(found))["size_categories"] == ["n<1K"]
    assert front(page([*found, made(seed=2)]))["size_categories"] == ["1K<n<10K"]


@pytest.mark.parametrize(
    ("facts", "arrays", "task"),
    [
        ({"features": "[]"}, (), ["tabular-classification"]),
        ({}, ("pictures", "rows"), ["image-classification"]),
        ({}, (), None),
    ],
)
def test_the_task_is_told_where_a_record_shows_what_a_row_is(facts, arrays, task):
    text = page([made(), with_rows(made(DP), facts, arrays)])
    assert front(text).get("task_categories") == task


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["none stated; published by X"], {"license": "unknown"}),
        (["on request"], {"license": "other", "license_details": "on request"}),
        (["MIT", "on request"],
         {"license": ["mit", "other"], "license_details": "on request"}),
        (["cc  by-sa 3.0"], {"license": "cc-by-sa-3.0"}),
        (["MIT, but not the photographs"],
         {"license": "other", "license_details": "MIT, but not the photographs"}),
    ],
)  # fmt: skip
def test_licences_are_the_hubs_identifiers(texts, expected):
    found = [made(seed=i, card={"licence": t}) for i, t in enumerate(texts)]
    data = front(page(found))
    assert {k: data[k] for k in data if k.startswith("license")} == expected


def test_our_own_data_sets_licences_are_understood_or_other():
    assert {
        LICENCES.get(t.casefold()) for t in (CARD["licence"], "Apache-2.0, as this package")
    } == {
        "cc-by-4.0",
        "apache-2.0",
    }


def test_odd_names_stay_text():
    names = [HOSTILE, *DIGITS[1:]]
    problem = {
        "classes": names,
        "groups": names,
        "group_name": HOSTILE,
        "group_sizes": dict.fromkeys(names, 50),
        "sizes": {"train": 900, HOSTILE: 3},
        "card": {**dict.fromkeys(CARD, HOSTILE), HOSTILE: HOSTILE},
    }
    hostile = []
    for each in records()[:3]:
        arm = each.arm.model_copy(
            update={
                "dataset": PluginSpec(name=HOSTILE, params={HOSTILE: HOSTILE, "keep": HOSTILE}),
                "model": PluginSpec(name=HOSTILE),
                "training": {"regime": HOSTILE, "max_members": HOSTILE},
                "protocol": {"inclusion": HOSTILE},
            }
        )
        spec = each.problem.model_copy(update=problem)
        ident = f"{each.id}` | x\n---\n## y"
        hostile.append(each.model_copy(update={"arm": arm, "problem": spec, "id": ident}))
    arrays = {"fairness-s1/group_accuracy": np.full((R, 10), 0.5)}
    text = page(hostile, lambda ident: arrays)
    data = front(text)  # nothing of a name ends the front matter
    assert "\n" not in data["pretty_name"]
    assert data["license"] == "other"
    _, _, body = text.split("---\n", 2)
    assert "alert(1)" in body
    assert "---" not in body.splitlines()
    assert "<script>" not in body
    assert not re.search(r"(?<!\\)\]\(http", body)
    assert "@all" not in body
    assert "\x1b" not in body
    assert re.findall(r"^## (.*)$", body, re.M) == SECTIONS
    for lines in re.findall(r"(?:^\|.*\n)+", body, re.M):  # every row has its table's columns
        assert len({len(re.findall(r"(?<!\\)\|", x)) for x in lines.splitlines()}) == 1


# --- refusals ----------------------------------------------------------------------------------


def test_no_record_has_no_datasheet():
    with pytest.raises(UserError, match=r"there is no record to write a datasheet from; run an"):
        page([])


def test_an_unknown_data_set_is_told_with_those_there_are():
    with pytest.raises(
        UserError, match=r"no record of dataset 'digit' is stored; did you mean 'digits'\?"
    ):
        page(name="digit")


def test_two_data_sets_need_a_choice():
    found = [*records(), made(dataset="adult")]
    with pytest.raises(
        UserError, match=r"are of 2 data sets \(adult, digits\); choose one with --dataset\.$"
    ):
        page(found)
    text = page(found, name="adult")
    assert "# Datasheet of adult" in text
    assert "digits" not in text.replace(CARD["description"], "")
    assert yaml.safe_load(text.split("---")[1])["pretty_name"] == "adult"


def test_records_that_never_saw_the_data_describe_nothing():
    gone = made(status="failed", reason="no file")
    with pytest.raises(
        UserError, match=r"got as far as the data \(digits.* is failed: no file\), so there is noth"
    ):
        page([gone])
