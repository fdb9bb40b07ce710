"""A few test rows under the baseline and under each arm, with another seed as control."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trustbench.contracts.aspects import Aspect
from trustbench.summary.report import example_charts as charts
from trustbench.summary.report.evidence import EXAMPLES, Bench
from trustbench.summary.report.markup import Child, Html, join, sentence, tag
from trustbench.summary.report.numbers import estimate
from trustbench.summary.report.svg import figure
from trustbench.summary.table.grouping import ArmRecords
from trustbench.summary.table.results import UTILITY

OFF = "evaluator.examples.rows=never"


@dataclass(frozen=True)
class Kept:
    """A record's stored rows; arrays over sides and rows as the evaluator stores them."""

    sides: Mapping[str, int]
    arrays: Mapping[str, NDArray[Any]]
    facts: Mapping[str, Any]

    def same_as(self, other: "Kept") -> bool:
        """Whether everything shown for two arms is equal."""
        if self.sides != other.sides or self.arrays.keys() != other.arrays.keys():
            return False
        return all(np.array_equal(a, other.arrays[k]) for k, a in self.arrays.items())


def examples(bench: Bench) -> Html:
    """The rows of every arm that changes the model or explains, by regime."""
    title = tag("h3", "Explanation examples")
    blocks = [b for regime in bench.regimes for b in _regime(bench, regime)]
    if not blocks:
        return join(title, tag("p", _absent(bench)))
    first = next(k for a in bench.group.arms if (k := kept(bench, a)) is not None)
    return join(title, *_notes(bench, first), *blocks)


def kept(bench: Bench, arm: ArmRecords) -> Kept | None:
    """The rows of an arm's first seed; None where it has none."""
    arrays, facts = bench.first(arm, EXAMPLES)
    if not arrays:
        return None
    sides = {name: k for k, name in enumerate(str(facts["sides"]).split())}
    return Kept(sides, arrays, facts)


def _absent(bench: Bench) -> str:
    """Why there is no row to show."""
    evaluations = [
        e
        for r in bench.records
        for k, e in r.evaluations.items()
        if k == bench.group.evaluations.get(EXAMPLES)
    ]
    reasons = dict.fromkeys(e.reason for e in evaluations if e.status != "ok" and e.reason)
    if reasons:
        return sentence(f"No rows are shown: {'; '.join(map(str, reasons))}")
    if evaluations:
        return "Not stored: the arrays that hold the rows are not where this report was made from."
    return "Not stored: no arm has examples; they were not requested."


def _notes(bench: Bench, first: Kept) -> Iterator[Html]:
    n, replicate = len(first.arrays["rows"]), first.facts["replicate"]
    yield tag(
        "p",
        tag("b", "Real rows of the test set are shown here. "),
        "Records keep them, for data whose card allows it; off with ",
        tag("code", OFF),
        ".",
    )
    yield tag(
        "p",
        f"The first {n} test rows that every evaluator of explanations takes, chosen by the seed "
        f"and not by looks; replicate {replicate} of {bench.records[0].replicates}. An explanation "
        "says how much each part adds to the score of the class predicted, over the mean of the "
        f"training pool. Baseline and retrained arms: {first.facts['probe']}. Arms that release "
        "explanations: what they release, and the same method on the same arm with another seed. "
        "What another seed alone changes, no method is to blame for. Nothing follows from "
        "one row: the claim is the measured effect, with its interval.",
    )
    if "pictures" in first.arrays:
        yield tag(
            "p",
            tag("span", "for the class predicted", class_="swatch for"),
            " ",
            tag("span", "against it", class_="swatch against"),
            " The strongest effect of each picture has the full colour.",
            class_="legend",
        )
    else:
        yield tag(
            "p",
            tag("span", "this arm", class_="swatch bar-arm"),
            " ",
            tag("span", "baseline", class_="swatch bar-ref"),
            " ",
            tag("span", "another seed", class_="swatch bar-control"),
            " The strongest features of the arm; numbers as the model sees them (scaled), "
            "categories by name.",
            class_="legend",
        )


