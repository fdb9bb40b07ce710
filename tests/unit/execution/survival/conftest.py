"""The arm whose files are damaged."""

from dataclasses import replace

import pytest

from tests.unit.arm_toys import Toy
from tests.unit.execution.survival.damage import PLAIN, RIGHT
from trustbench.config.arms import Chosen, Protocol


@pytest.fixture
def arm(arm, tmp_path):
    """The toy arm, smaller: two replicates of 400 rows."""
    return replace(
        arm,
        dataset=Chosen("toy", Toy(rows=400)),
        training=replace(arm.training, epochs=3, snapshots=3),
        evaluators=(RIGHT, PLAIN),
        protocol=Protocol(replicates=2),
        output_dir=tmp_path / "out",
    )
