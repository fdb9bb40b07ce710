"""The commands that reproduce a report's numbers, written from its records."""

import shlex
from collections.abc import Collection, Sequence

from trustbench.store.records import Record
from trustbench.summary.table import reproduce

UNNAMED = "default"
"""The experiment of a sweep that was given by overrides and has no file."""


def arm_command(record: Record, evaluations: Collection[str]) -> str:
    """Trains and measures one arm again, with the evaluations that the report reads."""
    read = {k: e for k, e in record.evaluations.items() if k in evaluations}
    return reproduce.command(record.model_copy(update={"evaluations": read}))


def experiment_command(experiment: str, records: Sequence[Record]) -> str | None:
    """Runs an experiment on the data, model, replicates and seeds of these records.

    None for a sweep without a file of its own.
    """
    if experiment == UNNAMED or not records:
        return None
    shared = ("dataset", "model", "protocol")
    kept = [
        o
        for o in reproduce.overrides(records[0])
        if o.lstrip("+").split("=")[0].split(".")[0] in shared
    ]
    seeds = sorted({r.arm.seed for r in records})
    words = [
        f"+experiment={reproduce.value(experiment)}",
        *kept,
        f"seed={','.join(map(str, seeds))}",
    ]
    return shlex.join(["trustbench", "run", *words])
