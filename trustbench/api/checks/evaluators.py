"""The contract of an evaluator: it measures what it declares, reproducibly, or gives a reason."""

from collections.abc import Iterator
from functools import cache, partial

import numpy as np

from trustbench.api.checks.cheap import cheap
from trustbench.api.checks.findings import Check, reason_of, require
from trustbench.api.checks.opened import opened
from trustbench.api.checks.toys import TOYS, toy_system
from trustbench.contracts import CHANNELS, PERMUTED, Evaluator, Measured, Measurement, System
from trustbench.contracts.metrics import all_of, declared
from trustbench.contracts.metrics import check as declared_as_measured

OPEN = "a table, every channel open"
COMPLETE = "it measures everything that it declares"


@cache
def _opened() -> System:
    return opened(toy_system("a table"), "channel", "release")


def checks(evaluator: Evaluator) -> Iterator[Check]:
    """The checks of an evaluator, on bare toy systems and on one with every channel open."""
    plugin = cheap(evaluator)
    systems = {name: toy_system(name) for name in TOYS if name != "a table"} | {OPEN: _opened()}
    taken: dict[str, System] = {}
    seen: set[str] = set()

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

    def complete() -> str:
        never = [m.name for m in all_of(plugin.metrics) if m.name not in seen]
        return f"on no toy system: {', '.join(never)}" if never else ""

    yield "`supports` answers", supports
    yield "it says what it is", lambda: _states(evaluator)
    for name in systems:
        yield f"measures {name}", partial(_measured, plugin, taken, name, seen)
    yield COMPLETE, complete


def _states(evaluator: Evaluator) -> str:
    require(hasattr(evaluator, "aspect"), "aspect is missing; state it (None: utility).")
    require(len(evaluator.reference) > 10, "reference is missing; cite the paper of the metric.")
    unknown = sorted(evaluator.reads - set(CHANNELS))
    require(
        not unknown, f"reads names {unknown}; the channels of a system are {', '.join(CHANNELS)}."
    )
    return f"declares {', '.join(m.name for m in evaluator.metrics) or 'no metric'}"


def _measured(
    evaluator: Evaluator, taken: dict[str, System], name: str, seen: set[str]
) -> str | None:
    """Measures one system, twice unless an earlier one was; adds what it measures to `seen`."""
    if name not in taken:
        return "not supported"
    system, owner = taken[name], type(evaluator).__name__
    before = dict(system.facts)
    first = evaluator.measure(system)
    require(isinstance(first, Measured), "measure returns no Measured; return trustbench.Measured.")
    require(dict(system.facts) == before, "measure changes system.facts; return facts instead.")
    require(first.measurements or first.arrays or first.missing, "it measures nothing at all.")
    declared_as_measured(evaluator.metrics, first, owner)
    _distinct([*(m.name for m in first.measurements), *first.missing])
    for m in first.measurements:
        _sound(m, evaluator, system.replicates)
    for kept, array in first.arrays.items():
        finite = np.isfinite(np.asarray(array, dtype=float)).all()
        require(finite, f"the array {kept} holds numbers that are not finite.")
    if name in (OPEN, next(iter(taken))):
        _repeatable(first, evaluator.measure(system))
    for each in (*(m.name for m in first.measurements), *first.missing):
        metric = declared(evaluator.metrics, each, owner)
        seen |= {metric.name, *(null.name for null in metric.nulls())}
    return None


def _distinct(names: list[str]) -> None:
    twice = sorted({n for n in names if names.count(n) > 1})
    require(not twice, f"it gives {', '.join(twice)} more than once; give each metric once.")


def _repeatable(first: Measured, again: Measured) -> None:
    for m, same in zip(first.measurements, again.measurements, strict=True):
        require(
            np.array_equal(m.values, same.values),
            f"{m.name} differs when measured again; draw random numbers from system.streams only.",
        )


def _sound(m: Measurement, evaluator: Evaluator, replicates: int) -> None:
    require(
        m.values.shape == (replicates,),
        f"{m.name} has shape {m.values.shape}; give one number for each replicate, "
        f"({replicates},).",
    )
    inside = (m.lower is None or (m.values >= m.lower - 1e-6).all()) and (
        m.upper is None or (m.values <= m.upper + 1e-6).all()
    )
    require(
        inside, f"{m.name} leaves its declared bounds, {m.lower} to {m.upper}; correct one of them."
    )
    require(m.n > 0, f"{m.name} is measured on no row; give it as missing, with the reason.")
    permuted = declared(evaluator.metrics, m.name, type(evaluator).__name__).null == PERMUTED
    require(
        (m.null is not None) == permuted,
        f"{m.name} and its declaration disagree on a null over random groups.",
    )
