"""One hostile set of records, and what every renderer makes of it."""

import io
import re
from functools import cache
from types import SimpleNamespace

from rich.console import Console

from tests.unit.summary.builder import CRESSWELL, method, record
from tests.unit.summary.decide.gating import GAP, pair
from tests.unit.summary.decide.gating import policy as gate_policy
from tests.unit.summary.decide.test_select import choose, policy
from tests.unit.summary.report.report_data import arrays, page, whole
from trustbench.contracts.aspects import Aspect
from trustbench.store.audits import (
    AuditedEffect,
    AuditedMetric,
    AuditedTable,
    AuditRecord,
    RowNumber,
    SeenRows,
)
from trustbench.store.records import PluginSpec, ProblemSpec
from trustbench.summary.cards import card_text as card_page
from trustbench.summary.cards import datasheet_text as datasheet_page
from trustbench.summary.cards.audit_card import audit_card
from trustbench.summary.cards.card import card
from trustbench.summary.cards.datasheet import datasheet
from trustbench.summary.cards.export_text import Remeasured, export_card
from trustbench.summary.decide import (
    gate_json,
    gate_junit,
    gate_markdown,
    gate_terminal,
    select_json,
)
from trustbench.summary.decide import select_text as select
from trustbench.summary.decide.audit_gate import gate_audit
from trustbench.summary.render import (
    audit_beside,
    audit_text,
    csv_,
    html,
    json_,
    latex,
    markdown,
    terminal,
    text_table,
)
from trustbench.summary.render import cell as cell_page
from trustbench.summary.render.single_arm import single_arm
from trustbench.summary.report import audit_document, audits_document
from trustbench.summary.table.table import summarize

SCRIPT = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>"
MARKUP = "\n## x\n| a | b |\n[z](http://evil) `c` ***@all*** "
TEX = r"\input{/etc/passwd}\write18{id} $x$ % "
TERMINAL = "\x1b]0;title\x07\x1b[2J\x1b[31m\x9b31m\x08\r\u202e\u2028\x85"
EVIL = f"{SCRIPT}{MARKUP}{TEX}{TERMINAL}]]>&amp;"
HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def hostile(each, evil=EVIL):
    """The record with `evil` wherever a configuration or data may put a text."""
    groups = [f"{evil}{i}" for i in range(10)]
    known_problem = each.problem or record(regime=each.arm.training["regime"]).problem
    problem = ProblemSpec(
        fingerprint=known_problem.fingerprint,
        sizes=known_problem.sizes,
        classes=groups,
        groups=groups,
        group_name=evil,
        group_sizes=dict.fromkeys(groups, 50),
        card={"description": evil, "licence": evil, evil: evil},
    )
    arm = each.arm
    methods = [
        i.model_copy(update={k: {**getattr(i, k), "mode": evil} for k in ("params", "dose")})
        for i in arm.interventions
    ]
    arm = arm.model_copy(
        update={
            "dataset": PluginSpec(name=evil, params={"path": evil, evil: evil}),
            "model": PluginSpec(name=evil, params={evil: evil}),
            "interventions": methods,
        }
    )
    evaluations = {
        k: e.model_copy(
            update={
                "reason": f"{e.reason} {evil}" if e.reason else None,
                "missing": {"some_metric": evil} if e.status == "ok" else {},
            }
        )
        for k, e in each.evaluations.items()
    }
    return each.model_copy(
        update={
            "problem": problem,
            "arm": arm,
            "evaluations": evaluations,
            "reason": f"{each.reason} {evil}" if each.reason else None,
            "facts": {**each.facts, "note": evil, evil: evil} if methods else each.facts,
            "environment": {"host": evil, evil: evil},
        }
    )


@cache
def table(evil=EVIL):
    """The tables of hostile records."""
    return summarize([hostile(r, evil) for r in whole()], CRESSWELL)


