"""Sets are released per score, calibrated per replicate, and retrain nothing."""

import dataclasses

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from trustbench.interventions.uncertainty.conformal import SplitConformalSets
from trustbench.methods.conformal import covered, set_sizes

GROUP = np.zeros(0, dtype=np.int64)  # marginal sets do not read it


def test_deploy_opens_one_channel_per_score(multiclass_system):
    system = multiclass_system
    released = SplitConformalSets(alpha=0.2).deploy(system)
    assert not system.set_predictors
    assert list(released.set_predictors) == ["aps", "lac"]
    X, y, _ = system.problem.rows("test")
    sets = released.sets(torch.as_tensor(X), "lac", GROUP)
    assert sets.shape == (4, len(y), 5)
    assert sets.dtype == torch.bool
    assert abs(covered(sets, y).mean() - 0.8) < 0.1
    only = SplitConformalSets(scores=("lac",)).deploy(system)
    assert list(only.set_predictors) == ["lac"]


def test_a_smaller_alpha_gives_larger_sets(multiclass_system):
    X = torch.as_tensor(multiclass_system.problem.rows("test")[0])
    sizes = [
        set_sizes(
            SplitConformalSets(alpha=a).deploy(multiclass_system).sets(X, "aps", GROUP)
        ).mean()
        for a in (0.02, 0.1, 0.3)
    ]
    assert sizes[0] > sizes[1] > sizes[2]


def test_each_replicate_calibrates_on_its_own_rows(multiclass_system):
    system, X = multiclass_system, torch.as_tensor(multiclass_system.problem.rows("test")[0])
    before = SplitConformalSets().deploy(system).sets(X, "lac", GROUP)
    rows = system.calibration.copy()
    p = system.logits(torch.as_tensor(system.problem.X[rows[0]]))[0].softmax(-1)
    own = p[torch.arange(len(rows[0])), system.problem.y[rows[0]]].numpy()
    rows[0] = np.resize(rows[0][own < np.quantile(own, 0.3)], len(own))  # hard rows only
    after = (
        SplitConformalSets()
        .deploy(dataclasses.replace(system, calibration=rows))
        .sets(X, "lac", GROUP)
    )
    assert after[0].sum() > before[0].sum()
    assert torch.equal(after[1:], before[1:])


def test_unknown_scores_and_impossible_levels_are_refused():
    check = TypeAdapter(SplitConformalSets).validate_python
    with pytest.raises(ValidationError, match="'aps' or 'lac'"):
        check({"scores": ["apps"]})
    with pytest.raises(ValidationError, match="less than 1"):
        check({"alpha": 1.0})
    assert check({"alpha": 0.05, "scores": ["lac"]}).scores == ("lac",)
    assert not SplitConformalSets().retrains
