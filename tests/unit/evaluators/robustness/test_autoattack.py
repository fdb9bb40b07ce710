"""The worst case over two Auto-PGDs and Square: closed form, ordering, groups."""

import dataclasses

import numpy as np
import torch

from tests.unit.evaluators.robustness.test_robustness import named
from trustbench.evaluators.robustness.autoattack import AutoAttack
from trustbench.evaluators.robustness.robustness import Robustness
from trustbench.methods.attacks.evasion.targets import targets

QUICK = AutoAttack(steps=20, queries=40, points=100, epsilon=0.3)


def test_linear_replicates_have_the_robust_accuracy_of_the_closed_form(problem, system):
    W = torch.randn(4, 6, 2, generator=torch.Generator().manual_seed(0))

    def forward(x):
        return torch.bmm(x.expand(4, *x.shape[-2:]), W)

    v = named(QUICK.measure(dataclasses.replace(system, forward=forward)))
    at = targets(system, 100)
    slope = (W[:, :, 1 - at.y] - W[:, :, at.y]).transpose(1, 2)
    low = torch.maximum(at.X - 0.3, torch.tensor(problem.per_column("lower")).minimum(at.X))
    high = torch.minimum(at.X + 0.3, torch.tensor(problem.per_column("upper")).maximum(at.X))
    y = at.y.expand(4, -1).unsqueeze(-1)
    logits = forward(at.X)
    clean = (logits.gather(-1, 1 - y) - logits.gather(-1, y)).squeeze(-1)
    gain = torch.maximum(slope * (low - at.X), slope * (high - at.X)).sum(-1)
    np.testing.assert_allclose(v["racc_autoattack"], (clean + gain < 0).double().mean(1))
    # planted error: a radius 10 % too small is another number
    assert not np.allclose(v["racc_autoattack"], (clean + 0.9 * gain < 0).double().mean(1))


def test_the_worst_case_is_no_better_than_any_part_nor_than_pgd(multiclass_system):
    v = named(QUICK.measure(multiclass_system))
    assert "racc_apgd_dlr" in v  # five classes: the ratio is defined
    parts = np.stack([v["racc_apgd_ce"], v["racc_apgd_dlr"], v["racc_square"]])
    assert (v["racc_autoattack"] <= parts.min(0)).all()
    assert (parts <= v["acc"]).all()
    assert (v["racc_autoattack"] < v["acc"]).any()
    assert (v["worst_group_racc_autoattack"] <= v["racc_autoattack"]).all()
    pgd = named(
        Robustness(steps=20, restarts=1, points=100, epsilon=0.3).measure(multiclass_system)
    )
    assert (v["racc_autoattack"] <= pgd["racc_pgd"] + 0.011).all()  # a point of a hundred


def test_two_classes_take_the_margin(system):
    measured = QUICK.measure(system)
    assert measured.facts["second_loss"] == "margin"
    assert measured.measurements[0].name == "racc_autoattack"
    assert measured.arrays["robust"].shape == (4, 100)
    small = dataclasses.replace(QUICK, min_group=99).measure(system)
    assert "needs two groups with 99" in small.missing["racc_gap_autoattack"]
