"""What the tests of the gate share: policies of a few rules, and the gate of a pair."""

import pytest
import yaml

from tests.unit.summary.builder import CRESSWELL, METRICS, method, record
from trustbench.config.compose import conf_dir
from trustbench.errors import UserError
from trustbench.summary.decide.gate import gate_pair
from trustbench.summary.decide.policy import parse_policy

RESEARCH = yaml.safe_load((conf_dir() / "policy" / "research.yaml").read_text())
DP = method("dpsgd", epsilon=3.0)
GAP, AUC = "fairness/acc_gap", "privacy/lira_auc"
SMALL = {m: 0.2 * sd for m, (_, sd, *_) in METRICS.items()}
OPEN = dict.fromkeys(("inconclusive", "unmeasured", "unreliable"), "inconclusive")


def policy(*limits, block=(), **more):
    """A policy of these limits and rules, by which nothing open passes."""
    return parse_policy({**RESEARCH, **OPEN, "limits": limits, "block": block, **more}, "test")


def pair(asked, candidate, baseline=None):
    """The gate of a candidate (a record or several) against a baseline."""
    sides = [baseline or record(), candidate]
    sides = [side if isinstance(side, list) else [side] for side in sides]
    return gate_pair(*sides, CRESSWELL, asked)


def only_decision(gate):
    (candidate,) = gate.candidates
    (decision,) = candidate.decisions
    return decision


def refused(candidate, baseline=None, asked=None):
    """Why a pair is not comparable."""
    with pytest.raises(UserError) as caught:
        pair(asked or policy({"metric": GAP, "worse_by_at_most": 0.1}), candidate, baseline)
    said = str(caught.value)
    assert all(line.startswith("not comparable: ") for line in said.splitlines())
    return said
