"""Weights of a plugin are one finite number of at least 0 per member, or they are refused."""

import numpy as np
import pytest

from trustbench.contracts import Intervention
from trustbench.errors import ConfigError
from trustbench.training.hooks import _refuse_odd_weights


@pytest.mark.parametrize(
    "own", [[-1.0, 2.0], [np.nan, 1.0], [np.inf, 1.0], [3.0], 1.5, [[1.0, 1.0]], [1.0, 1.0, 1.0]]
)
def test_weights_that_training_cannot_use_are_refused(own):
    with pytest.raises(ConfigError, match="give 2 finite numbers of at least 0, one per member"):
        _refuse_odd_weights(Intervention(), np.asarray(own), 2)


@pytest.mark.parametrize("own", [[0.0, 2.0], [1, 1]])
def test_weights_of_at_least_0_are_accepted(own):
    _refuse_odd_weights(Intervention(), np.asarray(own), 2)
