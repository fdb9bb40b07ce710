"""Each sign of masking alone raises the flag, and none of them does at its threshold."""

import dataclasses

import pytest
import torch

from trustbench.methods.attacks.evasion.masking import Signs, zero_gradient

CLEAN = Signs(
    zero_gradient=torch.tensor([0.05]),
    gradient_free_gain=torch.tensor([0.02]),
    restart_gain=torch.tensor([0.05]),
    robust_in_box=torch.tensor([0.5]),
    chance=0.5,
)


def test_no_sign_at_the_thresholds():
    assert CLEAN.flags().tolist() == [0.0]


@pytest.mark.parametrize(
    "sign", ["zero_gradient", "gradient_free_gain", "restart_gain", "robust_in_box"]
)
def test_each_sign_alone_is_enough(sign):
    value = getattr(CLEAN, sign) + 0.01
    assert dataclasses.replace(CLEAN, **{sign: value}).flags().tolist() == [1.0]


def test_zero_gradient_counts_points_per_replicate():
    X = torch.tensor([[[-1.0], [1.0]], [[1.0], [2.0]]])

    def forward(x):  # a ReLU that is dead below 0
        return torch.cat([x.relu(), torch.zeros_like(x)], dim=-1)

    assert zero_gradient(forward, X, torch.tensor([0, 0])).double().mean(1).tolist() == [0.5, 0.0]
