"""Behind a cell of the table: its registration, its measurements, and how to repeat them."""

from collections.abc import Iterator, Mapping

from trustbench.contracts.aspects import Aspect
from trustbench.store.labels import show, shown
from trustbench.store.records import Scalar
from trustbench.summary.render import row_method
from trustbench.summary.render import wording as w
from trustbench.summary.report import cell_charts
from trustbench.summary.report.commands import experiment_command
from trustbench.summary.report.evidence import Bench
from trustbench.summary.report.grid import badge
from trustbench.summary.report.markup import Child, Html, join, listing, sentence, table, tag, terms
from trustbench.summary.report.numbers import estimate, level, number, p_value, signed
from trustbench.summary.report.risks import Lines
from trustbench.summary.report.svg import figure, short
from trustbench.summary.table.registry import Cell, Measure
from trustbench.summary.table.results import CellResult, Estimate, TableResult


def details(bench: Bench, risks: Lines, experiment: str | None) -> Html:
    """A section for each cell of the table, in its order, with its risk."""
    result = bench.result
    ordered = [c for source in Aspect for c in w.row_cells(result, source)]
    cells = [*ordered, *result.reseed]
    return join(*(_details(bench, c, risks, experiment) for c in cells))


def _details(bench: Bench, cell: CellResult, risks: Lines, experiment: str | None) -> Html:
    head = tag(
        "summary",
        tag("h4", _name(cell), " ", badge(cell.verdict), " ", _short(cell)),
    )
    body = [
        tag(
            "div",
            tag(
                "div",
                tag("h5", "Registered before anything ran"),
                terms([*_registered(bench.result, cell)]),
            ),
            tag("div", tag("h5", "Measured"), terms([*_measured(bench, cell)])),
            class_="columns",
        ),
        tag("div", *_figures(bench, cell), class_="figures"),
        *_doses(cell),
        *_secondary(bench.result, cell),
        risks.get((cell.source, cell.target)),
        *_reproduction(bench, cell, experiment),
        tag("p", tag("a", "Back to the table", href=f"#t{bench.index}-table"), class_="back"),
    ]
    return tag("details", head, *body, id=bench.anchor(cell), class_="cell", open=True)


def _name(cell: CellResult) -> Html:
    words = f"{cell.source or 'another seed'} on {cell.target}"
    return join(tag("span", cell.name, class_="name"), " ", tag("span", words, class_="words"))


def _short(cell: CellResult) -> Html:
    if cell.estimate.effect is None:
        return join()
    return join(estimate(cell.estimate))


def _registered(result: TableResult, cell: CellResult) -> Iterator[tuple[str, Child]]:
    registered, measure = cell.registered, cell.measure
    yield "says", measure.sentence if measure is not None else None
    compared = "reseed control - baseline" if cell.source is None else "treated - baseline"
    if registered is not None:
        compared = registered.contrast.replace("reference", str(registered.reference))
        point = _dose(registered.operating_point)
        yield "method", f"{cell.intervention} {point}".rstrip()
        yield "the row's method", cell.row if cell.borrowed else None
    yield "contrast", compared
    yield from _measure(result, cell, measure)
    if registered is not None:
        yield from _expected(registered)


def _dose(values: Mapping[str, Scalar]) -> str:
    return " ".join(f"{k}={show(v)}" for k, v in values.items() if v is not None)


def _measure(
    result: TableResult, cell: CellResult, measure: Measure | None
) -> Iterator[tuple[str, Child]]:
    if measure is None:
        return
    reference = cell.registered.reference if cell.registered else None
    yield "metric", tag("code", w.contrast_name(measure.metric, measure.against, reference))
    if (declared := result.metrics.get(measure.metric)) is not None:
        yield "unit", f"{declared.unit}; {declared.better} is better"
    yield "regime", measure.regime
    yield "smallest effect of interest", f"{measure.delta:zg}"
    yield "unacceptable change", f"{measure.unacceptable:zg}"
    if measure.unreliable_if is not None:
        yield "misleads where", join(tag("code", measure.unreliable_if), " is above zero")


