"""Datasheets say what records know of a data set, with the record's id beside each number."""

import re

import numpy as np
import pytest

from tests.unit.summary.builder import DIGITS, R, record
from tests.unit.summary.cards.datasheets import SECTIONS, SETTINGS, made, page, records, rows
from tests.unit.summary.cards.test_card import front, section


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
