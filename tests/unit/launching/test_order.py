"""What others can use is started first, and equal arms are recognised."""

from dataclasses import replace
from pathlib import Path

from tests.unit.arm_toys import DP, Release
from tests.unit.launching.toys import arm
from trustbench.config.arms import Chosen
from trustbench.launching.order import first_equal, starting_order

HERE = Path("/nowhere")
RELEASE, PRIVATE = Chosen("release", Release()), DP


def test_baselines_come_first_then_what_trains_then_what_shares_a_fit_then_matched_controls():
    arms = {
        "matched": arm(HERE, control="matched", interventions=(PRIVATE,)),
        "released": arm(HERE, interventions=(RELEASE,)),
        "private": arm(HERE, interventions=(PRIVATE,)),
        "reseed": arm(HERE, control="reseed"),
        "both": arm(HERE, interventions=(RELEASE, PRIVATE)),
        "baseline": arm(HERE),
    }
    names = list(arms)
    order = [names[i] for i in starting_order(list(arms.values()))]
    assert order == ["baseline", "private", "reseed", "both", "released", "matched"]


def test_equal_arms_are_those_that_would_write_the_same_record():
    base = arm(HERE)
    other = replace(base, evaluators=())
    runtime = replace(base, threads=2, tracking_uri="http://x", sweep_run="1")
    there = replace(base, data_dir=Path("/b")), replace(base, output_dir=Path("/c"))
    assert first_equal([base, replace(base, seed=1), runtime, other, *there, base]) == [
        0, 1, 0, 3, 4, 5, 0,
    ]  # fmt: skip
