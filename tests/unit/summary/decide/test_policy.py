"""Policies: what ships loads, and what is wrong with one is said at once, in sentences."""

import re
from pathlib import Path

import pytest
import yaml

from trustbench.commands import cli
from trustbench.commands.listing import _metrics
from trustbench.config.compose import conf_dir, conf_dirs
from trustbench.config.plugins import discover
from trustbench.contracts.aspects import Aspect
from trustbench.errors import ConfigError
from trustbench.summary.decide.policy import TARGETS, Limit, load_policy, parse_policy
from trustbench.summary.table.results import UTILITY

SHIPPED = discover("policy", [conf_dir()])
RESEARCH = yaml.safe_load(SHIPPED["research"].read_text())


def problems(**changes):
    """The sentences about a policy with these changes."""
    with pytest.raises(ConfigError) as caught:
        parse_policy({**RESEARCH, **changes}, "mine.yaml")
    return caught.value.problems


@pytest.fixture(params=sorted(SHIPPED))
def shipped(request):
    return load_policy(SHIPPED[request.param])


def test_targets_are_the_five_aspects_and_utility():
    assert (*(a.value for a in Aspect), UTILITY) == TARGETS


def test_three_policies_ship():
    assert {"default", "bank", "research"} <= set(SHIPPED)


def test_every_shipped_policy_is_named_as_its_file_and_names_what_exists(shipped):
    assert SHIPPED[shipped.name].stem == shipped.name
    assert shipped.table in discover("table", [conf_dir()])
    read = {metric for metric, _ in _metrics(conf_dirs(None))}
    methods = discover("intervention", [conf_dir()])
    for limit in shipped.limits:
        assert limit.metric in read or limit.metric in TARGETS
        assert limit.reference is None or limit.reference in methods
        assert limit.record is None  # a record of somebody's store ships nowhere


def test_weights_sum_to_one_in_the_order_of_the_ranking():
    policy = load_policy(SHIPPED["bank"])
    assert list(policy.weights)[:2] == ["fairness", "privacy"]
    assert sum(policy.weights.values()) == pytest.approx(1)
    assert policy.weights["fairness"] == pytest.approx(5 / 15)


def test_the_bounds_of_a_limit_are_decided_apart():
    limit = Limit(metric="fairness", at_most=0.1, worse_by_at_most=0.0)
    assert [b.text for b in limit.bounds] == ["at most 0.1", "worse by at most 0"]


