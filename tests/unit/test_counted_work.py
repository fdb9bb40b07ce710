"""Small jobs whose work is counted: a fifth more of it fails, on any machine and under any load."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import make_problem, make_system
from tests.counted import counted
from tests.unit.summary.builder import CRESSWELL, method, record
from tests.unit.training.test_loop import SCHEDULE, ignore, trainer
from trustbench.api.checks.cheap import cheap
from trustbench.evaluators.explainability.explainability import Explainability
from trustbench.evaluators.fairness.fairness import Fairness
from trustbench.evaluators.robustness.robustness import Robustness
from trustbench.evaluators.uncertainty.uncertainty import Uncertainty
from trustbench.interventions.privacy.dpsgd import DPSGD
from trustbench.interventions.robustness.pgd_at import PGDAdversarialTraining
from trustbench.summary.render import render
from trustbench.summary.table.table import summarize
from trustbench.training import loop

FILE = Path(__file__).resolve().parents[1] / "golden" / "work.json"
UPDATE = "TRUSTBENCH_UPDATE_GOLDEN"
MORE = 1.2


def surplus(found, kept):
    """The counts that grew by more than the margin: each now and before."""
    return {k: (n, kept[k]) for k, n in found.items() if n > MORE * kept[k]}


def arms(count):
    """The records of a baseline and of that many doses of one method."""
    doses = [method("dpsgd", epsilon=1.0 + k) for k in range(count)]
    return [record(), *(record(dose, ident=f"d{k}") for k, dose in enumerate(doses))]


def training(*interventions):
    def job():
        made, parameters = trainer(make_problem(), interventions, replace(SCHEDULE, epochs=2))
        loop.train(made, parameters, ignore)

    return job


def measuring(plugin):
    system = make_system(make_problem())
    return lambda: plugin.measure(system)


def tables(count):
    found = arms(count)
    return lambda: summarize(found, CRESSWELL)


def rendering(format):
    found = summarize(arms(20), CRESSWELL)
    return lambda: render(found, format)


JOBS = {
    "train": training,
    "train dpsgd": lambda: training(
        DPSGD(epsilon=None, noise_multiplier=1.0, epochs=2, batch_size=32)
    ),
    "train pgd_at": lambda: training(PGDAdversarialTraining(steps=3)),
    "measure fairness": lambda: measuring(Fairness()),
    "measure robustness": lambda: measuring(cheap(Robustness())),
    "measure explainability": lambda: measuring(cheap(Explainability())),
    "measure uncertainty": lambda: measuring(Uncertainty()),
    "summarise 20 arms": lambda: tables(20),
    "render json": lambda: rendering("json"),
    "render csv": lambda: rendering("csv"),
}


@pytest.mark.parametrize("name", JOBS)
def test_golden_work_of_a_job_grows_by_less_than_a_fifth(name):
    found = counted(JOBS[name]())
    kept = json.loads(FILE.read_text("utf-8")) if FILE.exists() else {}
    if os.environ.get(UPDATE):
        kept[name] = found
        FILE.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n", "utf-8")
    assert not surplus(found, kept[name]), (
        f"{name} takes more work than it did (now, before): {surplus(found, kept[name])}; if that "
        f"is meant, set {UPDATE}=1 and read the diff"
    )
    assert found["calls"] > 0


def test_the_work_of_a_table_grows_with_its_arms_and_no_faster():
    few, many = (counted(tables(count))["calls"] for count in (20, 80))
    assert many < 4.2 * few


def test_two_epochs_more_than_four_is_noticed():
    def trained(epochs):
        made, parameters = trainer(make_problem(), (), replace(SCHEDULE, epochs=epochs))
        return counted(lambda: loop.train(made, parameters, ignore))

    four, six = trained(4), trained(6)
    assert set(surplus(six, four)) == {"calls", "operations", "flops"}
    assert not surplus(four, four)
