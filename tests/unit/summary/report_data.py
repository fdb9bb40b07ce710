"""Records and arrays of a whole report, and a page read back as a tree."""

import dataclasses
from html.parser import HTMLParser

import numpy as np

from tests.unit.summary.builder import CRESSWELL, DIGITS, R, full_table, method, record
from trustbench.records import MeasurementRecord
from trustbench.summary.report import document
from trustbench.summary.table import summarize

VOID = {"meta", "br", "hr", "col", "wbr"}
CURVE = {"acc": 0.95, "racc_half": 0.8, "racc_double": 0.2, "racc_box": 0.0}


def with_curve(each):
    """The record with what the robustness evaluator stores beside its primary metric."""
    found = each.evaluations.get("robustness-s1")
    if found is None:
        return each
    more = {
        name: MeasurementRecord(
            values=[level] * each.replicates, higher_is_better=True, unit="fraction", n=300,
            diagnostic=True,
        )
        for name, level in CURVE.items()
    }  # fmt: skip
    measurements = {**found.measurements, **more}
    changed = found.model_copy(update={"measurements": measurements, "facts": {"epsilon": 0.1}})
    return each.model_copy(update={"evaluations": {**each.evaluations, "robustness-s1": changed}})


def whole():
    """The records of a whole table with three doses, a combination, controls and curves."""
    dp1 = method("dpsgd", epsilon=1.0)
    more = record(dp1, shift={"fairness/acc_gap": 0.6}, noise={"fairness/acc_gap": 0.03})
    return [with_curve(r) for r in (*full_table(), more)]


def arrays(ident, replicates=R):
    """What the evaluators store of an arm, drawn from its id."""
    groups = classes = len(DIGITS)
    rng = np.random.default_rng(sum(map(ord, ident)))
    fpr = np.geomspace(1e-3, 1, 20)
    confidence = np.sort(rng.uniform(0.2, 1, (replicates, 15)), axis=1)
    found = {
        "logits": rng.normal(size=(replicates, 50, classes)),
        "privacy-s1/roc_fpr": fpr,
        "privacy-s1/roc_tpr": fpr ** rng.uniform(0.5, 1.0, (replicates, 1)),
        "uncertainty-s1/bin_confidence": confidence,
        "uncertainty-s1/bin_accuracy": np.clip(confidence - 0.1, 0, 1),
        "fairness-s1/group_accuracy": rng.uniform(0.5, 1.0, (replicates, groups)),
    }
    if "conformal" in ident:
        rows = rng.integers(0, 9, (replicates, groups - 1, classes + 1))
        found["set_size_gap-s1/groups"] = np.arange(groups - 1)
        found["set_size_gap-s1/rows_by_size_aps"] = rows
    return found


def page(records=None, load=arrays, experiment="full_table", table=CRESSWELL):
    """The report of some records, and the tables in it."""
    records = whole() if records is None else records
    results = summarize(records, table)
    return document(results, records, None, load, experiment), results


@dataclasses.dataclass
class Node:
    """An element: its name, attributes, and children (elements and texts)."""

    name: str
    attributes: dict
    children: list = dataclasses.field(default_factory=list)

    def text(self):
        """All text inside; pictures left out, whose texts are axis labels."""
        if self.name in ("svg", "style", "script"):
            return ""
        return "".join(c if isinstance(c, str) else c.text() for c in self.children)

    def all(self, name=None):
        """This element and every one inside, in order."""
        found = [self] if name in (None, self.name) else []
        for child in self.children:
            if isinstance(child, Node):
                found += child.all(name)
        return found


class Tree(HTMLParser):
    """Reads a page strictly: every element is closed, in order, where HTML asks for it."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.root = Node("root", {})
        self.open = [self.root]
        self.feed(text)
        self.close()
        assert self.open == [self.root], f"not closed: {[n.name for n in self.open[1:]]}"

    def handle_starttag(self, tag, attrs):
        names = [k for k, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> has an attribute twice: {names}"
        node = Node(tag, dict(attrs))
        self.open[-1].children.append(node)
        if tag not in VOID:
            self.open.append(node)

    def handle_startendtag(self, tag, attrs):
        assert any(n.name == "svg" for n in self.open), f"<{tag}/> outside of a picture"
        self.open[-1].children.append(Node(tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open[-1].name == tag, f"</{tag}> closes <{self.open[-1].name}>"
        self.open.pop()

    def handle_data(self, data):
        self.open[-1].children.append(data)


def parse(text):
    """The root of a page."""
    return Tree(text).root


def by_id(root):
    """Every element with an id, by it."""
    named = [n for n in root.all() if "id" in n.attributes]
    assert len({n.attributes["id"] for n in named}) == len(named), "an id is used twice"
    return {n.attributes["id"]: n for n in named}
