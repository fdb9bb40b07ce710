"""Published results in a short form: small replicates, judged by the registry of the long form.

The long form is docs/results/known-answers.md, which scripts/studies/known_answers.py makes. A
short form trains
a few arms of the same experiment, smaller, and asks the same rows of the same registry. Each also
has a plant: the arm that shows the effect is replaced by one that cannot, and the row must fail.
"""

import importlib
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from trustbench.execution.arm import run_arm
from trustbench.execution.job import prepare_torch
from trustbench.store.records import Store

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts" / "studies"))
answers, computed, sources = map(
    importlib.import_module, ("known_answers", "known_computed", "known_source")
)
CASES = {str(case["number"]): case for case in answers.registry()}


@dataclass(frozen=True)
class Short:
    """What is run of a case, smaller by `extra`; which of its rows must hold; and the plant.

    `plant` maps an arm to the arm whose record takes its place; `caught` are the rows that must
    then fail.
    """

    number: str
    extra: tuple[str, ...]
    rows: tuple[str, ...]
    plant: tuple[tuple[str, str], ...]
    caught: tuple[str, ...]
    data: bool = True

    def row(self, what):
        return next(r for r in CASES[self.number]["rows"] if r["what"] == what)


SHORT = {
    "rare class": Short(
        "2b",
        ("protocol.replicates=8",),
        (
            "privacy cost of digit 8 less that of digit 2, DP-SGD",
            "the same, clipping alone less noise alone",
        ),
        (("dpsgd", "baseline"), ("clip_only", "noise_only")),
        (
            "privacy cost of digit 8 less that of digit 2, DP-SGD",
            "the same, clipping alone less noise alone",
        ),
        data=False,
    ),
    "attacked sets": Short(
        "9",
        ("protocol.replicates=4", "evaluator.set_attack.points=100", "training.epochs=20"),
        (
            "coverage under attack less clean coverage, LAC",
            "coverage under attack, LAC, RSCP",
            "set size under attack, LAC, RSCP+",
        ),
        (("rscp", "conformal"), ("rscp_plus", "rscp")),
        ("coverage under attack, LAC, RSCP", "set size under attack, LAC, RSCP+"),
        data=False,
    ),
    "classes": Short(
        "13",
        ("protocol.replicates=8", "evaluator=[fairness]"),
        ("the same, PGD .2",),
        (("pgd_at_0_2", "baseline"),),
        ("the same, PGD .2",),
        data=False,
    ),
    "attacker's views": Short(
        "14",
        ("protocol.replicates=8",),
        (
            "AUC of label and gradient explanation less label",
            "label and sets less confidence",
        ),
        (),
        (),
        data=False,
    ),
    "scaffold": Short(
        "6",
        ("protocol.replicates=2", "training.epochs=1", "evaluator.sensitive_attribution.points=40"),
        (
            "COMPAS: how often LIME names race first, openly biased",
            "COMPAS: the same, scaffolded",
        ),
        (("hidden", "open"),),
        ("COMPAS: the same, scaffolded",),
    ),
    "local accuracy": Short(
        "5",
        ("protocol.replicates=2", "training.epochs=2", "dataset.subsample=4000",
         "evaluator=[utility]"),
        ("Adult, network, KernelSHAP: largest gap",),
        (),
        (),
    ),
    "equalised coverage": Short(
        "7a",
        ("protocol.replicates=8", "training.epochs=4"),
        (
            "gap of coverage between groups, by group less marginal, LAC",
        ),
        (("mondrian", "conformal"),),
        ("gap of coverage between groups, by group less marginal, LAC",),
    ),
    "set size gap": Short(
        "8",
        ("protocol.replicates=8", "training.epochs=4"),
        (
            "gap of set size between groups, by group less marginal, LAC",
            "gap of set size, size-equalised less marginal, LAC",
        ),
        (("size_equalised", "mondrian"),),
        ("gap of set size, size-equalised less marginal, LAC",),
    ),
    "private quantile": Short(
        "10",
        ("protocol.replicates=4", "training.epochs=2"),
        (
            "coverage, LAC, n_cal 800, epsilon 1",
            "set size, LAC, n_cal 800: epsilon 8 less no privacy",
            "set size: epsilon 4 less 8",
            "level above .9 at epsilon 1 over that at epsilon 8, n_cal 1,600",
        ),
        (("private_800_8", "conformal_800"), ("private_1600_8", "private_1600_1")),
        (
            "set size, LAC, n_cal 800: epsilon 8 less no privacy",
            "level above .9 at epsilon 1 over that at epsilon 8, n_cal 1,600",
        ),
    ),
    "clipping": Short(
        "11",
        ("protocol.replicates=4", "dataset.subsample=6000"),
        (
            "ECE, clipping alone less baseline",
            "ECE, global clipping less DP-SGD",
        ),
        (("clip_only", "noise_only"), ("dpsgd_global", "dpsgd")),
        (
            "ECE, clipping alone less baseline",
            "ECE, global clipping less DP-SGD",
        ),
    ),
    "instability": Short(
        "12",
        ("protocol.replicates=16",),
        (
            "COMPAS: share of top features that change, 200 samples",
            "COMPAS: 200 less 1,000 samples",
        ),
        (),
        (),
    ),
    "full size": Short(
        "3",
        ("protocol.replicates=4",),
        (
            "MLP: AUC of the loss threshold",
            "MLP of 1,000 members less that of all: AUC of the loss threshold",
        ),
        (("baseline", "at_most_1000_members"),),
        ("MLP: AUC of the loss threshold",),
    ),
    "subgroups": Short(
        "4",
        ("protocol.replicates=16",),
        (
            "equalised-odds penalty: LiRA AUC of everybody, against the baseline",
            "equalised-odds penalty: attack with both models' outputs less with the fair one's",
        ),
        (("fairness_penalty", "baseline"),),
        ("equalised-odds penalty: LiRA AUC of everybody, against the baseline",),
    ),
}  # fmt: skip


