"""Equal arms have equal bits: under any launcher, in any order, beside any other arms."""

import random
import shutil

import numpy as np
import pytest
import torch

from trustbench.store.digests import values_digest
from trustbench.store.records import Store

ARMS = {
    "baseline": [],
    "reseed": ["control=reseed"],
    "weights": ["intervention=balanced_weights"],
    "dpsgd": ["intervention=dpsgd", "intervention.dpsgd.epochs=2"],
    "pgd_at": ["intervention=pgd_at", "intervention.pgd_at.steps=2"],
    "saliency": ["intervention=saliency"],
    "conformal": ["intervention=conformal"],
    "private": ["intervention=[dpsgd,private_conformal]", "intervention.dpsgd.epochs=2"],
    "matched": ["control=matched", "intervention=dpsgd", "intervention.dpsgd.epochs=2"],
    "memorising": ["training=memorising"],
}
SMALL = {
    "fairness": "",
    "privacy": "",
    "robustness": "{points: 24, steps: 2, restarts: 1, queries: 10}",
    "uncertainty": "",
    "set_size_gap": "",
    "explanation_shift": "{points: 24, lime_points: 10, samples: 100}",
    "utility": "",
}
EXPERIMENT = """# @package _global_
evaluator:
{evaluators}
hydra:
  mode: MULTIRUN
  sweeper:
    arms:
{arms}
"""


@pytest.fixture
def sweep(outside, tb, empty_database):
    """Runs arms with a launcher into an outputs folder of its own; {arm id: record, arrays}."""

    def run(name, *args, arms=tuple(ARMS), evaluators=tuple(SMALL)):
        listed = "".join(f"      {a}: {ARMS[a]}\n" for a in arms)
        small = "".join(f"  {e}: {SMALL[e]}\n" for e in evaluators if SMALL[e])
        outside.write(
            f"experiment/{name}", EXPERIMENT.format(arms=listed, evaluators=small or "  {}")
        )
        given = [a for a in outside.args if not a.startswith("evaluator")]
        chosen = f"evaluator=[{','.join(evaluators)}]"
        folder = outside.folder / name
        folder.mkdir()
        shutil.copy(empty_database, folder / "mlflow.db")
        done = tb("run", f"+experiment={name}", *given, chosen, f"output_dir={folder}", *args)
        assert done.code == 0, done.err
        store = Store(folder)
        found = {r.id: (r, store.arrays(r.id)) for r in store.records()}
        assert len(found) == len(arms)
        assert all(r.status == "ok" for r, _ in found.values())
        return found

    return run


def digests(found):
    return {arm: values_digest(*both) for arm, both in found.items()}


LAUNCHERS = {
    "joblib": ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"],
    "pool": ["hydra/launcher=pool", "hydra.launcher.slots=1"],
    "slots": ["hydra/launcher=pool", "hydra.launcher.slots=3"],
}


@pytest.fixture
def plain(sweep):
    """All arms one after another in this process, in the order of the list; made once."""
    if not PLAIN:
        PLAIN.update(sweep("plain", "hydra/launcher=basic"))
    return PLAIN


PLAIN: dict[str, tuple] = {}


@pytest.mark.slow
def test_arms_differ_and_record_their_threads(plain):
    """Equal digests would mean nothing if all arms were equal."""
    assert len(set(digests(plain).values())) == len(ARMS)
    assert {r.environment["threads"] for r, _ in plain.values()} == {1}


@pytest.mark.slow
def test_the_order_of_arms_changes_no_bit(plain, sweep):
    """Treated arms first: what they shared with the baseline before, they now compute."""
    back = sweep("back", "hydra/launcher=basic", arms=tuple(reversed(ARMS)))
    assert digests(back) == digests(plain)


@pytest.mark.slow
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_no_launcher_changes_a_bit(launcher, plain, sweep):
    assert digests(sweep(launcher, *LAUNCHERS[launcher])) == digests(plain)


@pytest.mark.slow
def test_the_number_of_threads_of_the_shell_changes_nothing(sweep, outside, spawn, monkeypatch):
    """`threads` is pinned: what the environment says of threads is not read."""
    arms = ("baseline", "dpsgd", "saliency")
    expected = digests(sweep("pinned", "hydra/launcher=basic", arms=arms))
    shutil.rmtree(outside.folder / "pinned" / "arms")
    shutil.rmtree(outside.folder / "pinned" / "fits")
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(name, "3")
    given = [a for a in outside.args if not a.startswith("evaluator")]
    chosen, folder = f"evaluator=[{','.join(SMALL)}]", outside.folder / "pinned"
    process = spawn("run", "+experiment=pinned", *given, chosen, f"output_dir={folder}",
                    "hydra/launcher=basic")  # fmt: skip
    _, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    store = Store(folder)
    assert digests({r.id: (r, store.arrays(r.id)) for r in store.records()}) == expected


def global_states():
    """The states of every generator that arms could share by accident."""
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002  # the state that nobody may touch
    return random.getstate(), (kind, keys.tobytes(), *rest), torch.get_rng_state().numpy().tobytes()


@pytest.mark.slow
def test_no_arm_draws_from_or_seeds_global_generators(plain, sweep):
    random.seed(1)
    np.random.seed(2)  # noqa: NPY002
    torch.manual_seed(3)
    before = global_states()
    first = digests(sweep("first", "hydra/launcher=basic"))
    after = global_states()
    for name, one, other in zip(("random", "numpy", "torch"), before, after, strict=True):
        assert one == other, f"an arm consumed or seeded the global generator of {name}"
    assert first == digests(plain), "and none read one"


def part(found, evaluators):
    """Each record with these evaluations only, and their arrays."""
    kept = {}
    for arm, (record, arrays) in found.items():
        own = {k: e for k, e in record.evaluations.items() if e.evaluator.name in evaluators}
        assert len(own) == len(evaluators)
        some = {k: a for k, a in arrays.items() if k == "logits" or k.split("/")[0] in own}
        kept[arm] = record.model_copy(update={"evaluations": own}), some
    return kept


@pytest.mark.slow
def test_more_arms_and_evaluators_shift_no_stream(plain, sweep):
    few_arms, few = ("dpsgd", "baseline", "pgd_at"), ("privacy", "robustness")
    alone = sweep("alone", "hydra/launcher=basic", arms=few_arms, evaluators=few)
    kept = digests(part(plain, few))
    assert digests(alone) == {arm: kept[arm] for arm in alone}


@pytest.mark.slow
def test_one_more_method_shifts_no_stream_of_the_others(sweep):
    """With a deployed method added, training draws what it drew: equal replicates, equal values."""
    ARMS["both"] = ["intervention=[dpsgd,saliency]", "intervention.dpsgd.epochs=2"]
    try:
        found = sweep("methods", "hydra/launcher=basic", arms=("dpsgd", "both"))
    finally:
        del ARMS["both"]
    (one, own), (both, others) = found.values()
    assert one.fit == both.fit
    assert np.array_equal(own["logits"], others["logits"])
    for key, evaluation in one.evaluations.items():
        if evaluation.evaluator.name in ("utility", "fairness", "privacy", "robustness"):
            assert evaluation.measurements == both.evaluations[key].measurements
