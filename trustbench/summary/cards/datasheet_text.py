"""A datasheet as Markdown, with the front matter that data hubs read; from records only."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from trustbench.store.labels import show
from trustbench.store.records import ProblemSpec, Record
from trustbench.summary.cards.data_front_matter import front_matter
from trustbench.summary.cards.datasheet import MEMBERS, Baseline, Datasheet
from trustbench.summary.cards.markdown_parts import (
    FIGURE_HEAD,
    INTENDED,
    NAMES,
    code,
    figure_rows,
    grid,
    in_words,
    interval,
    out_of_scope,
    settings,
)
from trustbench.summary.render.known_interactions import cell, safe
from trustbench.summary.stats.values import canonical

UNEQUAL = {
    "rare": "the class, counted from 0, that is made rare in the training pool",
    "keep": "the share of the rare class's rows that stay in the training pool",
    "minority": "the share that the smaller group is drawn with",
    "subsample": "how many rows are taken in all",
}
"""The settings that determine the number of rows of a class, of a group, or in all."""
INCLUSION = {
    "half": "Each replicate is trained on its own random half of the training pool",
    "all": "Each replicate is trained on all of the training pool",
}
NO_CUT = {"rare": "no class is made rare", "subsample": "every row is taken"}


def markdown(sheet: Datasheet) -> str:
    """Renders the sections of Gebru et al. 2021, and the measurements on the data."""
    text = [front_matter(sheet)]
    for section in (
        *(_head, _motivation, _composition, _collection, _preprocessing),
        *(_uses, _distribution, _maintenance, _measured),
    ):
        text += [*section(sheet), ""]
    return "\n".join(text).rstrip("\n") + "\n"


def _head(sheet: Datasheet) -> Iterator[str]:
    yield f"# Datasheet of {safe(sheet.dataset)}\n"
    yield (
        "The questions of Gebru et al. 2021, Datasheets for Datasets (arXiv 1803.09010), answered "
        "from stored records only. Each number stands beside the record that it is from. What no "
        "record knows is named as not known."
    )


def _motivation(sheet: Datasheet) -> Iterator[str]:
    yield "## Motivation\n"
    yield from _stated(sheet, "reference")
    yield f"- Used here: {INTENDED}"
    yield _unknown("what the data were made for, who made them and who paid, beyond the reference")


def _composition(sheet: Datasheet) -> Iterator[str]:
    yield "## Composition\n"
    yield from _stated(sheet, "description", "synthetic", "rows_public")
    for problem, source in _distinct(sheet, lambda p: p.classes):
        yield f"- Classes: {safe(', '.join(problem.classes))} (record {code(source)})"
    counted = all(u.problem.groups == u.problem.classes for u in sheet.problems)
    rows = "rows of each group" if counted else "rows of each class, rows of each group"
    yield _unknown(f"{rows} outside of the test set; relations between rows")
    yield "\nThe data as records used them, one row for each fingerprint:\n"
    yield from _sizes(sheet)
    yield (
        f"\n`{MEMBERS}` are the rows of the training pool that one replicate is trained on: those "
        "of the smallest replicate. A training that cuts the pool has a fingerprint of its own.\n"
    )
    rows_of = []
    for problem, source in _distinct(sheet, lambda p: [p.group_name, p.group_sizes]):
        for group, n in problem.group_sizes.items():
            rows_of.append([safe(problem.group_name), safe(group), str(n), code(source)])
    yield from grid(["groups by", "group", "test rows", "record"], rows_of)


def _sizes(sheet: Datasheet) -> Iterator[str]:
    splits = list(dict.fromkeys(k for u in sheet.problems for k in u.problem.sizes))
    rows = []
    for used in sheet.problems:
        own = "; ".join(settings(p.params) for p in used.plugins)
        sizes = (str(used.problem.sizes.get(k, "not known")) for k in splits)
        made = [", ".join(map(str, used.seeds)), safe(", ".join(used.regimes))]
        rows.append([own, *made, *sizes, code(used.problem.fingerprint), code(used.source)])
    heads = [*(safe(s) for s in splits), "fingerprint", "record"]
    yield from grid(["settings", "seed", "training", *heads], rows)


def _collection(sheet: Datasheet) -> Iterator[str]:
    yield "## Collection process\n"
    made_up = sheet.stated("synthetic")
    for synthetic, source in made_up:
        if synthetic:
            yield f"- Nothing was collected: the data are synthetic (record {code(source)})"
    if not made_up or not all(synthetic for synthetic, _ in made_up):
        yield _unknown(
            "how, when and by whom the data were collected, beyond description and reference; "
            "whether people were asked and consented; whether anybody reviewed it"
        )


def _preprocessing(sheet: Datasheet) -> Iterator[str]:
    yield "## Preprocessing\n"
    rows = [
        [safe(k), cell(show(value)), meaning, code(source)]
        for k, value, meaning, source in sorted(_loaded(sheet), key=lambda r: r[0] not in UNEQUAL)
    ]
    if rows:
        yield "The settings that the data were loaded with.\n"
        yield from grid(["setting", "value", "what it decides", "record"], rows)
        yield ""
    for most, source in _of_records(sheet, lambda r: r.arm.training.get("max_members")):
        yield (
            f"- Some trainings take at most {safe(str(most))} rows for a replicate "
            f"(`max_members`, record {code(source)})"
        )
    for part, source in _of_records(sheet, lambda r: r.arm.protocol.get("inclusion")):
        words = INCLUSION.get(part, "How a replicate's rows are taken from the training pool")
        yield f"- {words} (`inclusion`: {safe(str(part))}, record {code(source)})"
    yield _unknown("cleaning and scaling beyond the description, and whether the raw data are kept")


def _loaded(sheet: Datasheet) -> Iterator[tuple[str, Any, str, str]]:
    """(setting, value, what it decides, record) of every value of a setting."""
    seen = set()
    for used in sheet.problems:
        for record in used.records:
            for name, value in record.arm.dataset.params.items():
                meaning = _meaning(name, record.arm.dataset.params)
                key = canonical([name, value, meaning])
                if key not in seen:
                    seen.add(key)
                    yield name, value, meaning, record.id


def _meaning(name: str, params: Mapping[str, Any]) -> str:
    if name == "keep" and params.get("rare", 0) is None:
        return f"nothing here: {NO_CUT['rare']}"
    return NO_CUT.get(name, "") if params[name] is None else UNEQUAL.get(name, "")


def _uses(sheet: Datasheet) -> Iterator[str]:
    yield "## Uses\n"
    yield f"- Intended here: {INTENDED}"
    yield from _stated(sheet, "known_harms")
    yield f"- Out of scope: {'; '.join(out_of_scope(sheet.synthetic))}"
    yield _unknown("what else the data have been used for")


def _distribution(sheet: Datasheet) -> Iterator[str]:
    yield "## Distribution\n"
    yield from _stated(sheet, "licence")
    yield _unknown("who distributes the data, how and since when; fees and export rules")


def _maintenance(sheet: Datasheet) -> Iterator[str]:
    yield "## Maintenance\n"
    for version, source in _of_records(sheet, lambda r: r.arm.dataset.version):
        yield f"- Read by version {version} of the data set's plugin (record {code(source)})"
    yield "- Another edition of the data has another fingerprint than those under Composition."
    yield _unknown("who maintains the data, how to reach them, errata, later editions")


def _measured(sheet: Datasheet) -> Iterator[str]:
    yield "## What was measured on it\n"
    if sheet.baselines:
        yield from _baselines(sheet)
    else:
        yield "No baseline (no method, no control) was measured."
    yield "\nEvery record of the data set:\n"
    head = ["method", "control", "model", "training", "seed", "status", "record"]
    yield from grid(head, [_arm(a.label, r) for a in sheet.arms for r in a.records.values()])


def _baselines(sheet: Datasheet) -> Iterator[str]:
    yield (
        "Baselines, with no method applied: the primary metrics that table "
        f"{safe(sheet.table)} registers for fairness and utility. Intervals are 95 % t intervals "
        "over replicates.\n"
    )
    head = ["model", "training", "seed"]
    rows = [
        [*_model_training_seed(b.record), target, safe(metric), *cells]
        for b in sheet.baselines
        for target, metric in b.primary.items()
        for cells in figure_rows(b.record.id, metric, b.figures, b.missing)
    ]
    yield from grid([*head, "target", "metric", *FIGURE_HEAD], rows)
    groups = [row for b in sheet.baselines for row in _groups(b)]
    if groups:
        yield "\nBy group:\n"
        more = ["group", "test rows", "metric", "mean [95 % interval]", "record, evaluation"]
        yield from grid([*head, *more], groups)
    else:
        yield "\nNo metric by group is stored beside these records."


def _groups(baseline: Baseline) -> Iterator[list[str]]:
    record = baseline.record
    assert record.problem is not None  # a baseline that reached its data
    for column in baseline.groups:
        for group, n in record.problem.group_sizes.items():
            mean = column.by_group.get(group)
            shown = interval(mean) if mean else "not measured (too few rows)"
            source = f"{code(record.id)}, {safe(column.evaluation)}"
            yield [
                *_model_training_seed(record),
                safe(group),
                str(n),
                safe(column.metric),
                shown,
                source,
            ]


def _arm(label: str, record: Record) -> list[str]:
    model, training, seed = _model_training_seed(record)
    control = safe(record.arm.control)
    return [safe(label), control, model, training, seed, record.status, code(record.id)]


def _model_training_seed(record: Record) -> list[str]:
    """Model, training and seed of a record."""
    arm = record.arm
    return [safe(arm.model.name), safe(str(arm.training["regime"])), str(arm.seed)]


def _stated(sheet: Datasheet, *keys: str) -> Iterator[str]:
    """What the data set's card says about a topic, and the record that holds it."""
    for key in keys:
        found = sheet.stated(key)
        for value, source in found:
            yield f"- {NAMES[key]}: {in_words(value)} (record {code(source)})"
        if not found:
            yield f"- {NAMES[key]}: not known from the records"


def _unknown(what: str) -> str:
    return f"- Not known from the records: {what}."


def _distinct(
    sheet: Datasheet, read: Callable[[ProblemSpec], Any]
) -> Iterator[tuple[ProblemSpec, str]]:
    """The problems that differ in some way, each with the record cited for it."""
    found: dict[str, tuple[ProblemSpec, str]] = {}
    for used in sheet.problems:
        found.setdefault(canonical(read(used.problem)), (used.problem, used.source))
    yield from found.values()


def _of_records(sheet: Datasheet, read: Callable[[Record], Any]) -> Iterator[tuple[Any, str]]:
    """The values of a setting in the records, including None, each with its first record."""
    found: dict[str, tuple[Any, str]] = {}
    for used in sheet.problems:
        for record in used.records:
            value = read(record)
            if value is not None:
                found.setdefault(canonical(value), (value, record.id))
    yield from found.values()
