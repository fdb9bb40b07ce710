"""What a report shows behind its table: pictures, risks, provenance, commands."""

import shlex

import numpy as np
import pytest

from tests.unit.summary.builder import full_table, method, record
from tests.unit.summary.report.report_data import arrays, by_id, page, parse, whole
from tests.unit.summary.report.test_report import cells_of
from tests.unit.summary.table.test_beyond_pairs import EFFECTS, cube
from trustbench.config.compose import compose
from trustbench.store.labels import label
from trustbench.summary.render import factorial_wording
from trustbench.summary.report.commands import experiment_command
from trustbench.summary.report.scales import linear, log


def test_pictures_are_drawn_from_what_is_stored(tree):
    titles = [n.all("title")[0].children[0] for n in tree.all("svg")]
    # eight treated arms and the baseline where tuned, three where memorising; one arm failed
    assert sum(t.startswith("Attack on") for t in titles) == 9 + 4
    assert not any("pgd_at epsilon=0.1 (memorising)" in t for t in titles)
    assert "Reliability of dpsgd epsilon=3 (tuned)" in titles
    assert "Set sizes of conformal alpha=0.1 (tuned), score aps" in titles
    assert "Accuracy by group of baseline (tuned)" in titles
    assert any(t.startswith("Accuracy under attack of dpsgd epsilon=3 (tuned)") for t in titles)
    assert "Effect over epsilon: 3 doses with 95 % intervals" in titles
    assert sum(t.startswith("Each of 16 replicates") for t in titles) >= 18
    assert all(n.attributes["role"] == "img" for n in tree.all("svg"))


def test_what_is_not_stored_is_said():
    text, _ = page(full_table(), load=lambda _: {})
    assert text.count("Not stored: no arm has") == 6


def test_a_paired_picture_has_a_dot_for_each_difference(tree, contract):
    ident, cell = next((i, c) for i, c in cells_of(contract) if i == "t0-privacy-fairness")
    picture = by_id(tree)[ident].all("svg")[0]
    dots = [n for n in picture.all("circle") if n.attributes["class"] == "dot arm"]
    right = dots[-cell["n"] :]
    order = np.argsort([float(d.attributes["cy"]) for d in right])
    assert order.tolist() == np.argsort(-np.array(cell["differences"])).tolist()
    assert len(dots) == 2 * cell["n"]


def test_arms_equal_to_the_baseline_are_named_once():
    def load(ident):
        return arrays("same" if "lime" in ident else ident)

    base = record(ident="same")
    text, _ = page([base, record(method("lime"))], load=load)
    assert "baseline (tuned); the same for lime" in text
    assert "Reliability of lime" not in text


def test_factorials_and_mitigations_are_shown():
    text, results = page(cube(EFFECTS))
    root = parse(text)
    assert results[0].factorials
    shown = " ".join(root.text().split())
    for row in factorial_wording.rows(results[0].factorials[0]):
        assert row[4] in shown
    for line in factorial_wording.worse_than_the_sum(results[0].factorials[0]):
        assert line in shown


def test_risks_are_those_of_json(tree, contract):
    rows = next(n for n in tree.all("section") if n.attributes.get("id") == "risk").all("tr")[1:]
    assert len(rows) == len(contract["risks"]) > 10
    for row, risk in zip(rows, contract["risks"], strict=True):
        texts = [c.text() for c in row.children]
        for text, key in zip(texts[1:4], ("likelihood", "severity", "risk"), strict=True):
            of = risk[key]
            assert text == f"{of['value']:.2f} [{of['low']:.2f}, {of['high']:.2f}]"
        assert texts[4] == risk["band"]


def test_provenance_names_data_noise_and_every_record(built, tree):
    seeded = [
        r.model_copy(update={"facts": {**r.facts, "dp_noise": "seeded"}})
        if label(r.arm).startswith("dpsgd")
        else r
        for r in whole()
    ]
    text, _ = page(seeded)
    assert "drawn from a seeded stream (dp_noise: seeded)" in text
    assert "for research only" in text
    assert "no arm declares any" in built[0]
    shown = tree.text()
    for each in whole():
        assert each.id in shown
    assert "digits0tuned" in shown
    assert "digits0memorising" in shown


def test_commands_are_read_by_the_composer():
    text = experiment_command("privacy_vs_fairness", [record(dataset_params={"rare": 8})])
    words = shlex.split(text)
    assert words[:3] == ["trustbench", "run", "+experiment=privacy_vs_fairness"]
    config = compose([x for x in words[2:] if "hidden" not in x])
    assert config.dataset.rare == 8
    assert config.protocol.replicates == 16
    assert experiment_command("default", [record()]) is None


def test_scales_hold_their_values_and_have_round_ticks():
    scale = linear([-0.013, 0.74])
    assert scale.low <= -0.013 < 0.74 <= scale.high
    assert scale.at(scale.low, 10, 20) == 10
    assert scale.at(99, 10, 20) == 20
    assert [t for _, t in linear([0.3, 0.3]).ticks]
    far = log([0.002, 1.0])
    assert [t for _, t in far.ticks] == ["0.001", "0.01", "0.1", "1"]
    assert far.at(0.1, 0, 3) == pytest.approx(2)
    assert [t for _, t in log([1.0, 8.0]).ticks] == ["1", "2", "5", "10"]