def test_every_problem_is_told_at_once_and_names_its_place():
    said = problems(
        limitz=3,
        limits=[
            {"metric": "fairnes", "at_most": 1},
            {"metric": "a/b"},
            {"metric": "a/b", "at_most": 1, "regime": "memorizing"},
            {"metric": "a/b", "at_most": float("inf")},
        ],
        block=[{"verdicts": ["benefit"]}, {"verdicts": ["harm"], "targets": ["utilty"]}],
        inconclusive="maybe",
        description=3,
    )
    assert not any("Input should" in s for s in said)
    assert "policy mine.yaml: description is 3; it should be a valid string." in said
    assert all(s.startswith("policy mine.yaml: ") and s.endswith(".") for s in said)
    said = [s.removeprefix("policy mine.yaml: ") for s in said]
    assert "unknown key limitz; did you mean 'limits'? Available: block, " in " ".join(said)
    assert any("limits.0.metric is 'fairnes'; give evaluator/name" in s for s in said)
    assert "limits.1: has no bound; give at_most, at_least or worse_by_at_most." in said
    assert any("limits.2.regime" in s and "did you mean 'memorising'?" in s for s in said)
    assert any("limits.3.at_most is inf" in s for s in said)
    assert any("block.0.verdicts.0 is 'benefit'" in s for s in said)
    assert any("block.1.targets.0" in s and "did you mean 'utility'?" in s for s in said)
    assert any("inconclusive is 'maybe'; Available: fail, inconclusive, pass." in s for s in said)
    assert len(said) == 9


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"priorities": []}, "priorities are empty; rank at least one target"),
        (
            {"priorities": [*RESEARCH["priorities"], RESEARCH["priorities"][0]]},
            "priorities name fairness more than once",
        ),
        (
            {"priorities": [{"target": t, "weight": i} for i, t in enumerate(TARGETS)]},
            "weights that grow downwards",
        ),
        ({"priorities": [{"target": t, "weight": 0} for t in TARGETS]}, "no weight above 0"),
        ({"risk": {"amber": 0.3}}, "risk: red 0.25 is below amber 0.3"),
        (
            {"limits": [{"metric": "a/b", "at_most": 0, "at_least": 1}]},
            "limits.0: at_most 0 is below at_least 1",
        ),
        (
            {"limits": [{"metric": "a/b", "at_most": 0, "reference": "x"}]},
            "limits.0: names what to compare with but gives no `worse_by_at_most`",
        ),
        (
            {"limits": [{"metric": "a/b", "worse_by_at_most": 0, "reference": "x", "record": "y"}]},
            "limits.0: gives both `reference` and `record`",
        ),
        ({"limits": [{"metric": "a/b", "worse_by_at_most": -1}]}, "worse_by_at_most is -1"),
        ({"limits": [{"metric": "a/b", "atmost": 0}]}, "did you mean 'at_most'?"),
        ({"block": [{"verdicts": []}]}, "block.0.verdicts is empty"),
        (
            {"block": [{"verdicts": ["significant but immaterial"]}]},
            "block.0: blocks significant but immaterial harm but not harm; name both",
        ),
        ({"name": ""}, "name is empty"),
        ({"version": 0}, "version is 0"),
        ({"limits": 3}, "limits is 3"),
    ],
)
def test_a_contradiction_is_one_sentence(changes, sentence):
    said = problems(**changes)
    assert len(said) == 1
    assert sentence in said[0]


def test_a_key_given_twice_is_refused_as_yaml_would_drop_the_first(tmp_path):
    path = tmp_path / "twice.yaml"
    path.write_text(
        SHIPPED["bank"].read_text().replace("    at_most: 0.20", "    at_most: 0.2\n    at_most: 9")
    )
    with pytest.raises(ConfigError, match=r"limits\.0\.at_most is given twice; keep one"):
        load_policy(path)


@pytest.mark.parametrize("text", ["a: [", "", "- 1"])
def test_what_is_no_policy_is_refused(tmp_path, text):
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match="policy "):
        load_policy(path)
    with pytest.raises(ConfigError, match=r"cannot be read: .*No such file"):
        load_policy(Path("absent.yaml"))


def test_the_policy_of_the_documentation_loads():
    path = Path(__file__).resolve().parents[4] / "docs" / "policies.md"
    (text,) = re.findall(r"```yaml\n(.*?)```", path.read_text(), re.DOTALL)
    policy = parse_policy(yaml.safe_load(text), "docs/policies.md")
    assert [b.kind for limit in policy.limits for b in limit.bounds] == [
        "at_most",
        "worse_by_at_most",
        "worse_by_at_most",
        "at_most",
    ]
    assert [limit.beyond_chance for limit in policy.limits] == [False, False, True]
    # every key that a policy may have is explained there
    assert all(f"{key}:" in text for key in type(policy).model_fields)


def test_policies_are_listed(capsys):
    assert cli.main(["list", "policies"]) == 0
    said = capsys.readouterr().out
    assert "bank      Lending: fairness and privacy first" in said


def test_a_target_that_is_not_ranked_has_no_weight():
    ranked = [{"target": "privacy", "weight": 3}, {"target": "utility", "weight": 1}]
    found = parse_policy({**RESEARCH, "priorities": ranked}, "p.yaml")
    assert list(found.weights)[:2] == ["privacy", "utility"]
    assert found.weights == {"privacy": 0.75, "utility": 0.25} | dict.fromkeys(
        ("fairness", "robustness", "explainability", "uncertainty"), 0.0
    )