def arms_in(node):
    """The arms that a row of the registry reads."""
    if not isinstance(node, dict):
        return set()
    own = {node[k] for k in ("arm", "from") if k in node}
    return own.union(*(arms_in(v) for v in node.values()))


def run(short, folder, data):
    """A Source of the arms that the rows and the plants read, run small."""
    case = CASES[short.number]
    needed = set().union(*(arms_in(short.row(r)) for r in short.rows + short.caught))
    needed |= {other for _, other in short.plant}
    names = [a for a in sources.arms_of(case["experiment"]) if a in needed or a == "baseline"]
    source = sources.Source(case["experiment"], Store(folder), data, {}, (), short.extra)
    ids = {}
    for name in names:
        arm = source.arm(name)
        prepare_torch(arm)
        record, _ = run_arm(arm, source.store, lambda *_: None)
        assert record.status == "ok", f"{name}: {record.reason}"
        ids[name] = record.id
    return replace(source, ids=ids)


def judged(source, row):
    found = answers.estimate(source, row)
    assert found is not None, f"{row['what']}: was not measured"
    return answers.verdict(row, found), found


def check(short, source, rows):
    for what in rows:
        verdict, found = judged(source, short.row(what))
        assert verdict.startswith("reproduced"), f"{what}: {verdict} {found}"


def planted(short, source):
    ids = {**source.ids, **{arm: source.ids[other] for arm, other in short.plant}}
    return replace(source, ids=ids)


QUICK = ("attacked sets", "local accuracy", "scaffold")
SCIENCE = ("full size", "subgroups")  # of which no short form shows anything


def marks(name):
    if name in SCIENCE:
        return pytest.mark.science
    return () if name in QUICK else pytest.mark.slow


@pytest.mark.parametrize("name", [pytest.param(name, marks=marks(name)) for name in SHORT])
def test_a_published_result_holds_in_short_form(name, tmp_path, request):
    short = SHORT[name]
    data = request.getfixturevalue("shared_data") if short.data else tmp_path
    source = run(short, tmp_path, data)
    check(short, source, short.rows)
    for what in short.caught:
        with pytest.raises(AssertionError, match="not reproduced"):
            check(short, planted(short, source), [what])


def test_shap_predicts_exactly_and_only_with_its_base(shared_data, tmp_path):
    """Local accuracy: values and base add up to the margin; without the base they do not."""
    short = SHORT["local accuracy"]
    system = run(short, tmp_path, shared_data).system("kernel_shap")
    x = system.tensor(system.problem.rows("test")[0][:50])
    two = system.logits(x).sort(-1).values
    margin = (two[..., 1] - two[..., 0]).numpy()
    assert computed.shap_margin(system, x) == pytest.approx(margin, abs=1e-4)
    bare = system.explain(x).sum(-1).numpy()
    assert bare != pytest.approx(margin, abs=1e-1)


@pytest.mark.parametrize("row", CASES["1"]["rows"], ids=lambda r: r["what"])
def test_the_golden_numbers_are_found_and_no_others(shared_data, row):
    found = computed.song(shared_data, row["model"], row["inputs"])
    assert found == pytest.approx(row["value"], abs=1e-6)
    other = "adversarial" if row["inputs"] == "benign" else "benign"
    assert computed.song(shared_data, row["model"], other) != pytest.approx(row["value"], abs=1e-3)
