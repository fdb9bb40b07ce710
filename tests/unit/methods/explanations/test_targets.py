"""Margins are log-odds of the chosen class, per replicate and row."""

import torch

from trustbench.methods.explanations.targets import target_values


def test_targets_are_log_odds_and_probabilities_of_each_rows_own_class():
    logits = torch.randn(
        2, 3, 5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    classes = torch.tensor([[0, 1, 2], [3, 2, 1]])
    p = logits.softmax(-1)
    own = torch.stack(
        [torch.stack([p[r, i, :, classes[r, i]] for i in range(3)]) for r in range(2)]
    )
    torch.testing.assert_close(target_values(logits, classes, "probability"), own)
    torch.testing.assert_close(target_values(logits, classes, "margin"), (own / (1 - own)).log())


def test_margins_stay_finite_where_probabilities_saturate():
    logits = torch.tensor([200.0, -200.0]).view(1, 1, 1, 2)
    assert target_values(logits, torch.zeros(1, 1, dtype=torch.int64), "margin").item() == 400.0
