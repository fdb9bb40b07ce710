"""A datasheet's front matter, odd names in it, and what has no datasheet."""

import re

import numpy as np
import pytest
import yaml

from tests.unit.summary.builder import DIGITS, R
from tests.unit.summary.cards.datasheets import DP, SECTIONS, made, page, records
from tests.unit.summary.cards.test_card import CARD, HOSTILE, front
from trustbench.errors import UserError
from trustbench.store.records import Evaluation, PluginSpec
from trustbench.summary.cards.data_front_matter import LICENCES

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
