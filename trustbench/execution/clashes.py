"""Why interventions cannot be combined in an arm: clashes of hooks, bounds and schedules."""

from collections.abc import Sequence
from dataclasses import fields

from trustbench.config.arms import Chosen
from trustbench.config.identity import in_order
from trustbench.contracts import Intervention, Schedule


def of_hooks(a: Chosen[Intervention], b: Chosen[Intervention]) -> str | None:
    """Why two methods cannot be combined because of their hooks, or None."""
    for hook in sorted(a.plugin.exclusive | b.plugin.exclusive):
        if a.plugin.fills(hook) and b.plugin.fills(hook):
            return (
                f"{a.name} and {b.name} both decide the `{hook}` hook, which holds only one; "
                f"choose one of them."
            )
    return None


def of_bounds(bounds: Chosen[Intervention], other: Chosen[Intervention]) -> str | None:
    """Why another method would break the guarantee of a gradient rule, or None."""
    if not bounds.plugin.fills("gradient"):
        return None
    if other.plugin.fills("resample"):
        return (
            f"{bounds.name} accounts for Poisson sampling of the members, but {other.name} "
            "chooses which rows an epoch visits, so the guarantee would not hold; choose one of "
            "them."
        )
    if other.plugin.fills("layer_loss"):
        return (
            f"{bounds.name} bounds each example's gradient through its logits, but the loss of "
            f"{other.name} reads the layers themselves, so its part of the gradient would not be "
            "bounded; choose one of them."
        )
    if not other.plugin.per_example:
        return (
            f"{bounds.name} bounds each example's gradient, but the objective of {other.name} "
            "couples the examples of a batch, so the bound would not hold; choose one of them."
        )
    return None


def of_schedules(
    interventions: Sequence[Chosen[Intervention]], configured: Schedule, used: Schedule
) -> str | None:
    """Why a change of the schedule would not be the one that trains, or None.

    `configured` is the schedule of the training options, `used` that of the loop.
    """
    found: dict[str, tuple[str, object]] = {}
    for chosen in in_order(tuple(interventions)):
        after = chosen.plugin.schedule(configured)
        for field in (f.name for f in fields(Schedule)):
            value = getattr(after, field)
            if value == getattr(configured, field):
                continue
            if field == "regime":
                return (
                    f"{chosen.name} changes the regime of training, which belongs to the arm and "
                    "not to a method; choose training=tuned or training=memorising."
                )
            if field in found:
                return (
                    f"{found[field][0]} and {chosen.name} both set {field}, so one of them would "
                    "have no effect; choose one of them."
                )
            found[field] = chosen.name, value
    for field, (name, value) in found.items():
        if getattr(used, field) != value:
            other = next(c.name for c in interventions if c.plugin.fills("gradient"))
            return (
                f"{name} sets {field}={value}, but {other} trains with "
                f"{field}={getattr(used, field)} of its own; leave that to the training options "
                f"(null), or choose one of the two."
            )
    return None
