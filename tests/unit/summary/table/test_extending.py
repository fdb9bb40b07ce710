"""Tables of one's own: a file that extends another names what differs."""

import re
from pathlib import Path

import pytest
import yaml

from tests.unit.summary.builder import method, record
from trustbench.commands import cli
from trustbench.config.compose import conf_dir
from trustbench.contracts.aspects import Aspect
from trustbench.errors import ConfigError
from trustbench.store.records import Store, Sweep
from trustbench.summary.table.registry import load_table

pytestmark = pytest.mark.usefixtures("handmade_ids")

F, P, R, E, U = Aspect
REGISTERED = conf_dir() / "table" / "cresswell.yaml"
KNOWN = {"cresswell": REGISTERED}
PARENT = load_table(REGISTERED)
PAGE = Path(__file__).resolve().parents[4] / "docs" / "tables.md"


@pytest.fixture
def child(tmp_path):
    """Writes the content of a table that extends cresswell, and loads it."""

    def load(stem="mine", **own):
        path = tmp_path / f"{stem}.yaml"
        path.write_text(yaml.safe_dump({"extends": "cresswell", **own}))
        return load_table(path, KNOWN)

    return load


def test_a_child_that_names_nothing_is_its_parent_under_its_own_name(child):
    assert child() == PARENT.model_copy(update={"name": "mine", "version": 1})


def test_what_differs_is_the_childs_and_everything_else_the_parents(child):
    mine = child(
        columns={"fairness": {"binary": {"delta": 0.01}}},
        cells={"privacy": {"fairness": {"expected": "mixed"}, "explainability": {"dose": None}}},
        floor={"margin": 0.02},
        rows={"privacy": {"operating_point": {"noise_multiplier": 1.0}}},
    )
    assert mine.columns[F].binary.delta == 0.01
    assert mine.columns[F].binary.metric == PARENT.columns[F].binary.metric
    assert mine.columns[F].delta == PARENT.columns[F].delta
    assert mine.floor == PARENT.floor.model_copy(update={"margin": 0.02})
    assert mine.cell(P, F).operating_point == {"noise_multiplier": 1.0}, "replaced, not completed"
    assert mine.cell(P, F).expected == "mixed"
    assert mine.cell(P, F).references == PARENT.cell(P, F).references
    unchanged = [c for c in mine.cells if c.source is not P and c.target is not F]
    assert unchanged == [c for c in PARENT.cells if c.source is not P and c.target is not F]


def test_null_takes_away_what_is_optional(child):
    mine = child(
        columns={"fairness": {"binary": None}}, cells={"privacy": {"robustness": {"measure": None}}}
    )
    assert mine.cell(P, F).measure(binary=True).metric == "fairness/acc_gap"
    assert mine.cell(P, R).column == PARENT.columns[R]


def test_sides_and_mitigations_are_added_to_the_parents(child):
    known, new = PARENT.sides[0], {"metric": "a/b", "against": "a/c", "shared": "x", "differ": "y"}
    changed = {**known.model_dump(), "shared": "all"}
    other = {"source": "privacy", "target": "fairness", "harmful": ["dpsgd"], "by": ["resampling"]}
    mine = child(sides=[changed, new], mitigations=[other])
    assert mine.of_sides(known.metric, known.against).shared == "all"
    assert mine.of_sides("a/b", "a/c").differ == "y"
    assert len(mine.sides) == len(PARENT.sides) + 1
    assert len(mine.mitigations) == len(PARENT.mitigations)
    (by,) = [m.by for m in mine.mitigations if (m.source, m.target) == (P, F)]
    assert by == ("resampling",)


def test_a_parent_may_extend_another_and_lie_in_another_folder(child, tmp_path):
    child("base", floor={"margin": 0.02})
    (tmp_path / "below").mkdir()
    path = tmp_path / "below" / "mine.yaml"
    path.write_text("extends: ../base.yaml\nfloor: {above_chance: 0.01}\n")
    floor = load_table(path, KNOWN).floor
    assert (floor.margin, floor.above_chance) == (0.02, 0.01)


MEASURE = {"metric": "uncertainty/nll", "delta": 0.1, "unacceptable": 0.2}


