"""The arms sweeper multiplies lists of arms, and checks all before one starts."""

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl

from tests.unit.config.compose.seen import experiment, who
from trustbench.config.compose import RunStart
from trustbench.errors import ConfigError


def test_a_sweep_multiplies_values(seen):
    asked, results = seen.run("-m", "intervention=none,dpsgd", "seed=0,1")
    assert asked.sweep
    got = [([i.name for i in a.interventions], a.seed) for a in results]
    assert got == [([], 0), ([], 1), (["dpsgd"], 0), (["dpsgd"], 1)]
    assert list(asked.arms) == [
        f"intervention={i} seed={s}" for i in ("none", "dpsgd") for s in (0, 1)
    ]


@pytest.mark.parametrize("batch", ["null", "1"])
def test_every_arm_has_the_label_that_tells_it_from_the_others(seen, batch):
    batches = f"hydra.sweeper.max_batch_size={batch}"
    asked, results = seen.run("-m", "training.lr=0.1,0.01", "intervention=none,dpsgd", batches)
    labels = [
        f"{method} (training.lr={lr})"
        for lr in ("0.1", "0.01")
        for method in ("none", "dpsgd epsilon=3")
    ]
    assert [a.label for a in results] == labels
    assert [a.label for a in asked.arms.values()] == labels


def test_no_arm_of_a_sweep_is_composed_with_the_table(seen, monkeypatch):
    composed, load = [], ConfigLoaderImpl.load_sweep_config

    def watched(self, master, overrides):
        composed.append(load(self, master, overrides))
        return composed[-1]

    monkeypatch.setattr(ConfigLoaderImpl, "load_sweep_config", watched)
    asked, _ = seen.run("-m", "intervention=none,dpsgd")
    assert len(composed) == 2
    assert not any(c.table for c in composed)
    assert asked.table.stem == "cresswell"


def test_lists_can_be_swept(seen):
    _, results = seen.run("-m", "intervention=[none],[dpsgd,pgd_at]")
    assert [len(a.interventions) for a in results] == [0, 2]


def test_an_experiment_lists_its_arms_and_needs_no_flag(seen, tmp_path):
    dp = "[intervention=dpsgd, 'intervention.dpsgd.epsilon=3,8']"
    body = f"    arms:\n      base: []\n      dp: {dp}\n"
    asked, results = seen.run("experiment=mine", *experiment(tmp_path, body), "seed=5,6")
    doses = [[i.plugin.epsilon for i in a.interventions] for a in results]
    assert doses == [[], [], [3.0], [3.0], [8.0], [8.0]]
    assert [a.seed for a in results] == [5, 6, 5, 6, 5, 6]
    assert {a.experiment for a in results} == {"mine"} == {asked.experiment}
    assert next(iter(asked.arms)) == "base seed=5"


def test_params_and_batches_of_the_basic_sweeper_still_work(seen, tmp_path):
    body = (
        "    max_batch_size: 1\n    params: {seed: '1,2'}\n    arms: {a: [], b: [control=reseed]}\n"
    )
    _, results = seen.run("+experiment=mine", *experiment(tmp_path, body))
    assert [(a.control, a.seed) for a in results] == [
        ("none", 1), ("none", 2), ("reseed", 1), ("reseed", 2),
    ]  # fmt: skip


def test_factors_on_the_command_line_are_an_arm_for_every_subset(seen):
    asked, results = seen.run("+experiment=factorial", "hydra.sweeper.factors=[pgd_at,dpsgd]")
    assert who(results) == [("", 0), ("dpsgd", 0), ("pgd_at", 0), ("dpsgd+pgd_at", 0)]
    assert list(asked.arms) == ["baseline", "dpsgd", "pgd_at", "dpsgd+pgd_at"]


def test_factors_stand_beside_listed_arms(seen, tmp_path):
    body = "    factors: [lime]\n    arms: {again: [control=reseed]}\n"
    _, results = seen.run("+experiment=mine", *experiment(tmp_path, body), "seed=3")
    assert who(results) == [("", 3), ("lime", 3), ("", 3)]
    assert [a.control for a in results] == ["none", "none", "reseed"]


def test_a_factor_that_does_not_exist_is_told_with_its_arms(seen):
    with pytest.raises(ConfigError) as caught:
        seen.run("-m", "hydra.sweeper.factors=[lime,dpsdg]")
    (problem,) = caught.value.problems
    assert problem.startswith("arm dpsdg, dpsdg+lime: intervention=dpsdg does not exist; did you")
    assert not seen.arms


def test_factors_and_an_intervention_for_all_contradict_each_other(seen):
    with pytest.raises(ConfigError, match="intervention is set by the experiment's arm 'lime'"):
        seen.run("-m", "hydra.sweeper.factors=[lime]", "intervention=dpsgd")


def test_pools_run_every_arm_with_seeds_of_their_own(seen, tmp_path):
    body = "    arms: {base: [], dp: [intervention=dpsgd]}\n"
    asked, results = seen.run("+experiment=mine", *experiment(tmp_path, body), "protocol.pools=2")
    assert who(results) == [("", 0), ("", 1), ("dpsgd", 0), ("dpsgd", 1)]
    assert list(asked.arms) == [f"{arm} seed={s}" for arm in ("base", "dp") for s in (0, 1)]


