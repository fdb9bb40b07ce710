"""What the scripts print, of stores written by hand."""

import runpy
from pathlib import Path

import pytest

from tests.unit.tracking.test_tracking import make_record
from trustbench.store.records import Evaluation, PluginSpec, Store, Sweep

pytestmark = pytest.mark.usefixtures("handmade_ids")

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


def evaluation(name, seconds):
    return Evaluation(evaluator=PluginSpec(name=name), status="ok", seconds=seconds)


def arm(letter, fit, seconds, evaluations, interventions=(), train=7.0, **changes):
    record = make_record(
        letter * 16,
        fit=fit * 16,
        facts={"train_seconds": train},
        seconds=seconds,
        evaluations={f"{n}-1": evaluation(n, s) for n, s in evaluations.items()},
        **changes,
    )
    chosen = [PluginSpec(name=n) for n in interventions]
    return record.model_copy(
        update={"arm": record.arm.model_copy(update={"interventions": chosen})}
    )


@pytest.fixture
def timed(tmp_path):
    """Three arms: the second shares the first one's fit, the last was resumed."""
    store = Store(tmp_path)
    for record in (
        arm("1", "a", 20.0, {"utility": 1.0, "privacy": 10.0}),
        arm("2", "a", 6.0, {"utility": 0.0, "privacy": 0.0, "lime": 4.0}, ["lime"]),
        arm("3", "b", 3.0, {"utility": 2.0, "privacy": 30.0}, ["pgd_at"], train=50.0),
        arm("4", "c", 999.0, {"utility": 999.0}, ["dpsgd"]),
    ):
        store.write(record)
    store.write_sweep(
        Sweep(
            experiment="full_table",
            table="cresswell",
            arms=["1" * 16, "2" * 16, "3" * 16, "5" * 16],
            evaluations=["utility-1", "privacy-1", "lime-1"],
            names={},
        )
    )
    return store


def script(name):
    return runpy.run_path(str(SCRIPTS / name))


def numbers(printed, start):
    """The numbers at the end of the first line that starts so."""
    line = next(x for x in printed.splitlines() if x.strip().startswith(f"{start} "))
    return [float(w) for w in line.removesuffix("%").split() if w.replace(".", "", 1).isdigit()]


def test_where_time_goes_adds_up_each_second_once(timed, capsys):
    main = script("where_time_goes.py")["main"]
    assert main(["--from", str(timed.root), "--limit-minutes", "1.75"]) == 0
    said = capsys.readouterr().out
    by_arm, by_evaluator = said.split("seconds by evaluator")
    assert numbers(by_arm, "none") == [7.0, 11.0, 2.0, 20.0]
    assert numbers(by_arm, "lime") == [0.0, 4.0, 2.0, 6.0], "the fit is the baseline's"
    assert numbers(by_arm, "pgd_at") == [50.0, 32.0, 0.0, 82.0], "its last run took 3 s"
    assert numbers(by_arm, "all") == [3.0, 57.0, 47.0, 4.0, 108.0]
    assert numbers(by_evaluator, "privacy") == [40.0, 30.0, 37.0]
    assert "30.0  privacy on pgd_at" in by_evaluator
    assert "the slowest 7 of 7 evaluations" in said
    assert "1.8 min of 1.75 min allowed (1.03): ABOVE the limit" in said
    assert "1 of 4 arms left no record" in said
    assert "dpsgd" not in said, "an arm of another sweep"
    assert main(["--from", str(timed.root), "--limit-minutes", "1.8"]) == 0
    assert "within the limit" in capsys.readouterr().out


def test_an_evaluation_that_the_sweep_did_not_ask_for_is_not_its_time(timed, capsys):
    store = timed
    sweep = store.sweep("full_table").model_copy(update={"evaluations": ["utility-1"]})
    store.write_sweep(sweep)
    assert script("where_time_goes.py")["main"](["--from", str(store.root)]) == 0
    said = capsys.readouterr().out
    assert "privacy" not in said
    assert numbers(said, "none") == [7.0, 1.0, 2.0, 10.0]


def test_where_time_goes_without_a_sweep_is_one_sentence(timed, capsys, tmp_path):
    main = script("where_time_goes.py")["main"]
    assert main(["--from", str(timed.root), "--experiment", "ful_table"]) == 2
    assert "did you mean 'full_table'?" in capsys.readouterr().err
    assert main(["--from", str(tmp_path / "nowhere")]) == 2
    assert "is not a folder of records" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["--from", str(timed.root), "--limit-minutes", "0"])
    assert "give more than 0" in capsys.readouterr().err


def test_studies_of_groups_see_no_harm_in_noise_and_a_real_one():
    study = script("studies/group_nulls.py")["study"]
    noise = [study(300, 10, 0.0, seed) for seed in range(4)]
    assert [plain for plain, _ in noise] == [True] * 4
    assert sum(read for _, read in noise) <= 1
    assert [study(300, 2, 0.2, seed) for seed in range(4)] == [(True, True)] * 4


def test_the_growth_of_summaries_is_fitted_and_printed(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    growth = script("bench_growth.py")
    assert growth["exponent"]([10, 100, 1000], [0.1, 1.0, 10.0]) == pytest.approx(1.0)
    run = {"summary": 0.5, "markdown": 0.1, "gib": 0.2}
    page = growth["page"]({100: [run], 1000: [{**run, "summary": 5.0}]}, 1)
    assert "| 1,000 | 5.00 | 5.00 to 5.00 | 0.10 | 0.20 |" in page
    assert "Exponent of the summary: 1.00 (1 is linear)." in page
    assert growth["measured"](5)["summary"] > 0