def _expected(registered: Cell) -> Iterator[tuple[str, Child]]:
    yield "expected", f"{registered.expected}, which decides nothing"
    yield "dose", registered.dose
    yield "needs", registered.needs
    yield "note", registered.note
    yield "references", ", ".join(registered.references) or "none"


def _measured(bench: Bench, cell: CellResult) -> Iterator[tuple[str, Child]]:
    e = cell.estimate
    yield "verdict", badge(cell.verdict)
    if e.reason is not None:
        yield "reason", e.reason
    yield "unreliable", cell.unreliable
    yield "below the utility floor", e.below_floor
    yield "arm", e.arm
    yield "regime", e.regime
    yield "settings that are not registered", shown(e.settings) or None
    if e.effect is None:
        return
    unit = f" {e.unit}; positive is worse" if e.unit else ""
    yield "effect", join(estimate(e), f", 95 % paired t interval,{unit}")
    yield from _row_own(cell)
    yield "means", join(
        "treated ", level(e.treated_mean, "treated_mean"), _chance(e.treated_chance, "treated"),
        ", compared with ",
        level(e.reference_mean, "baseline_mean"), _chance(e.reference_chance, "baseline"),
    )  # fmt: skip
    if e.beyond_chance is not None:
        less = number(e.beyond_chance, "beyond_chance.")
        yield "less random groups", join(less, " ", w.sample(e.beyond_chance))
    if e.p_adjusted is not None:
        yield "p (Holm)", p_value(e.p_adjusted, "p_holm")
    else:
        yield "p", p_value(e.effect.p, "p")
    if e.effect.dz is not None:
        yield "in standard deviations", signed(e.effect.dz, "dz")
    yield from _beyond(cell)
    yield from _reseed(bench, cell)
    yield "records", join(*(_record(bench, r) for r in e.records))


def _row_own(cell: CellResult) -> Iterator[tuple[str, Child]]:
    """What the row's own method does, where the cell is measured by another one."""
    own = cell.own
    if own is None or own.effect is None:
        return
    name = row_method.metric(cell, own)
    on = join(" on ", tag("code", name)) if name else None
    word = f"; exploratory: {own.verdict.text}" if own.verdict else None
    shown = join(number(own.effect, "row_own."), " ", w.sample(own.effect))
    yield f"the row's own {own.arm}", join(shown, on, word)


def _chance(mean: float | None, side: str) -> Html | None:
    """`wording.beside_chance` with the exact value."""
    if mean is None:
        return None
    return join(" (random groups of these sizes: ", level(mean, f"{side}_chance"), ")")


def _beyond(cell: CellResult) -> Iterator[tuple[str, Child]]:
    """The effect beyond a baseline of equal accuracy, or the reason for none."""
    if cell.beyond_matched is not None:
        gap = cell.matched_accuracy_gap
        missed = None if gap is None else f"; the match missed by {gap:z.3f} validation accuracy"
        shown = number(cell.beyond_matched, "beyond_matched.")
        yield "beyond matched accuracy", join(shown, " ", w.sample(cell.beyond_matched), missed)
    elif cell.beyond_reason is not None:
        yield "beyond matched accuracy", cell.beyond_reason


def _reseed(bench: Bench, cell: CellResult) -> Iterator[tuple[str, Child]]:
    """The effect of another seed alone on the same metric."""
    if cell.source is None:
        return
    control = bench.result.reseed[w.TARGETS.index(cell.target)]
    if w.own_metric(bench.result, cell) is not None:
        yield "reseed control", "of the column's metric only, which this cell does not use"
    elif control.estimate.effect is None:
        yield "reseed control", control.verdict.text
    else:
        where = f"#{bench.anchor(control)}"
        word = tag("a", w.short(control.verdict), href=where)
        yield "reseed control", join(number(control.estimate.effect, "reseed."), " ", word)


