"""A model card as Markdown, with the front matter that model hubs read; from a record only."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from trustbench.store.labels import show
from trustbench.store.records import ProblemSpec
from trustbench.summary.cards.card import Card
from trustbench.summary.cards.figures import GroupColumn
from trustbench.summary.cards.front_matter import front_matter
from trustbench.summary.cards.front_matter import name as title
from trustbench.summary.cards.markdown_parts import (
    FIGURE_HEAD,
    INTENDED,
    NAMES,
    chosen,
    code,
    figure_cells,
    figure_rows,
    grid,
    in_words,
    interval,
    out_of_scope,
    settings,
)
from trustbench.summary.decide.policy import TARGETS
from trustbench.summary.render import wording as w
from trustbench.summary.render.escaping import visible
from trustbench.summary.render.known_interactions import cell, lines, safe
from trustbench.summary.table.audit_power import audits
from trustbench.summary.table.dp_noise import FACT, SEEDED, SYSTEM
from trustbench.summary.table.registry import Table
from trustbench.summary.table.reproduce import command
from trustbench.summary.table.results import Estimate


def markdown(
    card: Card,
    table: Table,
    licence: str | None = None,
    defaults: Mapping[str, Any] = MappingProxyType({}),
) -> str:
    """Renders the card.

    `licence` identifies the model's licence, which records do not hold; `defaults` are the data
    set's settings where nobody sets them, which the card leaves out.
    """
    text = [front_matter(card, licence), *_title(card, defaults), ""]
    for section in (_use, _data, _performance, _groups, _effects, _guarantees, _limits):
        text += [*section(card), ""]
    text += [*_known(card, table), ""]
    for section in (_reproduce, _provenance, _everything):
        text += [*section(card), ""]
    return "\n".join(text).rstrip("\n") + "\n"


def _problem(card: Card) -> ProblemSpec:
    assert card.record.problem is not None  # `card` refuses records without one
    return card.record.problem


def _title(card: Card, defaults: Mapping[str, Any]) -> Iterator[str]:
    record, arm = card.record, card.record.arm
    yield f"# {safe(title(card))}\n"
    yield (
        f"{record.replicates} models of one recipe, each trained on its own random part of the "
        f"training pool (`inclusion`: {safe(str(arm.protocol.get('inclusion')))}) and measured on "
        f"the same test rows. All numbers are from record {code(record.id)} unless a row names "
        "others; intervals are 95 % t intervals over these replicates, not cut at a metric's "
        "bounds.\n"
    )
    own = settings(chosen(arm.dataset.params, defaults))
    yield f"- Data set: {safe(arm.dataset.name)} (settings other than the defaults: {own})"
    yield f"- Model: {safe(arm.model.name)} ({settings(arm.model.params)})"
    yield f"- Training: {settings(arm.training)}"
    if record.pilot is not None:
        yield f"- Learning rate: {cell(record.pilot.line())}"
    for i in arm.interventions:
        aspect = f", {safe(str(i.aspect))}" if i.aspect else ""
        yield f"- Intervention: {safe(i.name)} version {i.version}{aspect} ({settings(i.params)})"
    if not arm.interventions:
        yield "- Interventions: none"
    yield f"- Control: {arm.control}"
    yield f"- Replicates: {record.replicates}; protocol: {settings(arm.protocol)}; seed {arm.seed}"


def _use(card: Card) -> Iterator[str]:
    yield "## Intended use and out of scope\n"
    yield (f"Intended: {INTENDED}. The numbers describe the recipe, not one model to deploy.\n")
    out = out_of_scope(bool(_problem(card).card.get("synthetic")))
    if card.record.arm.training["regime"] == "memorising":
        out.append("any use of the models: they are trained to memorise, to be attacked")
    if card.seeded:
        out.append("release of the models under their privacy guarantee (see Guarantees)")
    yield f"Out of scope: {'; '.join(out)}."


def _data(card: Card) -> Iterator[str]:
    problem, record = _problem(card), card.record
    yield "## Data\n"
    for key, text in problem.card.items():
        yield f"- {NAMES.get(key, safe(str(key)))}: {in_words(text)}"
    yield f"- Classes: {safe(', '.join(problem.classes))}"
    sizes = ", ".join(f"{k} {v}" for k, v in problem.sizes.items())
    yield f"- Rows: {safe(sizes)} (members: of the smallest replicate)"
    yield f"- Fingerprint of the data: {code(problem.fingerprint)} (record {code(record.id)})\n"
    rows = [[safe(g), str(n), code(record.id)] for g, n in problem.group_sizes.items()]
    yield from grid([f"group ({safe(problem.group_name)})", "test rows", "record"], rows)


def _performance(card: Card) -> Iterator[str]:
    yield "## The five aspects and utility\n"
    yield f"The metrics of table {safe(card.table)}: each target's primary one in bold.\n"
    rows = []
    for target in TARGETS:
        for k, metric in enumerate(card.primary[target]):
            shown = f"**{safe(metric)}**" if k == 0 else safe(metric)
            found = figure_rows(card.record.id, metric, card.figures.values(), card.missing)
            rows += [[target, shown, *cells] for cells in found]
    yield from grid(["target", "metric", *FIGURE_HEAD], rows)


def _groups(card: Card) -> Iterator[str]:
    yield "## Performance per group\n"
    if not card.groups:
        yield "No metric per group is stored beside this record."
        return
    problem = _problem(card)
    head = [safe(problem.group_name), "test rows", *(safe(c.metric) for c in card.groups)]
    rows = [
        [safe(g), str(problem.group_sizes[g]), *(_of_group(c, g) for c in card.groups)]
        for g in problem.groups
    ]
    yield from grid(head, rows)
    used = ", ".join(dict.fromkeys(c.evaluation for c in card.groups))
    yield f"\nRecord {code(card.record.id)}, evaluations {safe(used)}."


def _of_group(column: GroupColumn, group: str) -> str:
    found = column.by_group.get(group)
    return interval(found) if found else "not measured (too few rows)"


def _effects(card: Card) -> Iterator[str]:
    yield "## Effects of the interventions\n"
    if card.no_effects:
        yield f"None: {safe(card.no_effects)}."
        return
    yield (
        "Paired by replicate, positive is worse; against the baseline, or against the null or the "
        "reference that the table registers. Exploratory: "
        f"{safe(w.exploratory_note().removeprefix('exploratory: '))}.\n"
    )
    yield from grid(
        ["target", "metric", "regime", "effect [95 % interval]", "verdict", "records"],
        [_effect(target, e) for target, e in card.effects],
    )


def _effect(target: str, e: Estimate) -> list[str]:
    name = w.measured_as(e)
    less = w.less_chance(e)
    number = w.estimate_text(e) + (f"; {less}" if less else "") if e.effect else "no number"
    verdict = e.verdict.text if e.verdict else ""
    records = ", ".join(map(code, e.records))
    return [target, safe(name), safe(str(e.regime)), number, safe(verdict), records]


def _guarantees(card: Card) -> Iterator[str]:
    yield "## Guarantees\n"
    declared = {k: v for k, v in card.declared.items() if not k.startswith("matched_")}
    yield from (f"- Privacy: {safe(line)} (record {code(card.record.id)})" for line in card.claims)
    if not declared:
        yield "" if card.claims else "None is claimed."
        return
    yield "\nDeclared by the methods; these are claims, not measurements.\n"
    for key, value in declared.items():
        yield f"- {safe(key)}: {cell(show(value))} (record {code(card.record.id)})"
    if card.seeded:
        yield f"\n**These models must not be released as private.** Their noise was {SEEDED}."
    elif FACT in card.declared:
        yield f"\nTheir noise was {SYSTEM}."


def _limits(card: Card) -> Iterator[str]:
    record, problem = card.record, _problem(card)
    yield "## Limits\n"
    yield (
        f"- Intervals speak of {record.replicates} replicates on one draw of the data (seed "
        f"{record.arm.seed}); another draw may differ by more."
    )
    if record.arm.protocol.get("inclusion") == "half":
        yield "- Each replicate is trained on half of the pool: a model trained on all may differ."
    smallest = min(problem.group_sizes.values(), default=0)
    yield f"- The smallest group has {smallest} test rows (record {code(record.id)})."
    for metric, power in audits(record):
        yield f"- Audit by {safe(metric)}: {power} (record {code(record.id)})."
    if card.unreliable:
        yield f"- Robustness is unreliable: {safe(card.unreliable)}."
    if card.below_floor:
        yield f"- These models are below the utility floor: {safe(card.below_floor)}."
    yield from (f"- {safe(note)}" for note in card.settings)
    for name, why in card.missing.items():
        yield f"- Not measured, {safe(name)}: {safe(why)}."


def _known(card: Card, table: Table) -> Iterator[str]:
    interventions = card.record.arm.interventions
    yield "## Known interactions\n"
    if not interventions:
        yield "None: the arm has no intervention."
        return
    yield f"Registered in table {safe(table.name)} before anything was run; they decide nothing.\n"
    yield from (f"- {safe(line)}" for line in lines(table, interventions))


def _reproduce(card: Card) -> Iterator[str]:
    yield "## How to reproduce\n"
    # what is pasted into a shell must be what is seen: no name may hide a part of it
    text = "\n".join(map(visible, command(card.record).split("\n")))
    fence = "`" * (max((len(run) for run in _runs(text)), default=0) + 3)
    yield f"{fence}sh\n{text}\n{fence}"


def _runs(text: str) -> list[str]:
    """The runs of backticks in a text; a fence around it has to be longer."""
    return ["`" * len(part) for part in "".join(c if c == "`" else " " for c in text).split()]


def _provenance(card: Card) -> Iterator[str]:
    record = card.record
    yield "## Provenance\n"
    ids = f"Record {code(record.id)}, trained replicates {code(record.fit)}"
    yield f"- {ids}, engine {safe(record.arm.engine)}"
    yield f"- Fingerprint of the data: {code(_problem(card).fingerprint)}"
    for key, value in record.environment.items():
        yield f"- {safe(key)}: {safe(str(value))}"
    plugins = [record.arm.dataset, record.arm.model, *record.arm.interventions]
    versions = ", ".join(f"{p.name} {p.version}" for p in plugins)
    yield f"- Versions of the plugins: {safe(versions)}"
    facts = {k: v for k, v in record.facts.items() if k not in card.declared}
    yield f"- Training: {settings(facts)}"


def _everything(card: Card) -> Iterator[str]:
    yield f"## All {len(card.figures)} measurements\n"
    rows = [[safe(f.metric), *figure_cells(card.record.id, f)] for f in card.figures.values()]
    yield from grid(["metric", *FIGURE_HEAD], rows)
