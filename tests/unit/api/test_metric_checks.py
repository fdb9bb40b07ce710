"""A metric that does not exist is refused by its nearest name before anything trains."""

import pytest
import yaml

from tests.unit.summary.builder import record
from trustbench.api.lookup import find_policy, find_table
from trustbench.api.metric_checks import check_table, with_declarations
from trustbench.commands import cli
from trustbench.config.compose import conf_dir, conf_dirs
from trustbench.config.declared_metrics import declared_metrics, registered_scores
from trustbench.contracts.metrics import SCORES
from trustbench.errors import ConfigError
from trustbench.store.records import Store, Sweep
from trustbench.summary.table.registry import parse_table

pytestmark = pytest.mark.usefixtures("handmade_ids")

TABLE = yaml.safe_load((conf_dir() / "table" / "cresswell.yaml").read_text())
DECLARED = declared_metrics(conf_dirs(None))
# Where a table names a metric: a path to it, and a misspelling of what is there.
PLACES = {
    "utility.metric": ("utility", "metric"),
    "floor.logistic": ("floor", "logistic"),
    "floor.below.tuned.0.metric": ("floor", "below", "tuned", 0, "metric"),
    "columns.privacy.metric": ("columns", "privacy", "metric"),
    "columns.fairness.binary.metric": ("columns", "fairness", "binary", "metric"),
    "columns.robustness.unreliable_if": ("columns", "robustness", "unreliable_if"),
    "columns.privacy.secondary.0.metric": ("columns", "privacy", "secondary", 0),
    "cells.fairness.robustness.measure.metric": (
        "cells", "fairness", "robustness", "measure", "metric",
    ),
    "cells.fairness.uncertainty.measure.metric": (
        "cells", "fairness", "uncertainty", "measure", "metric",
    ),
    "sides.0.metric": ("sides", 0, "metric"),
}  # fmt: skip


def changed(path, change):
    """A copy of the shipped table with one value changed, and that value."""
    data = yaml.safe_load(yaml.safe_dump(TABLE))
    inner = data
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = change(inner[path[-1]])
    return data, inner[path[-1]]


@pytest.mark.parametrize(("where", "path"), PLACES.items(), ids=PLACES)
def test_a_misspelt_metric_is_refused_wherever_it_stands(where, path):
    data, wrong = changed(path, lambda metric: metric + "x")
    with pytest.raises(ConfigError) as caught:
        check_table(parse_table(data, "mine"), "mine", DECLARED)
    said = [p for p in caught.value.problems if where in p]
    right = wrong.partition("/")[2].removesuffix("x")
    assert said, caught.value.problems
    assert f"did you mean {right!r}" in said[0]


def test_a_score_is_registered_by_the_yaml_file_of_the_method_that_releases_its_sets(tmp_path):
    path = ("cells", "fairness", "uncertainty", "measure", "metric")
    data, _ = changed(path, lambda _: "released_sets/size_mine")
    table = parse_table(data, "mine")
    with pytest.raises(ConfigError, match=r"size_mine', which evaluator released_sets does not"):
        check_table(table, "mine", DECLARED, registered_scores([conf_dir()]))
    (tmp_path / "intervention").mkdir()
    (tmp_path / "intervention" / "own.yaml").write_text("own:\n  scores: [mine, aps]\n")
    known = registered_scores([conf_dir(), tmp_path])
    assert known == SCORES | {"mine"}
    check_table(table, "mine", DECLARED, known)


def test_a_misspelt_evaluator_is_refused_unless_records_hold_it():
    data, _ = changed(("utility", "metric"), lambda metric: f"my{metric}")
    table = parse_table(data, "mine")
    with pytest.raises(ConfigError, match="of no evaluator; did you mean 'utility'"):
        check_table(table, "mine", DECLARED)
    check_table(table, "mine", {**DECLARED, "myutility": None})


def test_the_shipped_tables_and_policies_name_only_what_is_declared():
    for path in (conf_dir() / "table").glob("*.yaml"):
        find_table(path.stem)
    for path in (conf_dir() / "policy").glob("*.yaml"):
        find_policy(path.stem)


def test_a_cell_says_what_its_metric_means_and_a_tables_own_sentence_wins():
    own = {**TABLE, "utility": {**TABLE["utility"], "sentence": "Right answers."}}
    table = with_declarations(parse_table(own, "mine"), DECLARED)
    assert table.utility.sentence == "Right answers."
    assert all(cell.measure(b).sentence for cell in table.cells for b in (False, True))


@pytest.fixture
def outputs(tmp_path):
    store = Store(tmp_path / "outputs")
    arm = store.write(record())
    store.write_sweep(
        Sweep(
            experiment="e",
            table="cresswell",
            arms=[arm.id],
            evaluations=list(arm.evaluations),
            names={},
        )
    )
    return store.root


@pytest.fixture
def wrong(tmp_path):
    """A folder of options with a table and a policy that misspell a metric."""
    folder = tmp_path / "conf"
    for kind in ("table", "policy"):
        (folder / kind).mkdir(parents=True)
    data, _ = changed(("utility", "metric"), lambda _: "utility/acuracy")
    (folder / "table" / "wrong.yaml").write_text(yaml.safe_dump(data))
    policy = yaml.safe_load((conf_dir() / "policy" / "default.yaml").read_text())
    (folder / "policy" / "of_table.yaml").write_text(yaml.safe_dump({**policy, "table": "wrong"}))
    limits = [{"metric": "fairness/worst_group_ac", "at_least": 0.5, "reason": "a limit"}]
    (folder / "policy" / "limit.yaml").write_text(yaml.safe_dump({**policy, "limits": limits}))
    return folder


@pytest.mark.parametrize(
    ("command", "near"),
    [
        (["summarize", "--table", "wrong"], "accuracy"),
        (["cell", "P", "F", "--table", "wrong"], "accuracy"),
        (["gate", "--policy", "of_table"], "accuracy"),
        (["select", "--policy", "of_table"], "accuracy"),
        (["gate", "--policy", "limit"], "worst_group_acc"),
        (["select", "--policy", "limit"], "worst_group_acc"),
    ],
)
def test_every_command_that_reads_records_refuses_it(command, near, outputs, wrong, capsys):
    code = cli.main([*command, "--from", str(outputs), "--config-dir", str(wrong)])
    assert code == 2
    assert f"did you mean {near!r}" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["run", "plan"])
def test_it_is_refused_before_anything_trains(command, wrong, tmp_path, capsys):
    args = [command, "--config-dir", str(wrong), "table=wrong", f"output_dir={tmp_path / 'new'}"]
    assert cli.main([*args, "dataset=digits"]) == 2
    assert "utility.metric is 'utility/acuracy'" in capsys.readouterr().err
    assert not list((tmp_path / "new").glob("**/*.json"))
