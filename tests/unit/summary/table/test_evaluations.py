"""Settings of evaluators that are not the registered ones: what is read, and where it is said."""

import csv
import io
import json

import pytest

from tests.unit.commands.test_gate_command import write_store
from tests.unit.summary.builder import CRESSWELL, method, record
from trustbench.commands import cli
from trustbench.errors import UserError
from trustbench.store.records import PluginSpec
from trustbench.summary.decide.select import select
from trustbench.summary.render import FORMATS, render
from trustbench.summary.table.evaluations import choose, evaluator_label, preferred
from trustbench.summary.table.pairing import shared_evaluations
from trustbench.summary.table.table import summarize
from trustbench.tracking import run_content as tracked

pytestmark = pytest.mark.usefixtures("handmade_ids")

GAP = "fairness/acc_gap"
DP = method("dpsgd", epsilon=3.0)
WIDER = {"min_group": 5}, {"min_group": 20}
SAID = "fairness min_group=5 is not at its registered settings (min_group=20)."


def at(rec, params, registered, key="fairness-own", version=1):
    """The record with its fairness evaluation at other settings."""
    others = {k: e for k, e in rec.evaluations.items() if e.evaluator.name != "fairness"}
    spec = PluginSpec(name="fairness", params=params, registered=registered, version=version)
    own = rec.evaluations["fairness-s1"].model_copy(update={"evaluator": spec})
    return rec.model_copy(update={"evaluations": {**others, key: own}})


def arms(params, registered, shift, key="fairness-own"):
    noise = {GAP: 0.01, "fairness/worst_group_acc": 0.01}
    pair = record(), record(DP, shift={GAP: shift}, noise=noise)
    return [at(r, params, registered, key) for r in pair]


def both():
    """Two arms measured at the registered settings and at others, which show more."""
    plain = arms({"min_group": 20}, {}, 0.1, "fairness-plain")
    wide = arms(*WIDER, 0.3)
    return [
        a.model_copy(update={"evaluations": a.evaluations | b.evaluations})
        for a, b in zip(wide, plain, strict=True)
    ]


def test_the_registered_settings_are_read_and_the_others_named():
    [result] = summarize(both(), CRESSWELL)
    cell = result.cell("privacy", "fairness")
    assert cell.estimate.effect.effect == pytest.approx(0.1, abs=0.02)
    assert cell.estimate.settings == {}
    assert any(
        n == "fairness is read at its registered settings; records also hold fairness "
        "min_group=5 (fairness-own), which --evaluation ID reads in its place."
        for n in result.notes
    )


@pytest.mark.parametrize("format", [f for f in FORMATS if f != "png"])
def test_every_rendering_says_which_settings_are_not_registered(format):
    results = summarize(arms(*WIDER, 0.3), CRESSWELL)
    assert SAID in results[0].notes
    text = render(results, format)
    words = " ".join(text.replace("\\", "").split())
    if format == "csv":
        rows = csv.DictReader(io.StringIO(text))
        found = {r["settings"] for r in rows if r["evaluator"] == "fairness" and r["effect"]}
        assert found == {"min_group=5"}
    else:
        assert SAID in words or SAID.rstrip(".") in words
    if format == "json":
        [cell] = [
            c for c in json.loads(text)["cells"] if c["effect"] and c["evaluator"] == "fairness"
        ]
        assert cell["settings"] == {"min_group": 5}
    if format in ("terminal", "md"):
        assert words.count("(min_group=5)") >= 2, "in the cell, and beside secondary metrics"


def test_registered_settings_are_not_labelled():
    results = summarize(arms({"min_group": 20}, {}, 0.1), CRESSWELL)
    for format in ("terminal", "md", "csv", "tex"):
        assert "min_group" not in render(results, format)
    assert not results[0].settings