def gate(evil=EVIL):
    asked = gate_policy(
        {"metric": GAP, "at_most": 0.1, "reason": evil},
        {"metric": GAP, "worse_by_at_most": 0.02, "reason": evil},
        {"metric": "fairness/class_sd", "at_most": 0.1},
        name=evil,
        description=evil,
    )
    sides = [hostile(record(*i), evil) for i in ((), (method(evil, epsilon=1.0),))]
    return pair(asked, sides[1], sides[0])


def selection(evil=EVIL):
    arms = [((), r) for r in ("tuned", "memorising")]
    arms += [((method("pgd_at", epsilon=0.1),), r) for r in ("tuned", "memorising")]
    found = [hostile(record(*i, regime=r), evil) for i, r in arms]
    return [choose(found, policy(description=evil, name=evil))]


def model_card(evil=EVIL):
    """The card of a treated arm with its baseline, by group."""
    records = [hostile(r, evil) for r in (record(), record(method("dpsgd", epsilon=3.0)))]
    made = card(records[1], arrays(records[1].id), records, CRESSWELL)
    return card_page.markdown(made, CRESSWELL, licence=evil)


def exported(evil=EVIL):
    """The card of an exported model that was trained again, with a policy's verdict."""
    measured = hostile(record(method("dpsgd", epsilon=3.0)), evil)
    again = Remeasured(hostile(record(), evil), {evil: evil})
    spec = SimpleNamespace(
        label=evil,
        record=evil,
        trained_on=evil,
        needs_group=True,
        group_name=evil,
        privacy=[],
        rows_held={evil: 5},
    )
    return export_card(measured, spec, None, again, (evil, evil), model_card(evil))


def data_sheet(evil=EVIL):
    """The datasheet of hostile records, one of which failed, by group."""
    treated = record(method("dpsgd", epsilon=3.0), status="failed", reason=evil)
    mine = record(method(evil, epsilon=1.0), ident="mine")
    records = [hostile(r, evil) for r in (record(), mine, treated)]
    return datasheet_page.markdown(datasheet(records, arrays, CRESSWELL))


def audit(evil=EVIL):
    """The record of an audit in which every name is hostile."""
    number = RowNumber(
        value=0.5, low=0.4, high=0.6, low90=0.42, high90=0.58, se=0.05, method="bootstrap"
    )
    metric = AuditedMetric(
        number=number, n=9, unit=evil, higher_is_better=True, sentence=evil, null=0.5
    )
    found = {f"{evil}/{evil}": metric}
    effect = AuditedEffect(number=number, p=0.1, n=9, reference=0.4)
    return AuditRecord(
        id="a",
        model={"name": evil, "kind": evil},
        reference={"name": evil},
        table=AuditedTable(
            name=evil, digest="d", rows=9, target=evil, sensitive=[evil], classes=[evil, "b"],
            groups=[evil], group_name=evil, group_sizes={evil: 9},
        ),
        rows=SeenRows(
            known=False, how=evil, seen=1, copies=1, measured=9, calibration=0, members=0
        ),
        draws=100,
        seed=0,
        metrics=found,
        missing={f"{evil}/x": evil, f"x/{evil}": evil},
        left_out={f"{evil}/left_out": evil},
        on_seen=found,
        effects={f"{evil}/{evil}": effect},
    )  # fmt: skip


def audit_decisions(evil=EVIL):
    asked = gate_policy(
        {"metric": GAP, "at_most": 0.1, "reason": evil}, name=evil, description=evil
    )
    return gate_audit(audit(evil), CRESSWELL, asked)


def beside_an_arm(evil):
    """A given model's audit beside an arm that measured the same metrics."""
    arm = hostile(record(), evil)
    (metric,) = audit(evil).metrics.values()
    names = [f"{e.evaluator.name}/{m}" for e in arm.evaluations.values() for m in e.measurements]
    shared = audit(evil).model_copy(update={"metrics": dict.fromkeys(names, metric)})
    return audit_beside.beside(shared, arm)


