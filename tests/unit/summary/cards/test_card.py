"""Model cards say what records hold, to the last digit, and nothing that a name smuggles in."""

import re

import numpy as np
import pytest
import yaml

from tests.unit.summary.builder import CRESSWELL, DIGITS, DP_FACTS, METRICS, R, method, record
from trustbench.errors import UserError
from trustbench.store.records import ProblemSpec, Sweep
from trustbench.summary.cards.card import card, find
from trustbench.summary.cards.card_text import markdown
from trustbench.summary.cards.markdown_parts import level
from trustbench.summary.stats.series import mean_of
from trustbench.summary.table.arm_names import arm_names

DP = method("dpsgd", epsilon=3.0)
HARM = {"fairness/acc_gap": 0.10, "utility/accuracy": -0.05}
CARD = {
    "description": "digits of 43 people",
    "known_harms": "none known",
    "licence": "CC BY 4.0",
    "reference": "Alpaydin 1998",
    "synthetic": False,
    "rows_public": True,
}


def described(found, **changes):
    """The record with a data set card."""
    problem = found.problem.model_copy(update={"card": {**CARD, **changes}})
    return found.model_copy(update={"problem": problem})


def records(**more):
    """A baseline and a private arm, both regimes."""
    facts = {**DP_FACTS, "dp_noise": "seeded"}
    out = []
    for regime in ("tuned", "memorising"):
        out += [
            record(regime=regime),
            record(DP, regime=regime, shift=HARM, noise=dict.fromkeys(METRICS, 0.002), facts=facts),
        ]
    return [described(r, **more) for r in out]


def made(found, arrays=None, index=1):
    return card(found[index], arrays or {}, found, CRESSWELL)


def page(found=None, **options):
    return markdown(made(found or records()), CRESSWELL, **options)


def front(text):
    """The front matter, as a reader of model cards finds it."""
    lines = text.splitlines()
    assert lines[0] == "---"
    return yaml.safe_load("\n".join(lines[1 : lines.index("---", 1)]))


def section(text, name):
    return text.split(f"\n## {name}\n", 1)[1].split("\n## ", 1)[0]


def test_every_section_is_there():
    found = re.findall(r"^## (.*)$", page(), re.M)
    assert found[:10] == [
        "Intended use and out of scope",
        "Data",
        "The five aspects and utility",
        "Performance per group",
        "Effects of the interventions",
        "Guarantees",
        "Limits",
        "Known interactions",
        "How to reproduce",
        "Provenance",
    ]


def test_means_are_those_of_the_record_with_their_t_interval():
    found = records()
    values = found[1].evaluations["fairness-s1"].measurements["acc_gap"]
    mean = mean_of([values])
    assert mean.effect == pytest.approx(np.mean(values.values))
    half = 2.131449545559323 * np.std(values.values, ddof=1) / np.sqrt(R)  # t, 15 df
    assert mean.high - mean.effect == pytest.approx(half)
    shown = f"{level(mean.effect)} [{level(mean.low)}, {level(mean.high)}] n=16 fraction"
    (row,) = [r for r in page(found).splitlines() if r.startswith(r"| fairness | **fairness/acc\_")]
    assert shown in row
    assert f"`{found[1].id}`, fairness-s1" in row


def test_dependent_values_rest_on_their_pseudo_values():
    m = records()[1].evaluations["privacy-s1"].measurements["lira_auc"]
    wide = np.linspace(-1, 1, R) + np.mean(m.values)
    assert mean_of([m.model_copy(update={"pseudo": wide.tolist()})]).sd == pytest.approx(
        wide.std(ddof=1)
    )


def test_the_front_matter_parses_and_holds_the_records_numbers():
    found = records()
    data = front(page(found, licence="apache-2.0"))
    assert data["license"] == "apache-2.0"
    assert data["datasets"] == ["digits"]
    assert data["tags"] == ["trustbench", "dpsgd", "privacy"]
    (model,) = data["model-index"]
    (result,) = model["results"]
    assert result["dataset"]["revision"] == found[1].problem.fingerprint
    assert result["source"]["name"] == f"trustbench record {found[1].id}"
    numbers = {m["name"]: m for m in result["metrics"]}
    accuracy = found[1].evaluations["utility-s1"].measurements["accuracy"]
    assert numbers["utility/accuracy"]["value"] == pytest.approx(
        np.mean(accuracy.values), abs=1e-15
    )
    assert numbers["utility/accuracy"]["args"]["rows"] == accuracy.n
    assert "license" not in front(page(found))


