"""Checks that a `deploy` hook changes nothing in place, and no rows but the test rows."""

import zlib
from collections.abc import Mapping

import numpy as np

from trustbench.contracts import SPLITS, Intervention, Problem, SplitName, System
from trustbench.errors import ConfigError
from trustbench.execution import problems

PLAIN = ("name", "classes", "groups", "group_name", "features")


def contents(system: System) -> dict[str, object]:
    """What a hook could change without returning another object: arrays by checksum, mappings."""
    problem = system.problem
    arrays = {"X": problem.X, "y": problem.y, "group": problem.group}
    mappings: dict[str, Mapping[str, object]] = {
        "set_predictors": system.set_predictors,
        "facts": system.facts,
    }
    return {
        **{name: zlib.crc32(np.ascontiguousarray(a).data) for name, a in arrays.items()},
        **{name: dict(m) for name, m in mappings.items()},
    }


def refuse_change_in_place(
    method: Intervention, before: Mapping[str, object], after: Mapping[str, object]
) -> None:
    """Raises ConfigError if a hook has changed what it received.

    Nobody would notice: the change would count as none, the baseline's numbers would be taken for
    the arm's, and later arms of the process would start from it.
    """
    changed = [name for name, content in before.items() if content != after[name]]
    if changed:
        problems.forget()
        raise ConfigError(
            f"the `deploy` of {type(method).__name__} changes {', '.join(changed)} of the system "
            "in place; copy them, and return dataclasses.replace(system, ...) with the copy."
        )


def refuse_other_rows(method: Intervention, before: Problem, after: Problem) -> None:
    """Raises ConfigError if a `deploy` hook replaces more of the problem than it may.

    Attacks on membership, calibration and the privacy ledger rely on all rows but the test rows.
    """
    if after is before:
        return
    name = type(method).__name__
    if method.deploys != "data":
        raise ConfigError(
            f"{name} returns a system with another problem, which only methods of the layer "
            "`data` do; set deploys = 'data', or leave the problem as it is."
        )
    fixed: list[str] = [s for s in SPLITS if s != "test" and not _same(before, after, s)]
    fixed += [f for f in PLAIN if getattr(before, f) != getattr(after, f)]
    if fixed:
        raise ConfigError(
            f"{name} changes {', '.join(fixed)} of the problem at deployment; only the test rows "
            "may differ there. To change training rows, fill the hook `inputs`."
        )
    sizes = [len(p.splits["test"]) for p in (before, after)]
    if sizes[0] != sizes[1]:
        raise ConfigError(
            f"{name} returns {sizes[1]} test rows in place of {sizes[0]}; return as many, drawn "
            "with replacement if need be."
        )


def _same(one: Problem, other: Problem, split: SplitName) -> bool:
    """Whether a split has the same positions and values in both problems."""
    i, j = one.splits[split], other.splits[split]
    if not np.array_equal(i, j):
        return False
    return all(
        np.array_equal(a, b) for a, b in zip(one.rows(split), other.rows(split), strict=True)
    )