def on_terminal(renderable):
    """What a colour terminal is sent, without the colours that are rich's own."""
    out = io.StringIO()
    console = Console(file=out, width=120, force_terminal=True, color_system=None)
    console.print(renderable)
    return out.getvalue()


def live_table(evil):
    """What a sweep sends to a terminal when it ends."""
    out = io.StringIO()
    console = Console(file=out, width=120, force_terminal=True, color_system=None)
    terminal.show_tables(table(evil), console)
    return out.getvalue()


def cells(evil):
    found = table(evil)
    every = list(zip(Aspect, reversed(Aspect), strict=True))[:1]
    return "\n".join(cell_page.cell_text(CRESSWELL, s, t, found) for s, t in every)


@cache
def report(evil):
    return page([hostile(r, evil) for r in whole()], experiment=evil)[0]


# kind -> name -> what it writes of hostile records
OUTPUTS = {
    "html": {
        "report": report,
        "table": lambda evil: html.text(table(evil)),
        "audit": lambda evil: audit_document(audit(evil), audit_decisions(evil)),
        "audits": lambda evil: audits_document([audit(evil), audit(evil)]),
    },
    "markdown": {
        "table": lambda evil: markdown.text(table(evil)),
        "card": model_card,
        "datasheet": data_sheet,
        "export": exported,
        "card of an audit": lambda evil: audit_card(audit(evil), CRESSWELL, licence=evil),
        "gate": lambda evil: gate_markdown.text(gate(evil)),
        "audit": lambda evil: audit_text.markdown(audit(evil)),
        "gate of an audit": lambda evil: gate_markdown.text(audit_decisions(evil)),
        "select": lambda evil: select.markdown(selection(evil), []),
    },
    "latex": {"table": lambda evil: latex.text(table(evil))},
    "csv": {"table": lambda evil: csv_.text(table(evil))},
    "json": {
        "table": lambda evil: json_.text(table(evil)),
        "gate": lambda evil: gate_json.text(gate(evil)),
        "select": lambda evil: select_json.text(selection(evil), []),
    },
    "xml": {"junit": lambda evil: gate_junit.text(gate(evil))},
    "terminal": {
        "table": lambda evil: terminal.text(table(evil)),
        "coloured table": live_table,
        "gate": lambda evil: gate_terminal.text(gate(evil)),
        "audit": lambda evil: audit_text.text(audit(evil)),
        "audit beside an arm": beside_an_arm,
        "gate of an audit": lambda evil: gate_terminal.text(audit_decisions(evil)),
        "select": lambda evil: select.terminal(selection(evil), []),
        "cell": cells,
        "single arm": lambda evil: on_terminal(
            single_arm(hostile(record(method("dpsgd", epsilon=3.0)), evil))
        ),
        "failed arm": lambda evil: on_terminal(
            single_arm(hostile(record(status="failed", reason=evil), evil))
        ),
        "columns": lambda evil: "\n".join(text_table.aligned([evil], [[evil]])),
    },
}

EVERY = [(kind, name) for kind, names in OUTPUTS.items() for name in names]

# Modules beside the renderers that write nothing themselves.
PARTS = {
    "audit_gate", "card", "comparison", "data_front_matter", "datasheet", "decisions", "escaping",
    "factorial_wording", "figures", "finding", "front_matter", "gate", "gate_wording",
    "known_interactions", "markdown_parts", "marks", "mitigation_wording", "png", "policy",
    "policy_risk", "policy_rules", "row_method", "secondary_wording", "select", "subject",
    "unreliable", "wording",
}  # fmt: skip
WRITERS = {
    "audit_beside", "audit_card", "audit_text", "card_text", "cell", "csv_", "datasheet_text",
    "export_text", "gate_json", "gate_junit", "gate_markdown", "gate_terminal", "html", "json_",
    "latex", "markdown", "select_json", "select_text", "single_arm", "terminal", "text_table",
}  # fmt: skip