def test_effects_name_both_records_and_the_registered_regime():
    found = records()
    text = section(page(found), "Effects of the interventions")
    (fair,) = [r for r in text.splitlines() if r.startswith(r"| fairness | fairness/acc\_gap")]
    assert re.search(r"\+0\.1\d\d \[|\+0\.09\d \[|\+0\.10\d \[", fair)
    assert "harm" in fair
    assert all(f"`{r.id}`" in fair for r in found[:2])
    privacy = [r for r in text.splitlines() if r.startswith("| privacy")]
    assert [("tuned" in r, "memorising" in r.split("|")[3]) for r in privacy] == [
        (True, False),
        (False, True),
    ]


def test_without_a_baseline_there_are_no_effects():
    lone = records()[1]
    text = markdown(card(lone, {}, [lone], CRESSWELL), CRESSWELL)
    assert "the store has no baseline arm" in section(text, "Effects of the interventions")


def test_the_baseline_and_controls_have_no_effects():
    found = records()
    baseline = markdown(made(found, index=0), CRESSWELL)
    assert "this arm is the baseline" in section(baseline, "Effects of the interventions")
    assert "the arm has no intervention" in section(baseline, "Known interactions")
    control = described(record(control="reseed"))
    text = markdown(card(control, {}, [*found, control], CRESSWELL), CRESSWELL)
    assert "reseed control of a study" in text


def test_seeded_noise_must_not_be_released():
    text = section(page(), "Guarantees")
    assert "epsilon 2.98 at delta 0.001 (prv): one training member more or less" in text
    assert "taken as public: the number of members" in text
    assert "must not be released" in text
    system = records()
    system[1] = system[1].model_copy(update={"facts": {**DP_FACTS, "dp_noise": "system"}})
    assert "for research only" in text
    assert "must not be released" not in section(page(system), "Guarantees")
    assert "operating system's entropy" in section(page(system), "Guarantees")
    assert "None is claimed." in section(markdown(made(system, index=0), CRESSWELL), "Guarantees")


def test_groups_are_read_from_the_arrays_beside_the_record():
    rng = np.random.default_rng(0)
    accuracy = rng.uniform(0.8, 0.9, (R, 10))
    accuracy[:, 3] = np.nan  # a group without rows
    arrays = {
        "fairness-s1/group_accuracy": accuracy,
        "privacy-s1/lira_auc_group_2": np.full(R, 0.61),
        "set_size_gap-s1/groups": np.array([7, 1]),
        "set_size_gap-s1/size_aps": np.stack([np.full(R, 2.0), np.full(R, 4.0)], axis=1),
        "robustness-s1/robust": np.ones((R, 10), dtype=bool),  # by row, not by group
        "logits": np.zeros((R, 10, 10)),
    }
    found = made(records(), arrays)
    columns = {c.metric: c.by_group for c in found.groups}
    assert set(columns) == {"fairness/accuracy", "privacy/lira_auc", "set_size_gap/size_aps"}
    assert set(columns["fairness/accuracy"]) == set(DIGITS) - {"3"}
    assert columns["fairness/accuracy"]["4"].effect == pytest.approx(accuracy[:, 4].mean())
    assert columns["privacy/lira_auc"]["2"].effect == pytest.approx(0.61)
    sizes = {g: e.effect for g, e in columns["set_size_gap/size_aps"].items()}
    assert sizes == {"7": 2.0, "1": 4.0}
    text = section(markdown(found, CRESSWELL), "Performance per group")
    (row,) = [r for r in text.splitlines() if r.startswith("| 3 |")]
    assert row.count("not measured") == 3
    assert "No metric per group" in section(page(), "Performance per group")


def test_known_interactions_come_with_their_references():
    text = section(page(), "Known interactions")
    assert "P→F (privacy on fairness, registered for dpsgd): harm expected." in text
    assert "Bagdasaryan 2019" in text
    assert "P→P" not in text