def test_pools_follow_the_seed_of_an_experiment_and_multiply_what_is_swept(seen, tmp_path):
    args = experiment(tmp_path, "    arms: {a: []}\nseed: 7\nprotocol: {pools: 2}\n")
    asked, results = seen.run("+experiment=mine", *args, "control=none,reseed")
    assert [(a.control, a.seed) for a in results] == [
        ("none", 7), ("none", 8), ("reseed", 7), ("reseed", 8),
    ]  # fmt: skip
    assert next(iter(asked.arms)) == "a control=none seed=7"


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["-m", "protocol.pools=2", "seed=5"], "gives a seed, and protocol.pools=2 gives each"),
        (["-m", "protocol.pools=2", "seed=0,1"], "arm 'seed=0' gives a seed"),
        (["-m", "protocol.pools=1,2"], "protocol.pools cannot be swept"),
        (["protocol.pools=2"], "protocol.pools=2 redraws .* add -m"),
        (["-m", "protocol.pools=0"], "protocol.pools is 0; it should be greater"),
    ],
)
def test_pools_that_would_not_be_what_was_asked_are_refused(seen, args, sentence):
    with pytest.raises(ConfigError, match=sentence):
        seen.run(*args)
    assert not seen.arms


def test_an_arm_has_no_pools_of_its_own(seen, tmp_path):
    body = "    arms: {base: [], dp: [intervention=dpsgd, protocol.pools=2]}\n"
    with pytest.raises(ConfigError, match=r"protocol\.pools is set by the experiment's arm 'dp'"):
        seen.run("+experiment=mine", *experiment(tmp_path, body))


def test_nothing_starts_when_one_arm_is_wrong(seen):
    with pytest.raises(ConfigError) as caught:
        seen.run("-m", "seed=0,-1", "protocol.replicates=1")
    assert caught.value.problems == (
        "protocol.replicates is 1; it should be greater than or equal to 2.",
        "arm seed=-1: seed is -1; it should be greater than or equal to 0.",
    )
    assert seen.asked is None
    assert not seen.arms


def test_every_arm_of_a_sweep_knows_the_run_that_begin_has_made(seen):
    seen.begin = lambda asked: RunStart("the sweep's run")
    asked, results = seen.run("-m", "seed=1,2")
    assert [a.sweep_run for a in results] == ["the sweep's run"] * 2
    assert [a.sweep_run for a in asked.arms.values()] == ["the sweep's run"] * 2


def doses(results):
    """The epsilon of each intervention of each arm."""
    return [[i.plugin.epsilon for i in a.interventions] for a in results]


@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_settings_of_a_method_are_for_the_arms_that_chose_it(seen, launcher):
    asked, results = seen.run(
        "-m",
        "intervention=none,dpsgd,[lime,dpsgd]",
        "intervention.dpsgd.epsilon=1",
        f"hydra/launcher={launcher}",
    )
    epsilons = [
        {i.name: getattr(i.plugin, "epsilon", None) for i in a.interventions} for a in results
    ]
    assert epsilons == [{}, {"dpsgd": 1.0}, {"lime": None, "dpsgd": 1.0}]
    assert list(asked.arms) == [f"intervention={x}" for x in ("none", "dpsgd", "[lime,dpsgd]")]


def test_swept_settings_make_an_arm_for_each_value_where_they_apply(seen):
    asked, results = seen.run("-m", "intervention=none,dpsgd", "intervention.dpsgd.epsilon=1,2")
    assert doses(results) == [[], [1.0], [2.0]]
    assert list(asked.arms) == [
        "intervention=none",
        "intervention=dpsgd intervention.dpsgd.epsilon=1",
        "intervention=dpsgd intervention.dpsgd.epsilon=2",
    ]


def test_settings_reach_the_arms_of_an_experiment_that_chose_the_method(seen, tmp_path):
    body = "    arms: {base: [], dp: [intervention=dpsgd]}\n"
    args = ["+experiment=mine", *experiment(tmp_path, body), "++intervention.dpsgd.epsilon=5"]
    _, results = seen.run(*args)
    assert doses(results) == [[], [5.0]]


def test_settings_of_an_evaluator_are_for_the_arms_that_it_measures(seen):
    args = ["evaluator=[robustness],[utility]", "evaluator.robustness.epsilon=.5"]
    _, results = seen.run("-m", *args)
    assert [getattr(a.evaluators[0].plugin, "epsilon", None) for a in results] == [0.5, None]


def test_what_a_sweep_s_settings_are_wrong_about_is_told_with_its_arms(seen):
    with pytest.raises(ConfigError) as caught:
        seen.run("-m", "intervention=none,dpsgd", "intervention.dpsgd.epsilom=1")
    (problem,) = caught.value.problems
    assert problem.startswith(
        "arm intervention=dpsgd: unknown key intervention.dpsgd.epsilom; did you mean 'epsilon'?"
    )
    with pytest.raises(ConfigError) as caught:
        seen.run("-m", "intervention=none,dpsdg", "intervention.dpsgd.epsilon=1")
    (problem,) = caught.value.problems
    assert problem.startswith("arm intervention=dpsdg: intervention=dpsdg does not exist;")


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        ("intervention.pgd_at.epsilon", "but pgd_at is not chosen; choose it with intervention="),
        ("+intervention.pgd_at.epsilon", "intervention.pgd_at.epsilon is given, but pgd_at is not"),
        ("intervention.dspgd.epsilon", "there is no intervention 'dspgd'; did you mean 'dpsgd'?"),
        ("evaluator.robustness.epsilon", "but robustness is not chosen; choose it with evaluator="),
    ],
)
@pytest.mark.parametrize("values", ["1", "1,2"])
def test_settings_that_no_arm_can_use_are_refused(seen, key, sentence, values):
    with pytest.raises(ConfigError) as caught:
        seen.run("-m", "intervention=none,dpsgd", f"{key}={values}")
    assert len(caught.value.problems) == 1
    assert sentence in str(caught.value)
    assert not seen.arms
