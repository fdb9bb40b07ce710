"""The page: head, table and evidence of each dataset, and risks; it loads nothing external."""

import base64
import hashlib
from collections.abc import Collection, Sequence
from importlib.resources import files

from trustbench.errors import UserError
from trustbench.store.records import Record
from trustbench.summary.decide.policy import Policy
from trustbench.summary.render.finding import findings
from trustbench.summary.report import tables
from trustbench.summary.report.cells import details
from trustbench.summary.report.commands import experiment_command
from trustbench.summary.report.evidence import Bench, Loader, benches
from trustbench.summary.report.grid import grid, legend
from trustbench.summary.report.markup import Child, Html, join, listing, tag
from trustbench.summary.report.panels import panels
from trustbench.summary.report.provenance import provenance
from trustbench.summary.report.risks import Lines, risk_section
from trustbench.summary.table.results import TableResult

CHARSET = '<meta charset="utf-8">'


def document(
    results: Sequence[TableResult],
    records: Sequence[Record],
    evaluations: Collection[str] | None,
    load: Loader,
    experiment: str | None = None,
    policy: Policy | None = None,
) -> str:
    """Renders the report of some tables as one HTML file, deterministically for given records.

    `records` and `evaluations` are those from which `results` were summarised; `load` returns the
    arrays of an arm; `experiment` is the sweep's, None if no sweep was chosen; a `policy` applies
    its weights and bands to the risks.

    Raises UserError without any table.
    """
    if not results:
        raise UserError(
            "there is no record to make a report of; run an experiment first, for example "
            "`trustbench run +experiment=dp_vs_fairness`."
        )
    found = benches(results, records, evaluations, load)
    risks, lines = risk_section(results, policy)
    title = f"trustbench: {', '.join(dict.fromkeys(r.title for r in results))}"
    body = tag(
        "body",
        tag("a", "Skip to the table", href="#t0-table", class_="skip"),
        _header(found, title),
        tag(
            "main",
            *(_table(b, lines, experiment) for b in found),
            risks,
        ),
        _footer(found, experiment),
        _own("script", "script.js"),
    )
    return f"<!doctype html>\n{tag('html', head(title), body, lang='en')}\n"


def head(title: str) -> Html:
    """Style and security policy: a browser that honours it runs only our script."""
    policy = (
        f"default-src 'none'; style-src {_digest('style.css')}; script-src {_digest('script.js')}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    return tag(
        "head",
        Html(CHARSET),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", title),
        _own("style", "style.css"),
    )


def _source(name: str) -> str:
    return files("trustbench.summary.report").joinpath(name).read_text(encoding="utf-8")


def _own(element: str, name: str) -> Html:
    """One of our files as an element; it contains no `</`, so nothing in it ends the element."""
    return tag(element, Html(_source(name)))


def _digest(name: str) -> str:
    digest = hashlib.sha256(_source(name).encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _header(found: Sequence[Bench], title: str) -> Html:
    links: list[Child] = [tag("a", b.result.title, href=f"#t{b.index}") for b in found]
    about = (
        "What a method of one aspect of trustworthy AI (row) does to the others (column). Positive "
        "is worse. Choose a cell for its evidence; the Escape key leads back. What is open prints."
    )
    return tag(
        "header", tag("h1", title), tag("p", about), listing(links) if len(links) > 1 else None
    )


def _footer(found: Sequence[Bench], experiment: str | None) -> Html:
    """How the page was made: for an auditor, not for the first screen."""
    lines: list[Child] = [join(tag("b", b.result.title), f": {_seen(b)}") for b in found]
    if experiment is not None:
        lines.append(join("experiment ", tag("code", experiment)))
        command = experiment_command(experiment, found[0].records) if len(found) == 1 else None
        if command is not None:
            lines.append(join("made by ", tag("code", command, class_="command")))
    return tag("footer", listing(lines))


def _seen(bench: Bench) -> str:
    """The software and the data in one line."""
    versions = dict.fromkeys(str(r.environment.get("trustbench", "?")) for r in bench.records)
    prints = dict.fromkeys(r.problem.fingerprint[:12] for r in bench.records if r.problem)
    seeds = ", ".join(map(str, bench.result.seeds))
    return (
        f"trustbench {', '.join(versions)}, seed {seeds}, {len(bench.records)} records, "
        f"data {', '.join(prints) or 'never loaded'}"
    )


def _table(bench: Bench, risks: Lines, experiment: str | None) -> Html:
    """Everything about one dataset and model."""
    k = bench.index
    return tag(
        "section",
        tag("h2", bench.result.title),
        tag("div", listing([*findings(bench.result)]), class_="findings"),
        tag("div", grid(bench), id=f"t{k}-table"),
        legend(bench.result),
        tables.notes(bench.result),
        tag("h3", "Cells", class_="cells"),
        details(bench, risks, experiment),
        tables.utility(bench),
        panels(bench),
        tables.arms(bench.result),
        *tables.factorials(bench.result),
        tables.mitigations(bench.result),
        provenance(bench),
        id=f"t{k}",
    )