def test_what_was_not_measured_is_a_limit_with_its_reason():
    text = section(page(), "Limits")
    assert r"Not measured, fidelity\_gap: unsupported: needs released explanations" in text
    assert "one draw of the data (seed 0)" in text


HOSTILE = "x|y<script>alert(1)</script>\n---\n# [z](http://evil) ```\n@all \x1b[31m\x85---\u2028---"


def test_hostile_names_stay_text():
    groups = [HOSTILE, *DIGITS[1:]]
    hostile = []
    for i, r in enumerate(records(description=HOSTILE, licence=HOSTILE, **{HOSTILE: HOSTILE})):
        problem = r.problem.model_copy(
            update={
                "classes": groups,
                "groups": groups,
                "group_name": HOSTILE,
                "group_sizes": dict.fromkeys(groups, 50),
            }
        )
        dataset = r.arm.dataset.model_copy(update={"name": HOSTILE, "params": {HOSTILE: HOSTILE}})
        arm = r.arm.model_copy(update={"dataset": dataset})
        facts = {**r.facts, HOSTILE: HOSTILE} if i % 2 else r.facts
        more = {"problem": ProblemSpec.model_validate(problem.model_dump()), "arm": arm}
        hostile.append(
            r.model_copy(update={**more, "facts": facts, "environment": {HOSTILE: HOSTILE}})
        )
    text = page(hostile)
    data = front(text)  # nothing of a name ends the front matter
    assert set(data) == {"library_name", "tags", "datasets", "metrics", "model-index"}
    assert "\n" not in data["datasets"][0]
    body = text.split("\n---\n", 2)[1]
    prose, code = body.split("## How to reproduce")[0], section(text, "How to reproduce")
    assert "---" not in prose.splitlines()
    assert "<script>" not in prose
    assert not re.search(r"(?<!\\)\]\(http", prose)
    assert "@all" not in prose
    assert "\x1b" not in prose
    fence = re.match(r"\s*(`+)sh\n", code)[1]
    assert len(fence) > 3  # longer than the run of backticks in the name
    widths = [len(re.findall(r"(?<!\\)\|", r)) for r in prose.splitlines() if r.startswith("| x")]
    assert widths
    assert set(widths) <= {4, 3}


def test_a_record_without_numbers_has_no_card():
    failed = record(DP, status="failed", reason="diverged")
    with pytest.raises(UserError, match=r"is failed, so it has no numbers .*: diverged"):
        card(failed, {}, [failed], CRESSWELL)


def test_a_record_is_found_by_the_beginning_of_its_id():
    found = [record(ident="abc1"), record(DP, ident="abd2")]
    assert find("abd", found, {}).id == "abd2"
    names = {"absent": frozenset({"abc1"}), "dpsgd epsilon=3": frozenset({"abd2"})}
    assert find("dps", found, names).id == "abd2"
    with pytest.raises(UserError, match="2 records begin with 'ab'"):
        find("ab", found, names)


def test_a_record_is_found_by_the_names_of_its_arm():
    found = [record(), record(DP, ident="abd2"), record(DP, regime="memorising", ident="abd3")]
    found.append(record(DP, seed=1, ident="abd4"))
    sweep = Sweep(
        experiment="mine", table="t", arms=[], evaluations=[], names={"dp_eps3": "abd2", "x": "?"}
    )
    names = arm_names(found, [sweep])
    assert {find(name, found, names).id for name in ("dp_eps3", "abd2")} == {"abd2"}
    assert find("dp_", found, names).id == "abd2"
    assert find("dpsgd epsilon=3 (memorising)", found, names).id == "abd3"
    assert find("dpsgd epsilon=3 (seed=1)", found, names).id == "abd4"
    several = r"2 records are called 'dpsgd epsilon=3' \(abd2 .* \(seed=0\); abd4 .* \(seed=1\)"
    with pytest.raises(UserError, match=several):
        find("dpsgd epsilon=3", found, names)
    with pytest.raises(
        UserError,
        match=r"no record or arm 'dpeps3' is stored; did you mean 'dp_eps3'\? Available: dp_eps3, "
        r"dpsgd epsilon=3, .* Records: .* none; abd2 dpsgd epsilon=3 .*abd3",
    ):
        find("dpeps3", found, names)
