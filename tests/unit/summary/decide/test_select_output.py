"""How a choice is told to people and scripts, and the command that makes it."""

import json
import re

import pytest

from tests.unit.summary.builder import METRICS, method, record
from tests.unit.summary.decide.test_select import LIMIT, A, arms, choose, policy
from tests.unit.summary.table_data import with_strongest
from trustbench.commands import cli
from trustbench.store.records import Store
from trustbench.summary.decide import select_json
from trustbench.summary.decide import select_text as people

pytestmark = pytest.mark.usefixtures("handmade_ids")

HOSTILE = "x|y<script>alert(1)</script>\n## [z](http://evil) @all `c`\x1b[31m"


def test_people_and_scripts_read_the_same_numbers():
    shift = {"fairness/acc_gap": -0.0512, "robustness/racc": 0.0321, "utility/accuracy": -0.01}
    noise = dict.fromkeys(METRICS, 0.004)
    asked = policy({"fairness": 3, "robustness": 1, "utility": 1})
    found = choose(arms((A, shift, noise)), asked)
    document = json.loads(select_json.text([found], []))
    (shown,) = document["selections"]
    (arm,) = [a for a in shown["arms"] if a["interventions"]]
    score = arm["score"]
    assert shown["chosen"] == arm["arm"] == "pgd_at epsilon=0.1"
    text = f"{score['effect']:+.3f} [{score['low']:+.3f}, {score['high']:+.3f}] n=16"
    harm = arm["harms"]["fairness"]
    traded = f"{harm['effect']:+.3f} [{harm['low']:+.3f}, {harm['high']:+.3f}] n=16"
    for rendering in (people.terminal, people.markdown):
        assert text in rendering([found], [])
        assert traded in rendering([found], [])
    assert "▼ better" in people.terminal([found], [])
    assert document["weights"]["fairness"] == pytest.approx(0.6)
    assert all(len(a["harms"]) == 6 for a in shown["arms"])


def test_hostile_names_stay_text():
    spec = method("pgd_at", epsilon=HOSTILE)
    records = [
        record(*i, regime=r, dataset=HOSTILE, ident=f"{len(i)}{r}")
        for i in ((), (spec,))
        for r in ("tuned", "memorising")
    ]
    asked = policy(description=HOSTILE, limits=[{**LIMIT, "at_most": 0.0, "reason": HOSTILE}])
    found = [choose(records, asked)]
    page = people.markdown(found, [])
    assert "<script>" not in page
    assert not re.search(r"(?<!\\)\]\(http", page)
    assert "@all" not in page
    assert "\x1b" not in page
    rows = [line for line in page.splitlines() if line.startswith("| pgd")]
    assert rows
    assert all(line.replace(r"\|", "").count("|") in (7, 8) for line in rows)
    assert not any(line.startswith("## x") or line == "## [z]" for line in page.splitlines())
    terminal = people.terminal(found, [])
    assert "\x1b" not in terminal
    assert json.loads(select_json.text(found, []))["selections"][0]["dataset"] == HOSTILE


@pytest.fixture
def stored(tmp_path):
    """A store of one table whose treated arm harms fairness, and a policy that limits it."""
    store = Store(tmp_path / "out")
    for each in arms((A, {"fairness/acc_gap": 0.30, "robustness/racc": 0.2})):
        store.write(with_strongest(each))
    file = tmp_path / "mine.yaml"

    def run(*args, limit=0.05, absolute=None):
        bound = {"worse_by_at_most": limit} if absolute is None else {"at_most": absolute}
        chosen = policy(limits=[{"metric": "fairness/acc_gap", **bound}])
        file.write_text(json.dumps(chosen.model_dump(mode="json", exclude_none=True)))
        return cli.main(["select", "--policy", str(file), "--from", str(store.root), *args])

    return run


def test_exit_codes_say_whether_an_arm_passes(stored, capsys):
    assert stored() == 0
    assert "none (the baseline: no intervention), pass" in capsys.readouterr().out
    assert stored(absolute=0.01) == 3
    assert stored(absolute=0.22) == 4  # the baseline's mean: within its own interval


def test_the_choice_is_written_where_it_is_asked_for(stored, tmp_path, capsys):
    out = tmp_path / "made" / "choice.json"
    assert stored("--format", "json", "--output", str(out)) == 0
    assert capsys.readouterr().out == ""
    assert json.loads(out.read_text())["selections"][0]["chosen"] == "none"
    assert stored("--format", "yaml") == 2
    assert "unknown format 'yaml'" in capsys.readouterr().err


def test_what_is_missing_is_told(tmp_path, capsys):
    assert cli.main(["select", "--policy", "bnak", "--from", str(tmp_path)]) == 2
    assert "did you mean 'bank'?" in capsys.readouterr().err
    assert cli.main(["select", "--policy", "bank", "--from", str(tmp_path)]) == 2
    assert "no record to choose from" in capsys.readouterr().err
    assert cli.main(["select", "--policy", "bank", "--from", str(tmp_path / "no")]) == 2
    assert "is not a folder of records" in capsys.readouterr().err