def _figures(bench: Bench, cell: CellResult) -> Iterator[Html]:
    e, measure = cell.estimate, cell.measure
    if e.effect is None or measure is None:
        return
    names = (
        ("null", "observed")
        if e.against is not None
        else (short(e.reference or "baseline", 14), "treated")
    )
    if cell.source is None:
        names = ("baseline", "reseed")
    drawing = cell_charts.paired(bench.paired(e), e, e.effect, measure.delta, names)
    more = "" if e.effect.pools == 1 else " The interval rests on the means of the pools."
    if e.effect.common > 0:
        more += " It counts an error that the replicates share, beside their spread."
    yield figure(
        drawing,
        "Left: each replicate's value, joined to what it is compared with. Right: the differences "
        "in units of harm, their mean and 95 % interval; shaded: effects too small to matter."
        f"{more}",
    )
    yield from _dose_chart(cell, measure)


def _dose_chart(cell: CellResult, measure: Measure) -> Iterator[Html]:
    """The effect over the dose, if at least two doses have a number."""
    key = _varied(cell)
    if key is None:
        return
    known = [(x, e) for e in cell.doses if (x := _numeric(e, key)) is not None]
    yield figure(
        cell_charts.dose_response(known, key, measure.delta),
        f"The effect over {key} with 95 % intervals (exploratory); shaded: too small to matter.",
    )


def _varied(cell: CellResult) -> str | None:
    """The parameter with at least two measured doses: the registered one, or the only one."""
    registered = cell.registered.dose if cell.registered else None
    names = dict.fromkeys(k for e in cell.doses for k in e.dose)
    if registered is not None:
        names = {registered.rpartition(".")[2]: None}
    varied = [k for k in names if len({_numeric(e, k) for e in cell.doses} - {None}) > 1]
    return varied[0] if len(varied) == 1 else None


def _numeric(e: Estimate, key: str) -> float | None:
    """A dose that has an effect, as a number."""
    value = e.dose.get(key)
    if e.effect is None or isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value)


def _doses(cell: CellResult) -> Iterator[Html]:
    if len(cell.doses) < 2:
        return
    rows: list[list[Child]] = [
        [e.arm, estimate(e), w.short(e.verdict) if e.verdict else "", p_value(e.p_adjusted, "p_bh")]
        for e in cell.doses
    ]
    yield tag("h5", "Doses")
    yield table(
        ["arm", "effect", "verdict", "p (BH)"], rows, caption=sentence(w.exploratory_note())
    )


def _secondary(result: TableResult, cell: CellResult) -> Iterator[Html]:
    if not cell.secondary:
        return
    yield tag("h5", "Secondary metrics")
    head: list[Child] = ["metric", "arm", "regime", "effect", "p (BH)"]
    rows = [_beside(result, e) for e in cell.secondary]
    yield table(head, rows, caption=sentence(w.exploratory_note()))


def _beside(result: TableResult, e: Estimate) -> list[Child]:
    says = result.explanation(e.metric)
    what = join(says and tag("span", says, class_="says"), tag("code", w.measured_as(e)))
    more = None
    if e.verdict is not None and e.reason != e.verdict.detail:
        more = f": {e.reason}"
    if e.effect is not None and (less := w.less_chance(e)) is not None:
        more = f"; {less}"
    shown = join(estimate(e), more)
    return [what, e.arm, e.regime, shown, p_value(e.p_adjusted, "p_bh")]


def _reproduction(bench: Bench, cell: CellResult, experiment: str | None) -> Iterator[Html]:
    """The commands that measure this cell again."""
    commands: list[Child] = []
    registered = cell.registered
    if registered is not None and not registered.diagonal:
        pair = experiment_command(f"{registered.source}_vs_{registered.target}", bench.records)
        commands.append(join("this cell with its doses: ", tag("code", pair, class_="command")))
    if experiment is not None:
        whole = experiment_command(experiment, bench.records)
        if whole is not None:
            commands.append(
                join("the sweep it was read from: ", tag("code", whole, class_="command"))
            )
    if cell.estimate.records:
        commands.append("each arm alone, with every setting: follow its record above")
    if commands:
        yield tag("h5", "Measure it again")
        yield listing(commands)


def _record(bench: Bench, ident: str) -> Html:
    where = bench.record_anchor(ident)
    code = tag("code", ident)
    return join(tag("a", code, href=f"#{where}") if where else code, " ")
