"""training.lr=auto from the command line: one pilot for a sweep, said once, and never run again."""

import pytest

from trustbench.store.records import Store

ARMS = ["-m", "intervention=none,balanced_weights,dpsgd", "training.lr=auto"]
GRID = "training.lr_grid=[0.01,0.1]"
SAID = "0.1, chosen from 0.01, 0.1 by a pilot of the baseline on validation rows"


@pytest.mark.slow
def test_a_sweep_of_processes_runs_one_pilot(outside, tb):
    args = [*outside.args, *ARMS, GRID, "hydra.launcher.slots=3"]
    before = tb("plan", *args)
    assert before.code == 0, before.err
    where = "learning rate (toy/tiny, tuned, seed 0): "
    assert before.out.count(where) == 1
    assert f"{where}a pilot will choose from 0.01, 0.1 (4 replicates, 1 epoch" in before.out
    assert "3 arms: 3 to do" in before.out
    assert not list(outside.outputs.glob("pilots"))

    done = tb("run", *args)
    assert done.code == 0, done.err
    store = Store(outside.outputs)
    records = list(store.records())
    assert len(records) == 3
    assert {r.pilot.rate for r in records} == {0.1}
    rates = {"+".join(i.name for i in r.arm.interventions): r.facts["lr"] for r in records}
    assert rates == {"": 0.1, "balanced_weights": 0.1, "dpsgd": 1.0}, "dpsgd brings its own"
    assert SAID in " ".join(done.out.split())
    (table,) = outside.outputs.glob("tables/*.md")
    assert SAID in table.read_text()
    (journal,) = outside.outputs.glob("pilots/*/journal")
    assert len(journal.read_text().splitlines()) == 4, "each rate is begun and done once"

    kept = journal.read_text()
    again = tb("run", *args)
    assert again.code == 0, again.err
    assert again.err.count("kept ") >= 3
    after = tb("plan", *args)
    assert f"{where}0.1, chosen by a pilot (4 replicates, 1 epoch)" in after.out
    assert "3 arms: 3 done" in after.out
    assert journal.read_text() == kept


@pytest.mark.slow
def test_a_damaged_pilot_is_run_again_and_the_arms_are_kept(outside, tb):
    args = ["run", *outside.args, "training.lr=auto", GRID]
    first = tb(*args)
    assert first.code == 0, first.err
    assert "Learning rate: 0.1, chosen by a pilot" in first.out
    (path,) = outside.outputs.glob("pilots/*/pilot.json")
    whole = path.read_bytes()
    path.write_bytes(whole[:50])
    again = tb(*args)
    assert again.code == 0, again.err
    assert f"warning: {path} is damaged" in again.err
    assert "kept " in again.err
    assert path.read_bytes() == whole


def test_a_grid_that_diverges_is_one_sentence(outside, tb):
    done = tb("run", *outside.args, "training.lr=auto", "training.lr_grid=[1e38,3e38]")
    assert done.code == 2
    [told] = [line for line in done.err.splitlines() if line.startswith("refused")]
    assert "training.lr=auto: at every rate of training.lr_grid (1e+38, 3e+38)" in told
    assert "Traceback" not in done.err
    assert not list(outside.outputs.glob("arms/*"))
