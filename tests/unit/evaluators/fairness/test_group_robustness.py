"""Gaps against loops by hand, ART's attack, and the closed form of linear replicates."""

import dataclasses

import numpy as np
import pytest
import torch
from art.attacks.evasion import ProjectedGradientDescent
from art.estimators.classification import PyTorchClassifier

from tests.conftest import make_problem, make_system
from trustbench.evaluators.fairness.group_robustness import GroupRobustness
from trustbench.methods.attacks.evasion.targets import targets

QUICK = GroupRobustness(epsilon=0.3, points=150, steps=10, min_group=10, permutations=200)


def named(measured):
    return {m.name: m.values for m in measured.measurements}


@pytest.fixture(scope="module")
def groups():
    """Three groups; every model is worse on the last, which lies between the classes."""
    problem = make_problem(n=1500, groups=3, shift=0.7, seed=4)
    X = problem.X.copy()
    X[problem.group == 2] *= 0.4
    return make_system(dataclasses.replace(problem, X=X), 3)


def linear(system, W, b):
    def forward(x):
        return torch.baddbmm(b, x.expand(len(W), *x.shape[-2:]), W)

    return dataclasses.replace(system, forward=forward, replicates=len(W))


def exact(system, W, b, epsilon):
    """Which points [R, n] linear replicates keep and get right, from the closed form."""
    at, problem = targets(system, QUICK.points), system.problem
    logits = system.forward(at.X)
    y = at.y.expand(len(W), -1)[..., None]
    slope = (W[:, :, 1] - W[:, :, 0])[:, None] * torch.where(at.y == 1, -1, 1)[None, :, None]
    low = torch.maximum(at.X - epsilon, torch.tensor(problem.per_column("lower")).minimum(at.X))
    high = torch.minimum(at.X + epsilon, torch.tensor(problem.per_column("upper")).maximum(at.X))
    margin = (logits.gather(-1, 1 - y) - logits.gather(-1, y))[..., 0]
    worst = margin + torch.maximum(slope * (low - at.X), slope * (high - at.X)).sum(-1)
    return (worst < 0).numpy(), (margin < 0).numpy(), at


def by_hand(robust, natural, group, y, *, conditional=False):
    """Every gap of one replicate; `conditional` plants an error in the boundary error."""
    racc, boundary, error = [], [], []
    for g in np.unique(group):
        own = group == g
        racc.append(robust[own].mean())
        hurt = (natural & ~robust)[own]
        boundary.append(hurt.sum() / (natural[own].sum() if conditional else own.sum()))
        error.append(1 - natural[own].mean())
    by_class = [robust[y == c].mean() for c in np.unique(y)]
    return {
        "racc_gap": max(racc) - min(racc),
        "racc_worst_group": min(racc),
        "boundary_error_gap": max(boundary) - min(boundary),
        "natural_error_gap": max(error) - min(error),
        "robust_class_sd": np.std(by_class),
    }


def test_linear_replicates_have_the_gaps_of_the_closed_form(groups):
    g = torch.Generator().manual_seed(0)
    W, b = torch.randn(3, 6, 2, generator=g), torch.randn(3, 1, 2, generator=g)
    system = linear(groups, W, b)
    found = named(QUICK.measure(system))
    robust, natural, at = exact(system, W, b, QUICK.epsilon)
    small, *_ = exact(system, W, b, 0.9 * QUICK.epsilon)
    y = at.y.numpy()

    def expected(kept=robust, of=at.group, **error):
        return [by_hand(k, n, of, y, **error) for k, n in zip(kept, natural, strict=True)]

    got = [{name: found[name][r] for name in by_hand(robust[r], natural[r], at.group, y)}
           for r in range(3)]  # fmt: skip
    assert got == [pytest.approx(e, abs=1e-12) for e in expected()]
    # planted errors
    for wrong in (expected(small), expected(of=np.roll(at.group, 1)), expected(conditional=True)):
        assert got != [pytest.approx(e, abs=1e-12) for e in wrong]


