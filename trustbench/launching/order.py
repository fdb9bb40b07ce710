"""The order in which arms start: first those whose results others can use."""

from collections.abc import Sequence

from trustbench.config.arms import Arm
from trustbench.config.identity import arm_content, evaluation_id
from trustbench.store.identity import digest


def starting_order(arms: Sequence[Arm]) -> list[int]:
    """The indices of arms in starting order; equal arms keep the order of the sweep.

    Arms that deploy something on a baseline use its replicates and evaluations, and a matched
    control needs the replicates of the baseline and of the treated arm. An arm that starts before
    its prerequisites computes them, or waits for the process that does.
    """
    return sorted(range(len(arms)), key=lambda i: _rank(arms[i]))


def _rank(arm: Arm) -> int:
    if arm.control == "matched":
        return 3
    if not arm.interventions:
        return 0 if arm.control == "none" else 1
    return 1 if any(i.plugin.retrains for i in arm.interventions) else 2


def first_equal(arms: Sequence[Arm]) -> list[int]:
    """For each arm the index of the first one with an identical record."""
    first: dict[str, int] = {}
    return [first.setdefault(_content(arm), i) for i, arm in enumerate(arms)]


def _content(arm: Arm) -> str:
    return digest(
        {
            **arm_content(arm, fingerprint="", engine=arm.engine),
            "dataset": arm.dataset.spec().model_dump(mode="json"),
            "folders": [str(arm.data_dir), str(arm.output_dir)],
            "evaluations": sorted(map(evaluation_id, arm.evaluators)),
        }
    )
