"""The rows that a report shows: whose explanations stand beside each other, and what is said."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from tests.unit.summary.builder import WITHIN, method, record
from tests.unit.summary.report.report_data import (
    arrays,
    by_id,
    page,
    parse,
    rows_kept,
    with_examples,
)
from trustbench.summary.report.example_charts import ExplainedRow, bars
from trustbench.summary.report.pixels import (
    AGAINST,
    FOR,
    colour,
    data_uri,
    overlay,
    smaller,
)
from trustbench.summary.report.svg import WIDTH

DP, LIME = method("dpsgd", epsilon=3.0), method("lime")
TABLE = (["age", "job <b>"], [["+1.00", "cook"], ["-0.50", "<i>"], ["+0.00", "clerk"]])


def decoded(address):
    """The pixels [h, w, 3] of a picture's address, as an independent reader finds them."""
    data = base64.b64decode(address.removeprefix("data:image/png;base64,"), validate=True)
    with Image.open(io.BytesIO(data)) as image:
        assert image.mode == "RGB"
        return np.asarray(image)


def blocks(tree):
    """{name: the element} of every arm that has rows."""
    found = [n for n in tree.all("details") if n.attributes.get("class") == "examples"]
    return {n.all("summary")[0].text(): n for n in found}


def titles(node):
    return [n.children[0] for n in node.all("title")]


def test_a_png_holds_the_very_pixels():
    levels = np.random.default_rng(0).integers(256, size=(5, 7, 3)).astype(np.uint8)
    np.testing.assert_array_equal(decoded(data_uri(levels)), levels)


def test_the_strongest_effect_has_its_full_colour_and_none_leaves_the_faded_picture():
    picture = np.array([[[0], [255]], [[0], [0]]], dtype=np.uint8)
    seen = overlay(picture, np.array([[2.0, -1.0], [0.0, -2.0]]))
    assert tuple(seen[0, 0]) == FOR
    assert tuple(seen[1, 1]) == AGAINST
    assert tuple(seen[1, 0]) == (204, 204, 204)  # black with a fifth of its contrast
    half = np.rint((255 + np.array(AGAINST)) / 2)
    np.testing.assert_allclose(seen[0, 1], half, atol=1)
    assert len(np.unique(overlay(picture, np.zeros((2, 2))))) == 2


def test_large_pictures_are_made_smaller_by_means():
    values = np.random.default_rng(0).normal(size=(100, 50))
    less = smaller(values)
    assert less.shape == (34, 17)
    assert less[0, 0] == pytest.approx(values[:3, :3].mean())
    assert less[-1, -1] == pytest.approx(values[99:, 48:].mean())
    assert colour(np.zeros((2, 2, 2), np.uint8)).shape == (2, 2, 3)


def test_bars_are_shares_of_the_explanation_and_the_strongest_come_first():
    sides = [
        ExplainedRow("ref", "baseline", "no", 0.9, np.array([1.0, -1.0, 2.0])),
        ExplainedRow("arm", "this arm", "no", 0.8, np.array([10.0, -70.0, 20.0])),
    ]
    tree = parse(str(bars(["a", "b", "c"], ["1", "2", "3"], sides, "title")))
    named = [n.children[0] for n in tree.all("text") if "named" in n.attributes["class"]]
    assert named == ["b = 2", "c = 3", "a = 1"]
    drawn = {"ref": [], "arm": []}
    for n in tree.all("rect"):
        left = float(n.attributes["x"])
        ends = left, left + float(n.attributes["width"])
        drawn[n.attributes["class"].split()[1]].append(ends)
    zero = WIDTH / 2
    unit = (zero - drawn["arm"][0][0]) / 0.7
    expected = {"arm": [-0.7, 0.2, 0.1], "ref": [-0.25, 0.5, 0.25]}
    for look, shares in expected.items():
        for (left, right), share in zip(drawn[look], shares, strict=True):
            wanted = sorted((zero, zero + share * unit))
            assert (left, right) == pytest.approx(wanted, abs=0.11)


def test_every_arm_that_differs_has_its_rows_beside_the_baseline(tree):
    found = blocks(tree)
    assert next(iter(found)) == "balanced_weights (tuned)"
    assert "dpsgd epsilon=3 (tuned)" in found
    assert "dpsgd epsilon=3 (memorising)" in found
    assert not any("baseline" in name or "reseed" in name for name in found)
    assert "The same as the baseline (tuned): conformal alpha=0.1" in tree.text()
    (first, *others) = titles(found["dpsgd epsilon=3 (tuned)"])
    assert first == (
        "Explanations of test row 40: baseline, another seed, this arm of dpsgd epsilon=3 (tuned)"
    )
    assert len(others) == 2
    opened = [name for name, n in found.items() if "open" in n.attributes]
    assert opened == ["balanced_weights (tuned)"]