def test_arts_attack_finds_the_same_points(groups):
    """ART's PGD, from the clean point, on one replicate of the network."""
    plugin = dataclasses.replace(QUICK, steps=40, restarts=2)
    measured = plugin.measure(groups)
    at, r = targets(groups, QUICK.points), 1

    class Replicate(torch.nn.Module):
        def forward(self, x):
            return groups.forward(x.expand(3, *x.shape))[r]

    art = PyTorchClassifier(
        model=Replicate(), loss=torch.nn.CrossEntropyLoss(), input_shape=(6,), nb_classes=2
    )
    attack = ProjectedGradientDescent(
        art, eps=QUICK.epsilon, eps_step=0.02, max_iter=40, verbose=False
    )
    X = at.X[r].numpy()
    moved = attack.generate(X, y=at.y.numpy())
    problem = groups.problem
    lower, upper = problem.per_column("lower"), problem.per_column("upper")
    moved = np.clip(moved, np.minimum(lower, X), np.maximum(upper, X))
    theirs = art.predict(moved).argmax(1) == at.y.numpy()
    ours = measured.arrays["robust"][r]
    assert (ours & ~theirs).sum() <= 1
    assert (theirs & ~ours).sum() <= 2
    weak = named(dataclasses.replace(plugin, epsilon=0.03).measure(groups))
    assert abs(weak["racc_worst_group"][r] - named(measured)["racc_worst_group"][r]) > 0.05


def test_a_group_near_the_boundary_shows_and_shuffled_groups_do_not(groups):
    found = named(QUICK.measure(groups))
    assert (found["racc_gap"] > found["racc_gap_permuted"] + 0.05).all()
    rng = np.random.default_rng(0)
    shuffled = dataclasses.replace(groups.problem, group=rng.permutation(groups.problem.group))
    null = named(QUICK.measure(dataclasses.replace(groups, problem=shuffled)))
    assert (np.abs(null["racc_gap"] - null["racc_gap_permuted"]) < 0.15).all()
    assert null["racc_gap"].mean() < found["racc_gap"].mean()
    for values in found.values():
        assert (values >= 0).all()
    assert (found["boundary_error_gap"] > 0).any()


def test_chance_counts_what_replicates_share(groups):
    """Replicates that keep the same points share the luck of each permutation."""
    g = torch.Generator().manual_seed(0)
    W, b = torch.randn(1, 6, 2, generator=g), torch.randn(1, 1, 2, generator=g)
    alike = linear(groups, W.expand(3, -1, -1), b.expand(3, -1, -1))
    (null,) = (m for m in QUICK.measure(alike).measurements if m.name == "racc_gap_permuted")
    robust, _, at = exact(alike, W.expand(3, -1, -1), b.expand(3, -1, -1), QUICK.epsilon)
    rng = np.random.default_rng(1)
    gaps = [
        np.ptp([robust[0][order == k].mean() for k in range(3)])
        for order in (rng.permutation(at.group) for _ in range(1000))
    ]
    assert null.values == pytest.approx(np.full(3, np.mean(gaps)), rel=0.1)
    assert null.common_sd == pytest.approx(np.std(gaps), rel=0.2)


def test_small_groups_are_left_out_and_named(groups):
    at = targets(groups, QUICK.points)
    count = np.bincount(at.group)
    small = int(count.argmin())
    measured = dataclasses.replace(QUICK, min_group=int(count.min()) + 1).measure(groups)
    assert measured.facts["left_out"] == f"g{small}"
    kept = at.group != small
    for r in range(3):
        robust, natural = (measured.arrays[k][r][kept] for k in ("robust", "natural"))
        expected = by_hand(robust, natural, at.group[kept], at.y.numpy()[kept])
        assert named(measured)["racc_gap"][r] == pytest.approx(expected["racc_gap"])
    assert measured.measurements[0].n == kept.sum()


def test_what_cannot_be_compared_has_a_reason(groups):
    at = targets(groups, QUICK.points)
    count, classes = np.bincount(at.group), np.bincount(at.y.numpy())
    only_classes = dataclasses.replace(QUICK, min_group=int(count.max()) + 1)
    measured = only_classes.measure(groups)
    assert set(named(measured)) == {"robust_class_sd", "robust_class_sd_permuted"}
    assert "needs 2 of at least" in measured.missing["racc_gap"]
    nothing = dataclasses.replace(QUICK, min_group=int(classes.max()) + 1)
    assert "needs 2 groups or 2 classes" in nothing.supports(groups)
    assert QUICK.supports(groups) is None
    features = tuple(dataclasses.replace(f, scale=0.0) for f in groups.problem.features)
    frozen = dataclasses.replace(groups.problem, features=features)
    assert "may be perturbed" in QUICK.supports(dataclasses.replace(groups, problem=frozen))


def test_replicates_do_not_depend_on_how_many_there_are(groups):
    few = dataclasses.replace(
        groups, replicates=1, forward=lambda x: groups.forward(x.expand(3, *x.shape[-2:]))[:1]
    )
    many, one = named(QUICK.measure(groups)), named(QUICK.measure(few))
    for name, values in one.items():
        assert values[0] == pytest.approx(many[name][0], abs=1e-12)