def _regime(bench: Bench, regime: str) -> Iterator[Html]:
    """A block for each arm whose rows differ from the baseline's; else only the baseline."""
    bare = bench.group.baseline(regime)
    baseline = kept(bench, bare) if bare else None
    same, shown = [], 0
    for arm in bench.treated(regime):
        own = kept(bench, arm)
        if own is not None and baseline is not None and own.same_as(baseline):
            same.append(arm.label)
        elif own is not None:
            yield _block(bench, arm, own, baseline, open_=shown == 0 and regime == "tuned")
            shown += 1
    if bare is not None and baseline is not None and not shown:
        yield _block(bench, bare, baseline, None, open_=True)
    if same:
        yield tag("p", f"The same as the baseline ({regime}): {', '.join(same)}.")


def _block(bench: Bench, arm: ArmRecords, own: Kept, baseline: Kept | None, open_: bool) -> Html:
    is_baseline = not arm.interventions
    name = f"{'baseline' if is_baseline else arm.label} ({arm.regime})"
    figures = [_row(bench, own, baseline, k, name) for k in range(len(own.arrays["rows"]))]
    return tag(
        "details",
        tag("summary", tag("h4", name)),
        None if is_baseline else tag("p", *_claim(bench, arm)),
        tag("div", *figures, class_="figures"),
        class_="examples",
        open=open_,
    )


def _claim(bench: Bench, arm: ArmRecords) -> Iterator[Child]:
    """The measured effects behind the pictures: on explanations, or of releasing them."""
    row = next((r for r in bench.result.arms if r.label == arm.label), None)
    sources = {i.aspect for i in arm.interventions}
    about = Aspect.EXPLAINABILITY.value
    shown: list[Html] = []
    for target, e in row.estimates.items() if row else ():
        on_explanations = target == about or (about in sources and target != UTILITY)
        if e.effect is None or not on_explanations:
            continue
        links = [
            tag("a", c.name, href=f"#{bench.anchor(c)}")
            for c in bench.result.cells
            if c.target == target and c.source is not None and c.source.value in sources
        ]
        shown.append(join(*links, " " if links else None, tag("code", str(e.metric)), " ",
                          estimate(e)))  # fmt: skip
    yield "Measured, positive is worse: "
    for k, each in enumerate(shown):
        yield join("; " if k else None, each)
    yield "." if shown else "nothing about these explanations."


def _row(bench: Bench, own: Kept, baseline: Kept | None, k: int, name: str) -> Html:
    classes = _classes(bench)
    sides = list(_sides(own, baseline, k, classes))
    at, truth = int(own.arrays["rows"][k]), classes[int(own.arrays["labels"][k])]
    title = f"Explanations of test row {at}: {', '.join(s.name for s in sides)} of {name}"
    differ = len({s.answer for s in sides}) > 1
    warning = " The predictions differ, so the sides explain different classes." if differ else ""
    if "pictures" in own.arrays:
        drawing = charts.strip(own.arrays["pictures"][k], f"truly {truth}", sides, title)
        return figure(drawing, f"Test row {at}.{warning}")
    features, values = (json.loads(own.facts[key]) for key in ("features", "values"))
    drawing = charts.bars(features, values[k], sides, title)
    said = ", ".join(f"{s.name} {s.answer} (p = {s.probability:z.2f})" for s in sides)
    return figure(drawing, f"Test row {at}, truly {truth}. Predicted: {said}.{warning}")


def _sides(
    own: Kept, baseline: Kept | None, k: int, classes: Sequence[str]
) -> Iterator[charts.ExplainedRow]:
    """The baseline, the control and the arm, if known; the arm is the last."""

    def side(kept: Kept, key: str, look: charts.Look, name: str) -> charts.ExplainedRow:
        i, arrays = kept.sides[key], kept.arrays
        answer = classes[int(arrays["classes"][i, k])]
        probability = float(arrays["probability"][i, k])
        effects = arrays["effects"][i, k].astype(np.float64)
        return charts.ExplainedRow(look, name, answer, probability, effects)

    if baseline is not None:
        yield side(baseline, "probe", "ref", "baseline")
    releases = "released" in own.sides
    control = "twin" if releases else "control"
    if control in own.sides:
        yield side(own, control, "control", "another seed")
    key = "released" if releases else "probe"
    yield side(own, key, "arm", "this arm" if baseline is not None else "baseline")


def _classes(bench: Bench) -> list[str]:
    return next(r.problem.classes for r in bench.records if r.problem is not None)
