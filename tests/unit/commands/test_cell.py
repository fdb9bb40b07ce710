"""`trustbench cell` on stores made by hand: what is registered, and each number once."""

import re

import pytest

from tests.unit.summary.builder import DIGITS, method, record
from trustbench.commands import cli
from trustbench.config.compose import conf_dir
from trustbench.store.records import Store, Sweep

pytestmark = pytest.mark.usefixtures("handmade_ids")

GAP = "fairness/acc_gap"
DP3, DP8 = method("dpsgd", epsilon=3.0), method("dpsgd", epsilon=8.0)
BASE = record()
STRONG = record(DP3, shift={GAP: 0.1})
WEAK = record(DP8, shift={GAP: 0.05})
PGD = record(method("pgd_at", epsilon=0.1), shift={GAP: 0.03})


class Stored:
    """A store, and what `trustbench cell` says of it."""

    def __init__(self, folder, capsys):
        self.store, self.capsys, self.sweeps = Store(folder), capsys, 0

    def sweep(self, *records, table="cresswell", evaluations=None):
        for each in records:
            self.store.write(each)
        self.store.write_sweep(
            Sweep(
                experiment=f"e{self.sweeps}",
                table=table,
                arms=[r.id for r in records],
                evaluations=list(evaluations or records[0].evaluations),
                names={},
            )
        )
        self.sweeps += 1

    def says(self, source="P", target="F", *more):
        args = ["cell", source, target, "--from", str(self.store.root), *more]
        assert cli.main(args) == 0
        return self.capsys.readouterr().out

    def measured(self, *args):
        return self.says(*args).partition("measured here")[2]


@pytest.fixture
def stored(tmp_path, capsys):
    return Stored(tmp_path / "outputs", capsys)


def test_letters_and_names_in_any_case_are_the_same(stored):
    said = stored.says("P", "F")
    assert said.startswith("P→F  privacy on fairness  (table cresswell, version ")
    assert said == stored.says("p", "f") == stored.says("privacy", "Fairness")
    assert stored.says("F", "P").startswith("F→P  fairness on privacy")


def test_what_is_registered_needs_no_store(stored):
    said = stored.says()
    assert "measured here: nothing yet" in said
    assert "method       dpsgd epsilon=3; treated - baseline" in said
    assert re.search(r"metric       fairness/acc_gap, training=tuned; smallest .* 0.02,", said)
    assert "expected     harm, which decides nothing" in said
    assert "trustbench run +experiment=privacy_vs_fairness" in said
    assert not stored.store.root.exists(), "asking writes nothing"


def test_it_says_what_both_sides_share_and_in_what_they_differ(stored):
    said = stored.says("F", "E")
    (shift,) = [line for line in said.splitlines() if "shift - shift_reseed: both share" in line]
    assert "baseline's twin" in shift
    assert "they differ: the arm's method (observed) or none (null)" in shift
    assert "treated and baseline share the halves" in said
    assert "treated and reference share the halves" in stored.says("F", "U")


def test_a_table_that_does_not_say_it_is_told_where(stored, tmp_path):
    text = (conf_dir() / "table" / "cresswell.yaml").read_text()
    start, end = text.index("\nsides:\n"), text.index("\nmitigations:\n")
    own = tmp_path / "own.yaml"
    own.write_text(text[:start] + text[end:])
    said = stored.says("E", "F", "--table", str(own))
    assert "fidelity_gap/gap - gap_permuted: not stated; `sides` in the table's file" in said


@pytest.mark.parametrize("args", [("privcy", "F"), ("F", "privcy")])
def test_an_unknown_aspect_is_one_sentence(args, capsys):
    assert cli.main(["cell", *args]) == 2
    said = capsys.readouterr().err
    assert said.startswith("trustbench: unknown aspect 'privcy'; did you mean 'privacy'?")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["P"], "the following arguments are required: target"),
        (["P", "F", "--table", "creswell"], "did you mean 'cresswell'?"),
        (["P", "F", "--experiment", "x"], "unrecognized arguments: --experiment x"),
    ],
)
def test_other_mistakes_are_sentences_too(args, sentence, capsys):
    assert cli.main(["cell", *args]) == 2
    assert sentence in capsys.readouterr().err


def test_the_numbers_are_the_paired_differences(stored):
    stored.sweep(BASE, STRONG, WEAK)
    said = stored.measured()
    assert "  digits / mlp\n" in said
    assert "dpsgd epsilon=3: +0.100 [+0.100, +0.100] n=16  harm\n" in said
    assert "dpsgd epsilon=8: +0.050 [+0.050, +0.050] n=16  harm (exploratory)\n" in said
    assert "worst_group_acc (tuned): +0.000" not in said  # the same on every replicate: no test
    assert said.rstrip().endswith("over 2 conditions")
    assert "dpsgd" not in stored.measured("R", "F")


def test_an_arm_of_several_sweeps_counts_once(stored):
    stored.sweep(BASE, STRONG)
    alone = stored.measured()
    assert "over 1 condition\n" in alone
    stored.sweep(BASE, STRONG, PGD)
    assert stored.measured() == alone
    stored.sweep(BASE, STRONG, WEAK)
    together = stored.measured()
    assert together.count("dpsgd epsilon=3:") == 1
    assert "dpsgd epsilon=8: +0.050" in together, "a dose that only one of them has"
    assert "over 2 conditions" in together


def test_other_data_are_other_conditions(stored):
    stored.sweep(BASE, STRONG)
    more = {"dataset": "letters", "classes": DIGITS[:4]}
    stored.sweep(record(**more), record(DP3, shift={GAP: 0.3}, **more))
    said = stored.measured()
    assert said.index("digits / mlp") < said.index("letters / mlp")
    assert "+0.300 [+0.300, +0.300]" in said
    assert "over 2 conditions" in said


def test_other_settings_of_an_evaluator_stay_apart(stored):
    own = [record(settings="s2"), record(DP3, shift={GAP: 0.2}, settings="s2")]
    both = [
        a.model_copy(update={"evaluations": a.evaluations | b.evaluations})
        for a, b in zip((BASE, STRONG), own, strict=True)
    ]
    for chosen in (BASE, own[0], BASE):
        stored.sweep(*both, evaluations=chosen.evaluations)
    stored.sweep(both[0], WEAK, evaluations=BASE.evaluations)
    said = stored.measured()
    assert said.count("+0.100 [+0.100, +0.100]") == 1
    assert said.count("+0.200 [+0.200, +0.200]") == 1
    assert said.count("dpsgd epsilon=8: +0.050") == 1, "it joins the sweep of its settings"


def test_another_engine_stays_apart(stored):
    stored.sweep(BASE, STRONG)
    other = {"engine": "opacus", "fingerprint": BASE.problem.fingerprint}
    slow = record(ident="o", **other), record(DP3, ident="p", shift={GAP: 0.2}, **other)
    stored.sweep(*slow)
    said = stored.measured()
    assert said.count("+0.100 [+0.100, +0.100]") == 1
    assert said.count("+0.200 [+0.200, +0.200]") == 1


def test_sweeps_of_another_table_are_not_read(stored):
    stored.sweep(BASE, STRONG, table="mine")
    assert stored.measured() == ": nothing yet\n"


def test_an_arm_that_failed_is_no_number(stored):
    stored.sweep(BASE, record(DP3, status="failed", reason="out of memory"))
    [line] = stored.measured().splitlines()[2:]
    assert line.strip() == ("dpsgd epsilon=3: failed (16 of 16): dpsgd epsilon=3: out of memory")