def test_pictures_are_the_row_and_the_effects_of_each_side():
    base, dp = with_examples(record()), with_examples(record(DP, noise=WITHIN))
    kept = {"none-none": rows_kept(1), "dpsgd": rows_kept(2)}
    text, _ = page([base, dp], load=lambda i: kept["dpsgd" if "dpsgd" in i else "none-none"])
    block = blocks(parse(text))["dpsgd epsilon=3 (tuned)"]
    for k, drawing in enumerate(block.all("svg")):
        row, baseline, control, arm = (decoded(n.attributes["href"]) for n in drawing.all("image"))
        picture = kept["dpsgd"]["examples-s1/pictures"][k]
        np.testing.assert_array_equal(row, np.repeat(picture, 3, axis=-1))
        sides = (("none-none", 0, baseline), ("dpsgd", 1, control), ("dpsgd", 0, arm))
        for name, side, seen in sides:
            effects = kept[name]["examples-s1/effects"][side, k].reshape(8, 8)
            np.testing.assert_array_equal(seen, overlay(picture, effects.astype(float)))


def test_released_explanations_have_their_own_twin_as_control():
    base, lime = with_examples(record()), with_examples(record(LIME))
    kept = {"none-none": rows_kept(1), "lime": rows_kept(2, sides=4)}
    text, _ = page([base, lime], load=lambda i: kept["lime" if "lime" in i else "none-none"])
    drawing = blocks(parse(text))["lime (tuned)"].all("svg")[1]
    _, _, control, arm = (decoded(n.attributes["href"]) for n in drawing.all("image"))
    picture = kept["lime"]["examples-s1/pictures"][1]
    for side, seen in ((3, control), (2, arm)):
        effects = kept["lime"]["examples-s1/effects"][side, 1].reshape(8, 8)
        np.testing.assert_array_equal(seen, overlay(picture, effects.astype(float)))


def test_rows_of_a_table_name_features_values_and_predictions():
    records = [with_examples(r, TABLE) for r in (record(), record(DP, noise=WITHIN))]

    def load(ident):
        return rows_kept(3 if "dpsgd" in ident else 0, places=2, pictures=False)

    text, _ = page(records, load=load)
    block = blocks(parse(text))["dpsgd epsilon=3 (tuned)"]
    drawn = [n.children[0] for n in block.all("text")]
    assert {"age = +1.00", "job <b> = cook", "job <b> = <i>"} <= set(drawn)
    assert "<i>" not in text.replace("&lt;i&gt;", "")
    p = rows_kept(3, places=2, pictures=False)["examples-s1/probability"][0, 0]
    assert "Test row 40, truly 0. Predicted: baseline 0 (p = " in block.text()
    assert f"this arm 0 (p = {p:.2f})." in block.text()


def test_sides_that_explain_different_classes_say_so():
    changed = rows_kept(2)
    changed["examples-s1/classes"] = np.array([[0, 7, 2], [0, 1, 2]])
    records = [with_examples(r) for r in (record(), record(DP, noise=WITHIN))]
    text, _ = page(records, load=lambda i: changed if "dpsgd" in i else rows_kept(1))
    said = [n.text() for n in blocks(parse(text))["dpsgd epsilon=3 (tuned)"].all("figcaption")]
    assert ["The predictions differ" in s for s in said] == [False, True, False]


def test_the_claim_beside_the_pictures_is_the_measured_effect(tree):
    block = blocks(tree)["dpsgd epsilon=3 (tuned)"]
    claim = block.all("p")[0]
    (link,) = claim.all("a")
    assert (link.text(), link.attributes["href"]) == ("P→E", "#t0-privacy-explainability")
    cell = by_id(tree)["t0-privacy-explainability"]
    exact = {d.attributes["value"] for d in claim.all("data")}
    assert exact
    assert exact <= {d.attributes["value"] for d in cell.all("data")}


def test_a_reader_is_told_that_rows_are_shown_and_how_not_to(tree):
    text = " ".join(tree.text().split())
    assert "Real rows of the test set are shown here." in text
    assert "off with evaluator.examples.rows=never" in text
    assert "replicate 0 of 16" in text
    assert "Nothing follows from one row" in text


def test_why_no_row_is_shown():
    withheld = [
        with_examples(r, status="unsupported", reason="the card <b> says no")
        for r in (record(), record(DP, noise=WITHIN))
    ]
    assert "No rows are shown: the card &lt;b&gt; says no." in page(withheld)[0]
    kept = [with_examples(record())]
    assert "the arrays that hold the rows are not where" in page(kept, load=lambda _: {})[0]
    assert "no arm has examples" in page([record()], load=lambda _: {})[0]


def test_a_baseline_alone_is_shown_with_its_control():
    text, _ = page([with_examples(record())])
    (name, block) = next(iter(blocks(parse(text)).items()))
    assert name == "baseline (tuned)"
    assert titles(block)[0] == (
        "Explanations of test row 40: another seed, baseline of baseline (tuned)"
    )
    assert len(block.all("image")) == 9


def test_only_the_first_seeds_rows_are_shown():
    records = [with_examples(record(seed=s, ident=f"r{s}")) for s in (0, 1)]
    read = {"r0": rows_kept(5), "r1": rows_kept(6)}
    text, _ = page(records, load=read.__getitem__)
    alone, _ = page(records[:1], load=read.__getitem__)
    pictures = re.findall(r"data:image/png;base64,[^\"]+", text)
    assert pictures == re.findall(r"data:image/png;base64,[^\"]+", alone)


def test_arrays_of_a_whole_table_hold_rows():
    assert any(k.startswith("examples-s1/") for k in arrays("digits-none-none-tuned-0"))
