"""Every YAML file says what it is, and every arm of every experiment composes."""

import re
import shlex

import pytest
import yaml

from trustbench.config.arms import Training
from trustbench.config.binding import schema
from trustbench.config.compose import compose, composed_arm, conf_dir
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
def test_a_file_starts_with_what_it_is_and_stays_short(path):
    assert describe(path)
    if path.parent.name not in ("table", "conf"):  # the table registers 25 cells
        assert len(path.read_text().splitlines()) <= 48


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(conf_dir())))
def test_only_the_main_file_has_defaults(path):
    """An experiment may choose among them, and adds none."""
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


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_says_how_it_is_run(name):
    text = EXPERIMENTS[name].read_text()
    found = re.search(r"^# run: trustbench (run .*)$", text, re.M)
    assert shlex.split(found.group(1)) == ["run", f"+experiment={name}"]
    node = yaml.safe_load(text)
    assert node["hydra"]["mode"] == "MULTIRUN"
    first, overrides = next(iter(arms_of(EXPERIMENTS[name]).items()))
    assert first == "baseline"
    assert not any(o.startswith(("intervention", "control")) for o in overrides)


IDS = [f"{experiment}-{name}" for experiment, name, _ in ARMS]


@pytest.mark.parametrize(("experiment", "name", "overrides"), ARMS, ids=IDS)
def test_every_arm_composes(experiment, name, overrides):
    arm = composed_arm(compose([f"+experiment={experiment}", *overrides]))
    assert arm.experiment == experiment
    assert arm.evaluators
    assert arm.training.regime == ("memorising" if "training=memorising" in overrides else "tuned")
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
