"""Panels of an aspect: every treated arm beside its baseline, and what is not stored."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trustbench.summary.report import panel_charts as charts
from trustbench.summary.report.evidence import Bench, as_arrays
from trustbench.summary.report.examples import examples
from trustbench.summary.report.markup import Html, join, tag
from trustbench.summary.report.svg import figure
from trustbench.summary.table.grouping import ArmRecords

Data = tuple[NDArray[Any], ...]
Read = Callable[[ArmRecords], Data | None]
KEY = (
    "Blue, filled: the arm. Grey, hollow and dashed: the baseline of the same regime. "
    "Intervals are 95 % t intervals over replicates, for these data."
)
CURVE = ("acc", "racc_half", "racc", "racc_double", "racc_box")
"""The measurements of the robustness curve, by radius."""


def panels(bench: Bench) -> Html:
    """Attacks, calibration, set sizes, groups and robustness, each with a reason if empty."""
    return join(
        _panel("Membership attacks", _roc(bench), _ROC_NOTE, "privacy/roc_tpr"),
        _panel("Reliability of confidences", _reliability(bench), _BINS_NOTE, "bin_accuracy"),
        _panel("Sizes of prediction sets by group", _sets(bench), _SETS_NOTE, "rows_by_size"),
        _panel("Accuracy by group", _groups(bench), KEY, "fairness/group_accuracy"),
        _panel("Accuracy under attack", _robustness(bench), _CURVE_NOTE, "robustness/racc"),
        examples(bench),
    )


_ROC_NOTE = (
    "Online LiRA: true over false positives, both axes logarithmic; dashed: guessing. Lines are "
    "means over replicates, shaded is their range. There is no interval: replicates of an arm are "
    "each other's shadow models. Blue: the arm; grey: the baseline of the same regime."
)
_BINS_NOTE = f"Bins of equal mass; dashed: confidence as it should be. {KEY}"
_SETS_NOTE = (
    "All replicates together; the number in a bar is the set size, on the right the mean size. "
    "Sets of six labels and more share a shade."
)
_CURVE_NOTE = (
    f"{KEY} At the registered radius: the worst case of four attacks. At half and twice it, and "
    "within the whole box of the features: one attack of ten steps, a check of the order only."
)


def _panel(title: str, figures: Iterator[Html], note: str, name: str) -> Html:
    drawn = list(figures)
    if not drawn:
        absent = f"Not stored: no arm has {name} of two or more replicates; it was not measured."
        return join(tag("h3", title), tag("p", absent))
    return join(tag("h3", title), tag("p", note), tag("div", *drawn, class_="figures"))


def _beside(bench: Bench, read: Read) -> Iterator[tuple[str, charts.Sides]]:
    """(caption, what to draw): every arm with own data beside its baseline, then the baseline."""
    for regime in bench.regimes:
        baseline = bench.group.baseline(regime)
        known = read(baseline) if baseline else None
        below: list[tuple[charts.Look, Data]] = [] if known is None else [("ref", known)]
        same = []
        for arm in bench.treated(regime):
            found = read(arm)
            if found is not None and known is not None and _equal(found, known):
                same.append(arm.label)
            elif found is not None:
                yield f"{arm.label} ({regime})", [*below, ("arm", found)]
        if below:
            more = f"; the same for {', '.join(same)}" if same else ""
            yield f"baseline ({regime}){more}", below


def _equal(a: Data, b: Data) -> bool:
    return all(np.array_equal(x, y, equal_nan=True) for x, y in zip(a, b, strict=True))


def _pair(bench: Bench, evaluator: str, *names: str) -> Read:
    """Reads some arrays of an evaluator together: all of them, or None."""

    def read(arm: ArmRecords) -> Data | None:
        found = [bench.array(arm, evaluator, name) for name in names]
        present = tuple(a for a in found if a is not None)
        return present if len(present) == len(names) else None

    return read


def _roc(bench: Bench) -> Iterator[Html]:
    read = _pair(bench, "privacy", "roc_fpr", "roc_tpr")
    found = list(_beside(bench, read))
    scale = charts.roc_scale([sides for _, sides in found])
    for caption, sides in found:
        yield figure(charts.roc(sides, scale, f"Attack on {caption}"), caption)


def _reliability(bench: Bench) -> Iterator[Html]:
    def read(arm: ArmRecords) -> Data | None:
        confidence = bench.array(arm, "uncertainty", "bin_confidence")
        accuracy = bench.intervals(arm, "uncertainty", "bin_accuracy")
        return (confidence.mean(0), *accuracy) if confidence is not None and accuracy else None

    for caption, sides in _beside(bench, read):
        yield figure(charts.reliability(sides, f"Reliability of {caption}"), caption)


def _sets(bench: Bench) -> Iterator[Html]:
    for regime in bench.regimes:
        for arm in bench.treated(regime):
            for score in ("aps", "lac"):
                found = _pair(bench, "set_size_gap", "groups", f"rows_by_size_{score}")(arm)
                if found is not None:
                    names = [_names(bench)[int(g)] for g in found[0]]
                    caption = f"{arm.label} ({regime}), score {score}"
                    drawing = charts.set_sizes(found[1], names, f"Set sizes of {caption}")
                    yield figure(drawing, caption)


def _groups(bench: Bench) -> Iterator[Html]:
    names = _names(bench)
    found = list(_beside(bench, lambda arm: bench.intervals(arm, "fairness", "group_accuracy")))
    scale = charts.group_scale([side[0] for _, sides in found for _, side in sides])
    for caption, sides in found:
        kept = np.flatnonzero(np.isfinite(sides[0][1][0]))
        seen: charts.Sides = [(look, tuple(v[kept] for v in side)) for look, side in sides]
        rows = [names[k] for k in kept]  # a group without test rows has no accuracy
        yield figure(charts.by_group(seen, rows, scale, f"Accuracy by group of {caption}"), caption)


def _robustness(bench: Bench) -> Iterator[Html]:
    def read(arm: ArmRecords) -> Data | None:
        radius = bench.fact(arm, "robustness", "epsilon")
        means = [bench.mean(arm, f"robustness/{name}") for name in CURVE]
        known = [m for m in means if m is not None]
        if len(known) < len(CURVE) or not isinstance(radius, int | float):
            return None
        return float(radius) * np.array([0, 0.5, 1, 2, 2.7]), *as_arrays(known)

    for caption, sides in _beside(bench, read):
        *radii, box = sides[-1][1][0]
        places = [*((float(x), f"{x:z.3g}") for x in radii), (float(box), "box")]
        drawing = charts.robustness(sides, places, f"Accuracy under attack of {caption}")
        yield figure(drawing, caption)


def _names(bench: Bench) -> list[str]:
    """The groups' names with the size of each."""
    problem = next(r.problem for r in bench.records if r.problem is not None)
    return [f"{g} (n={problem.group_sizes.get(g, 0)})" for g in problem.groups]
