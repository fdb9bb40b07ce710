"""Every YAML file says what it is, and every arm of every experiment composes."""

import re
import shlex

import pytest
import yaml

from trustbench.config.arms import Training
from trustbench.config.binding import schema
from trustbench.config.compose import compose, composed_arm, conf_dir, run_request
from trustbench.config.plugins import describe, discover
from trustbench.config.sweep_arms import named_arms, subsets

FILES = sorted(conf_dir().rglob("*.yaml"))
EXPERIMENTS = discover("experiment", [conf_dir()])


def arms_of(path):
    """The arms of an experiment, those of its factors among them."""
    sweeper = yaml.safe_load(path.read_text())["hydra"]["sweeper"]
    factors = sweeper.get("factors")
    return named_arms({**(subsets(factors) if factors else {}), **sweeper.get("arms", {})})


ARMS = [
    (experiment, name, tuple(overrides))
    for experiment, path in EXPERIMENTS.items()
    for name, overrides in arms_of(path).items()
]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(conf_dir())))
def test_a_file_says_what_it_is_stays_short_and_leaves_defaults_to_the_main_one(path):
    """An experiment may choose among the defaults, and adds none."""
    assert describe(path)
    if path.parent.name not in ("table", "conf"):  # the table registers 25 cells
        assert len(path.read_text().splitlines()) <= 48
    node = yaml.safe_load(path.read_text())
    if path.parent.name == "experiment":
        chosen = [key for each in node.get("defaults", []) for key in each]
        assert set(chosen) <= {"override /evaluator", "override /dataset"}
    else:
        assert ("defaults" in node) == (path.name == "config.yaml")


@pytest.mark.parametrize("path", discover("training", [conf_dir()]).values(), ids=lambda p: p.stem)
def test_a_training_file_spells_every_field(path):
    assert set(yaml.safe_load(path.read_text())) == set(schema(Training))


@pytest.mark.parametrize("path", discover("evaluator", [conf_dir()]).values(), ids=lambda p: p.stem)
def test_the_settings_of_an_evaluators_file_are_its_registered_ones(path):
    """Prints name what differs from the dataclass, and people read the file."""
    if path.stem == "all":
        return
    [chosen] = composed_arm(compose([f"evaluator=[{path.stem}]"])).evaluators
    assert chosen.spec().registered == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_arm_of_an_experiment_composes_as_its_run_line_says(name):
    text = EXPERIMENTS[name].read_text()
    found = re.search(r"^# run: trustbench (run .*)$", text, re.M)
    command, *words = shlex.split(found.group(1))
    assert (command, words) == ("run", [f"+experiment={name}"])
    assert yaml.safe_load(text)["hydra"]["mode"] == "MULTIRUN"
    listed = arms_of(EXPERIMENTS[name])
    first, overrides = next(iter(listed.items()))
    assert first == "baseline"
    assert not any(o.startswith(("intervention", "control")) for o in overrides)
    request = run_request(words)
    assert list(request.arms) == list(listed)
    for arm, given in zip(request.arms.values(), listed.values(), strict=True):
        assert arm.experiment == name
        assert arm.evaluators
        assert arm.training.regime == ("memorising" if "training=memorising" in given else "tuned")
        if arm.control == "matched":
            assert any(i.plugin.retrains for i in arm.interventions)


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_treated_arm_has_its_baseline(experiment):
    regimes = {"tuned": set(), "memorising": set()}
    for e, _, overrides in ARMS:
        if e == experiment:
            regime = "memorising" if "training=memorising" in overrides else "tuned"
            shared = ("training", "evaluator", "model", "dataset", "protocol")
            regimes[regime].add(tuple(o for o in overrides if not o.startswith(shared)))
    for regime, arms in regimes.items():
        assert not arms or () in arms, f"{experiment}: no baseline in the {regime} regime"
