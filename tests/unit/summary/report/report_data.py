"""Records and arrays of a whole report, and a page read back as a tree."""

import dataclasses
import json
from html.parser import HTMLParser

import numpy as np

from tests.unit.summary.builder import CRESSWELL, DIGITS, R, full_table, method, record
from trustbench.store.records import Evaluation, MeasurementRecord, PluginSpec
from trustbench.summary.report import document
from trustbench.summary.table.table import summarize

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


def with_examples(each, table=None, **changes):
    """The record with the evaluation that keeps rows: pictures, or rows of a table (features,
    values of each row)."""
    releases = any(i.name == "lime" for i in each.arm.interventions)
    facts = {
        "sides": "probe control released twin" if releases else "probe control",
        "replicate": 0,
        "probe": "gradient x input",
    }
    if table is not None:
        facts |= {"features": json.dumps(table[0]), "values": json.dumps(table[1])}
    kept = Evaluation(
        evaluator=PluginSpec(name="examples", params={"points": 3}, aspect="explainability"),
        status="ok",
        facts=facts,
    )
    found = {**each.evaluations, "examples-s1": kept.model_copy(update=changes)}
    return each.model_copy(update={"evaluations": found})


def whole():
    """The records of a whole table with three doses, a combination, controls, curves and rows."""
    dp1 = method("dpsgd", epsilon=1.0)
    more = record(dp1, shift={"fairness/acc_gap": 0.6}, noise={"fairness/acc_gap": 0.03})
    every = (with_curve(r) for r in (*full_table(), more))
    return [with_examples(r) if r.status == "ok" else r for r in every]


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
    seed = 0 if "conformal" in ident or "none-none" in ident else sum(map(ord, ident))
    return {**found, **rows_kept(seed, sides=4 if "lime" in ident else 2)}


def rows_kept(seed=0, sides=2, n=3, places=64, pictures=True):
    """What the `examples` evaluator stores: n rows of 8x8 pixels, or of `places` features."""
    rng = np.random.default_rng(seed)
    found = {
        "rows": np.arange(40, 40 + n),
        "labels": np.arange(n),
        "classes": np.tile(np.arange(n), (sides, 1)),
        "probability": rng.uniform(0.5, 1, (sides, n)),
        "effects": rng.normal(size=(sides, n, places)).astype(np.float32),
    }
    if pictures:
        same = np.random.default_rng(0)  # every arm keeps the same rows
        found["pictures"] = same.integers(256, size=(n, 8, 8, 1)).astype(np.uint8)
    return {f"examples-s1/{k}": a for k, a in found.items()}


def page(records=None, load=arrays, experiment="full_table", table=CRESSWELL, policy=None):
    """The report of some records, and the tables in it."""
    records = whole() if records is None else records
    results = summarize(records, table)
    return document(results, records, None, load, experiment, policy), results


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
