"""Records of a data set, and their datasheet taken apart."""

import re

from tests.unit.summary.builder import CRESSWELL, TRAINING, method, record
from tests.unit.summary.cards.test_card import described
from trustbench.summary.cards.datasheet import datasheet
from trustbench.summary.cards.datasheet_text import markdown

DP = method("dpsgd", epsilon=3.0)
SETTINGS = {"rare": 8, "keep": 0.3, "folder": "here"}
CUT = {**TRAINING["memorising"], "max_members": 200}
SECTIONS = [
    "Motivation",
    "Composition",
    "Collection process",
    "Preprocessing",
    "Uses",
    "Distribution",
    "Maintenance",
    "What was measured on it",
]


def made(*interventions, sizes=None, card=None, **options):
    """A record with a data set card and settings."""
    found = record(*interventions, **{"dataset_params": SETTINGS, **options})
    if found.problem is None:
        return found
    found = described(found, **(card or {}))
    more = {"sizes": sizes or {"train": 900, "calibration": 200, "test": 500, "members": 450}}
    return found.model_copy(update={"problem": found.problem.model_copy(update=more)})


def records():
    """Baseline, method and control on one version of the data; on a cut one; with another seed."""
    small = {"train": 400, "calibration": 200, "test": 500, "members": 199}
    cut = {"regime": "memorising", "training": CUT, "sizes": small}
    return [
        made(DP),
        made(),
        made(control="reseed"),
        made(DP, **cut),
        made(**cut),
        made(seed=1),
        made(DP, seed=1, status="failed", reason="diverged"),
    ]


def nothing(ident):
    return {}


def page(found=None, load=nothing, name=None):
    return markdown(datasheet(records() if found is None else found, load, CRESSWELL, name))


def rows(text, head):
    """The cells of the table whose first column has a heading."""
    lines = text.split(f"\n| {head} |", 1)[1].splitlines()[2:]
    table = lines[: next((i for i, x in enumerate(lines) if not x.startswith("|")), None)]
    return [[c.strip() for c in re.split(r"(?<!\\)\|", x)[1:-1]] for x in table]
