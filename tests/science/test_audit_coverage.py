"""The intervals of an audit hold the number they speak of, on simulated tables of rows."""

import numpy as np
import pytest

from scripts.studies.audit_coverage import POPULATIONS, study
from trustbench.evaluators.uncertainty.uncertainty import Uncertainty
from trustbench.evaluators.utility import Utility

TABLES = 60


@pytest.mark.science
def test_intervals_over_rows_hold_what_they_speak_of():
    evaluators = {"utility": Utility(), "uncertainty": Uncertainty()}
    metrics = ("utility/accuracy", "utility/auc", "uncertainty/nll", "uncertainty/ece")
    found = study(300, POPULATIONS[2], TABLES, 200, evaluators, metrics)
    held = {name: of.held for name, of in found.items()}
    # of 60 intervals that hold with probability .95, fewer than 51 do in 1 of 2,000 studies
    assert min(held.values()) >= 51 / TABLES, held
    assert np.mean(list(held.values())) > 0.88
