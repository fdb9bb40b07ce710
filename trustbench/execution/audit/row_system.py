"""A system of stored answers: what evaluators see of a given model on the rows of an audit.

Its inputs are row numbers. An evaluator that reads answers to the rows of the problem works as on a
trained arm; one that asks about other rows needs `queries`, which this system does not offer.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from trustbench.contracts import (
    SPLITS,
    Access,
    Array,
    DataCard,
    Feature,
    Forward,
    Problem,
    SplitName,
    Streams,
    System,
)
from trustbench.errors import UserError
from trustbench.execution.audit.answers import Answers, AuditRows
from trustbench.execution.audit.draws import Stack

MIN_PROBABILITY = 1e-12
"""The smallest probability that a logarithm is taken of: an answer of 0 counts as this."""
MOST_ROWS = 2**24
"""float32 counts rows exactly up to here."""
NOT_STORED: frozenset[Access] = frozenset({"queries", "gradients", "parameters"})
CARD = DataCard("The rows of an audit.", "see the table's owner", "see the table's owner", "")


def row_system(rows: AuditRows, drawn: Stack, streams: Streams) -> System:
    """The model's answers on a stack of draws, as a system of one replicate for each draw.

    The training pool holds the members, and the test rows as rows that the model has not seen.
    """
    parts = _parts(rows, drawn)
    problem = _problem(rows, parts)
    answered = _StoredAnswers.of(parts)
    argmax = "logits" in rows.access and answered.decided is None
    pool = len(problem.splits["train"])
    inside = np.arange(pool) < len(rows.members)
    return System(
        problem=problem,
        forward=answered.logits,
        replicates=len(drawn),
        device=torch.device("cpu"),
        streams=streams,
        membership=np.tile(inside, (len(drawn), 1)),
        calibration=np.tile(problem.splits["calibration"], (len(drawn), 1)),
        facts={},
        decider=None if argmax else answered.decisions,
        access=rows.access - NOT_STORED,
    )


class _Part(NamedTuple):
    """The rows of a split, [K, n]."""

    split: SplitName
    answers: Answers
    rows: Array


def _parts(rows: AuditRows, drawn: Stack) -> list[_Part]:
    """The rows of every split, one after the other."""
    kept = np.tile(np.arange(len(rows.calibration)), (len(drawn), 1))
    parts = [
        _Part("test", rows.test, drawn.test),
        _Part("calibration", rows.calibration, kept),
    ]
    if len(rows.members):
        parts += [
            _Part("train", rows.members, drawn.members),
            _Part("train", rows.test, drawn.test),
        ]
    return parts


def _problem(rows: AuditRows, parts: list[_Part]) -> Problem:
    """The problem whose inputs are row numbers."""
    # all draws have the classes and groups of the first
    y = np.concatenate([part.answers.y[part.rows[0]] for part in parts])
    group = np.concatenate([part.answers.group[part.rows[0]] for part in parts])
    owner = np.repeat([part.split for part in parts], [part.rows.shape[1] for part in parts])
    if len(y) > MOST_ROWS:
        raise UserError(
            f"the audit has {len(y):,} rows, more than {MOST_ROWS:,}; give a sample of them."
        )
    return Problem(
        name="audit",
        X=np.arange(len(y), dtype=np.float32)[:, None],
        y=y,
        group=group,
        classes=rows.classes,
        groups=rows.groups,
        group_name=rows.group_name,
        features=(Feature("row", "numeric", (0,), 0.0, float(len(y)), mutable=False),),
        splits={split: np.flatnonzero(owner == split) for split in SPLITS},
        card=CARD,
        favoured=rows.favoured,
        partial=True,
    )


def stored_forward(p: Array) -> Forward:
    """The logits of stored probabilities [K, N, C], of inputs that are row numbers."""
    return _StoredAnswers(np.log(np.maximum(p, MIN_PROBABILITY))).logits


class _StoredAnswers:
    """The answers, logits [K, N, C], to row numbers [n, 1] or [K, n, 1]."""

    def __init__(self, logits: Array, decided: Array | None = None) -> None:
        self.stored = torch.as_tensor(logits)
        self.decided = None if decided is None else torch.as_tensor(decided)  # [K, N]

    @classmethod
    def of(cls, parts: list[_Part]) -> "_StoredAnswers":
        """Those to the rows of all splits."""
        each = [np.log(np.maximum(part.answers.p, MIN_PROBABILITY))[part.rows] for part in parts]
        if all(part.answers.decided is None for part in parts):
            return cls(np.concatenate(each, axis=1))
        decided = [part.answers.decisions[part.rows] for part in parts]
        return cls(np.concatenate(each, axis=1), np.concatenate(decided, axis=1))

    def logits(self, X: Tensor) -> Tensor:
        """Logits [K, n, C]: the logarithms of the probabilities."""
        return _at(self.stored, X)

    def decisions(self, X: Tensor, group: Array) -> Tensor:
        """Decisions [K, n]: the model's own, or by the largest probability."""
        return self.logits(X).argmax(-1) if self.decided is None else _at(self.decided, X)


def _at(stored: Tensor, X: Tensor) -> Tensor:
    """What is stored [K, N, ...] of row numbers [n, 1] or [K, n, 1]."""
    rows = X[..., 0].long()
    if rows.ndim == 1:
        return stored[:, rows]
    return torch.stack([own[r] for own, r in zip(stored, rows, strict=True)])