@pytest.mark.parametrize(
    ("own", "sentence"),
    [
        ({"extends": "creswell"}, "extends 'creswell', an unknown table; did you mean 'cresswell'"),
        ({"extends": None}, "extends null, an unknown table; Available: cresswell."),
        ({"cells": {"privacy": {"fairnes": {}}}}, "unknown aspect cells.privacy.fairnes; did you"),
        ({"cells": {"privcy": {}}}, "unknown aspect cells.privcy; did you mean 'privacy'?"),
        ({"columns": {"fairness": {"detla": 1}}}, "columns.fairness.detla; did you mean 'delta'?"),
        ({"cells": {"privacy": 3}}, "cells.privacy is 3; it should be"),
        ({"sides": "none"}, "sides is 'none'; it should be a list, [a,b]"),
        ({"sides": [3]}, "sides.0 is 3; "),
        ({"name": "theirs"}, "a table is found by its file's name; write 'mine'"),
        (
            {"columns": {"uncertainty": {"metric": "uncertainty/nll"}}},
            "'uncertainty/ece', of which the parent's `delta`, `unacceptable` speak; give them",
        ),
        (
            {"columns": {"fairness": MEASURE}},
            "from 'fairness/acc_gap', of which the parent's `binary` speaks; give it as well.",
        ),
        (
            {"cells": {"fairness": {"explainability": {"measure": MEASURE}}}},
            "of which the parent's `against` speaks",
        ),
        (
            {"rows": {"privacy": {"intervention": "dpsgd_global"}}},
            "changes `intervention` from 'dpsgd', of which the parent's `dose`, `operating_point`",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_sentence_that_names_the_file(own, sentence, child):
    with pytest.raises(ConfigError) as raised:
        child(**own)
    (problem,) = raised.value.problems
    assert sentence in problem
    assert re.match(r"table \S+/mine\.yaml: ", problem)


def test_a_key_given_twice_is_refused(tmp_path):
    (tmp_path / "mine.yaml").write_text("extends: cresswell\nfloor: {margin: 0.1, margin: 0.2}\n")
    with pytest.raises(ConfigError, match=r"mine.yaml: floor.margin is given twice; keep one"):
        load_table(tmp_path / "mine.yaml", KNOWN)


def test_a_cycle_is_one_sentence(tmp_path):
    for name, parent in (("a", "b"), ("b", "c"), ("c", "a")):
        (tmp_path / f"{name}.yaml").write_text(f"extends: {parent}\n")
    with pytest.raises(ConfigError, match=r"extends itself \(a -> b -> c -> a\); remove `extends`"):
        load_table(tmp_path / "a.yaml", KNOWN)


def test_what_is_wrong_with_a_parent_is_told_of_its_file(child, tmp_path):
    path = tmp_path / "base.yaml"
    path.write_text("extends: cresswell\nfloor: {margin: -1}\n")
    with pytest.raises(ConfigError, match=r"table \S+/base.yaml: floor.margin is -1; "):
        child(extends="base")


@pytest.fixture
def own_conf(tmp_path):
    """The table that the page shows, in a folder of a user."""
    (body,) = re.findall(
        r"^`my_conf/table/hospital.yaml`:\n\n```yaml\n(.*?)^```", PAGE.read_text(), re.M | re.S
    )
    path = tmp_path / "my_conf" / "table" / "hospital.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(body)
    return path.parents[1]


def test_the_commands_find_the_table_of_the_page_by_its_name(own_conf, tmp_path, capsys):
    dp = record(method("dpsgd", epsilon=1.0), ident="t")
    store, base = Store(tmp_path / "outputs"), record(ident="b")
    for each in (base, dp):
        store.write(each)
    store.write_sweep(
        Sweep(
            experiment="x",
            table="hospital",
            arms=[base.id, dp.id],
            evaluations=list(base.evaluations),
            names={},
        )
    )
    where = ["--config-dir", str(own_conf), "--from", str(store.root)]
    assert cli.main(["summarize", *where, "--format", "md"]) == 0
    assert "table hospital; " in capsys.readouterr().out
    assert cli.main(["cell", "P", "U", "--table", "hospital", *where]) == 0
    said = capsys.readouterr().out
    assert "(table hospital, version 1)" in said
    assert "metric       uncertainty/brier, training=tuned; smallest effect" in said
    assert cli.main(["list", "tables", "--config-dir", str(own_conf)]) == 0
    assert "hospital   Cresswell's table with the margins" in capsys.readouterr().out
    plan = ["plan", "table=hospital", "--config-dir", str(own_conf), f"output_dir={tmp_path}/out"]
    assert cli.main(plan) == 0
    (own_conf / "table" / "hospital.yaml").write_text("extends: cresswel\n")
    assert cli.main(plan) == 2
    assert "extends 'cresswel', an unknown table; did you mean" in capsys.readouterr().err
