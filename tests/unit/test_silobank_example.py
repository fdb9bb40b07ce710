"""The worked example's five policies: one number a team, nothing more."""

from pathlib import Path

import pytest

from trustbench.contracts.aspects import Aspect
from trustbench.summary.decide.policy import load_policy

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "silobank"


@pytest.mark.parametrize("aspect", list(Aspect))
def test_a_team_checks_its_own_number_alone(aspect):
    policy = load_policy(FOLDER / f"{aspect}.yaml")
    assert len(policy.limits) == 1
    assert policy.limits[0].metric.split("/")[0] == aspect.value
    assert not policy.block


def test_the_page_says_how_it_is_made():
    page = (FOLDER.parent / "results" / "silobank.md").read_text()
    assert "python scripts/studies/silobank.py" in page
    assert "exit code 3" in page