@pytest.mark.parametrize(
    ("specs", "read"),
    [
        ({"a": (1, {}), "b": (1, {"min_group": 20})}, "a"),
        ({"a": (1, {}), "b": (2, {})}, "b"),
        ({"a": (1, {}), "b": (2, {"min_group": 20})}, "a"),
        ({"a": (1, {"min_group": 20}), "b": (1, {"min_group": 20})}, None),
    ],
)
def test_of_several_evaluations_the_newest_at_registered_settings_is_read(specs, read):
    records = [
        at(record(ident=f"r{k}"), {"min_group": k}, registered, f"fairness-{k}", version)
        for k, (version, registered) in specs.items()
    ]
    if read is None:
        with pytest.raises(UserError, match=r"2 evaluations of fairness .*--evaluation ID"):
            choose(records)
    else:
        assert choose(records).ids["fairness"] == f"fairness-{read}"


def test_a_label_names_what_differs_and_nothing_else():
    spec = PluginSpec(name="set_attack", params={"epsilon": 0.2, "steps": 20})
    assert evaluator_label(spec) == "set_attack"
    assert evaluator_label(spec.model_copy(update={"registered": {"epsilon": 0.1}})) == (
        "set_attack epsilon=0.2"
    )


def test_two_records_are_gated_by_the_registered_settings_both_have():
    chosen = shared_evaluations(both()[:1], both()[1:], {"fairness"})
    assert chosen["fairness"] == "fairness-plain"
    assert preferred(both()[0]).evaluations.keys() >= {"fairness-plain", "utility-s1"}
    assert "fairness-own" not in preferred(both()[0]).evaluations
    assert "fairness-own" in preferred(both()[0], ["fairness-own"]).evaluations


def test_mlflow_keeps_the_settings_of_both():
    params = tracked.params(both()[0])
    assert params["evaluator.fairness-own.min_group"] == "5"
    assert params["evaluator.fairness-plain.min_group"] == "20"
    assert tracked.params(arms(*WIDER, 0.3)[0])["evaluator.fairness.min_group"] == "5"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return str(write_store(tmp_path_factory.mktemp("settings") / "out", both()).root)


def said_by(command, store, capsys, *more):
    assert cli.main([*command, "--from", store, *more]) in (0, 3)
    return " ".join(capsys.readouterr().out.split())


CARD = ["card", "--arm", "digits-dpsgd3.0-none-tuned-0"]


@pytest.mark.parametrize("command", [["summarize"], ["gate", "--policy", "default"], CARD])
def test_a_command_reads_the_evaluation_that_is_asked_for(command, store, capsys):
    plain = said_by(command, store, capsys).replace("\\", "")
    wide = said_by(command, store, capsys, "--evaluation", "fairness-own").replace("\\", "")
    assert "fairness is read at its registered settings" in plain
    assert SAID not in plain
    assert SAID in wide
    assert "is read at" not in wide
    if command is CARD:
        assert "fairness-own (min_group=5)" in wide
        assert "fairness-plain" not in wide
        assert "fairness-own (min" not in plain.partition("## Limits")[0]


def test_an_unknown_evaluation_is_one_sentence(store, capsys):
    assert cli.main(["summarize", "--from", store, "--evaluation", "fairness-ow"]) == 2
    assert "did you mean 'fairness-own'?" in capsys.readouterr().err


def test_the_choice_and_the_report_say_it(tmp_path, capsys):
    records = arms(*WIDER, 0.3)
    folder = str(write_store(tmp_path / "out", records).root)
    said = said_by(["cell", "P", "F"], folder, capsys)
    assert "dpsgd epsilon=3 (min_group=5): +0.3" in said
    assert SAID in said
    assert cli.main(["report", "--from", folder, "--output", str(tmp_path / "r.html")]) == 0
    html = (tmp_path / "r.html").read_text()
    assert SAID in html
    assert "<dt>settings that are not registered</dt><dd>min_group=5</dd>" in html
    from trustbench.api.lookup import find_policy

    [selection] = select(records, CRESSWELL, find_policy("default", None))
    assert SAID in selection.notes
