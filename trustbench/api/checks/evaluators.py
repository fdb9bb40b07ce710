"""The contract of an evaluator: it measures what it declares, reproducibly, or gives a reason."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from trustbench.api.checks.cheap import cheap
from trustbench.api.checks.findings import Check, reason_of, require
from trustbench.api.checks.opened import opened
from trustbench.api.checks.toys import make_problem, make_system, make_table
from trustbench.contracts import CHANNELS, Evaluator, Measured, System
from trustbench.contracts.metrics import check as declared_as_measured


def checks(evaluator: Evaluator) -> Iterator[Check]:
    """The checks of an evaluator, on bare toy systems and on ones with every channel open."""
    plugin = cheap(evaluator)
    systems = {
        "two classes": make_system(make_problem()),
        "two classes, every channel open": opened(make_system(make_table()), "channel", "release"),
        "five classes": make_system(make_problem(n=900, classes=5, groups=5, seed=1)),
        "eight replicates": make_system(make_problem(), replicates=8, steps=60),
    }
    taken: dict[str, System] = {}

    def supports() -> str:
        refused = []
        for name, system in systems.items():
            reason = reason_of(plugin.supports(system), type(plugin).__name__)
            if reason is None:
                taken[name] = system
            else:
                refused.append(f"{name}: {reason}")
        require(taken, f"it measures none of the toy systems ({'; '.join(refused)}).")
        return "; ".join(refused)

    yield "`supports` answers", supports
    yield "it says what it is", lambda: _states(evaluator)
    for name in systems:
        yield f"measures {name}", partial(_measured, plugin, taken, name)


def _states(evaluator: Evaluator) -> str:
    require(hasattr(evaluator, "aspect"), "aspect is missing; state it (None: utility).")
    require(len(evaluator.reference) > 10, "reference is missing; cite the paper of the metric.")
    unknown = sorted(evaluator.reads - set(CHANNELS))
    require(
        not unknown, f"reads names {unknown}; the channels of a system are {', '.join(CHANNELS)}."
    )
    metrics = getattr(evaluator, "metrics", ())
    require(metrics, "metrics is missing; declare a Metric for everything that it measures.")
    return f"declares {', '.join(m.name for m in metrics)}"


def _measured(evaluator: Evaluator, taken: dict[str, System], name: str) -> str | None:
    if name not in taken:
        return "not supported"
    system = taken[name]
    before = dict(system.facts)
    first, again = evaluator.measure(system), evaluator.measure(system)
    require(isinstance(first, Measured), "measure returns no Measured; return trustbench.Measured.")
    require(dict(system.facts) == before, "measure changes system.facts; return facts instead.")
    require(first.measurements or first.arrays or first.missing, "it measures nothing at all.")
    declared_as_measured(evaluator.metrics, first, type(evaluator).__name__)
    for m, same in zip(first.measurements, again.measurements, strict=True):
        _sound(m.name, m.values, m.lower, m.upper, system.replicates)
        require(
            np.array_equal(m.values, same.values),
            f"{m.name} differs when measured again; draw random numbers from system.streams only.",
        )
    return None


def _sound(
    name: str, values: np.ndarray, lower: float | None, upper: float | None, replicates: int
) -> None:
    require(
        values.shape == (replicates,),
        f"{name} has shape {values.shape}; give one number for each replicate, ({replicates},).",
    )
    inside = (lower is None or (values >= lower - 1e-6).all()) and (
        upper is None or (values <= upper + 1e-6).all()
    )
    require(inside, f"{name} leaves its declared bounds, {lower} to {upper}; correct one of them.")
