"""The same arm on every row of the training pool, for use instead of comparison."""

from dataclasses import fields, replace
from typing import Any

from trustbench.config.arms import Arm, Chosen
from trustbench.contracts import Intervention
from trustbench.execution.plan import Plan, plan


def refitted(measured: Plan) -> Plan:
    """The plan of one model trained on the whole pool and calibrated on the whole calibration pool.

    The validation rows still choose the epoch and the test rows stay unseen, so that the model can
    be measured. Privacy noise comes from the operating system.
    """
    arm = measured.arm
    protocol = replace(
        arm.protocol,
        replicates=1,
        inclusion="all",
        shadows=0,
        calibration=len(measured.problem.splits["calibration"]),
    )
    interventions = tuple(map(with_system_noise, arm.interventions))
    return plan(replace(arm, protocol=protocol, interventions=interventions, only=0))


def measurable(arm: Arm) -> Arm:
    """The arm with those evaluators that need no other trained system."""
    own = tuple(e for e in arm.evaluators if not e.plugin.needs)
    return replace(arm, evaluators=own, only=None, tracking_uri=None, label="")


def unmeasurable(arm: Arm) -> dict[str, str]:
    """The other evaluators, and what each needs."""
    return {
        e.name: f"needs {', '.join(sorted(e.plugin.needs))}"
        for e in arm.evaluators
        if e.plugin.needs
    }


def with_system_noise(chosen: Chosen[Intervention]) -> Chosen[Intervention]:
    """The method with noise from the operating system in place of a seed."""
    seeded = {f.name: getattr(chosen.plugin, f.name) for f in fields(chosen.plugin)}
    if seeded.get("noise") != "seeded":
        return chosen
    changed: dict[str, Any] = {"noise": "system"}
    return replace(chosen, plugin=replace(chosen.plugin, **changed))
