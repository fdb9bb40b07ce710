"""The numbers of an evaluator on redrawn rows, where it attacks or explains each row only once."""

import numpy as np

from trustbench.contracts import Array, RowRedraw, Streams
from trustbench.execution.audit.answers import Answers
from trustbench.execution.audit.draws import EACH, STACKS, stacks


def redrawn(redraw: RowRedraw, streams: Streams, draws: int) -> dict[str, Array]:
    """The values [B] of every metric that is measured on all draws of the rows.

    Rows are drawn as those of the audit are, in stacks of the same classes and groups.
    """
    each = max(1, min(EACH, draws // STACKS))
    none = np.zeros((len(redraw.y), 0))
    rows = Answers(redraw.y, redraw.group, none)
    rng = streams.numpy("bootstrap", "audit_redraws")
    values: dict[str, list[Array]] = {}
    count = max(draws // each, 2)
    for stack in stacks(rows, Answers.none(0), rng, count, each):
        for m in redraw.measured(stack.test).measurements:
            values.setdefault(m.name, []).append(m.values)
    return {name: np.concatenate(v) for name, v in values.items() if len(v) == count}
