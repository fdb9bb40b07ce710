"""The rows of an audit, with the model's answers to them."""

from dataclasses import dataclass

import numpy as np

from trustbench.contracts import Access, Array


@dataclass(frozen=True)
class Answers:
    """Rows that a model has answered."""

    y: Array  # int64 [n]
    group: Array  # int64 [n]
    p: Array  # float64 [n, C]
    decided: Array | None = None  # int64 [n]: by a rule of the model's own; None: by the largest p
    assumed: bool = False  # it returns scores alone, so that the largest one is taken to decide

    @property
    def decisions(self) -> Array:
        """The decided class of each row, int64 [n]."""
        return self.p.argmax(axis=1) if self.decided is None else self.decided

    def __len__(self) -> int:
        return len(self.y)

    @classmethod
    def none(cls, classes: int) -> "Answers":
        """No rows."""
        empty = np.zeros(0, dtype=np.int64)
        return cls(empty, empty, np.zeros((0, classes)))

    def chosen(self, rows: Array) -> "Answers":
        """Some of the rows."""
        decided = None if self.decided is None else self.decided[rows]
        return Answers(self.y[rows], self.group[rows], self.p[rows], decided)


@dataclass(frozen=True)
class AuditRows:
    """Everything that an audit measures on.

    Args:
        classes: the names of the classes; of two, the second is favourable.
        groups: the names of the groups.
        group_name: what the groups stand for.
        test: the rows that metrics are measured on.
        calibration: rows that only calibrate prediction sets; may be empty.
        members: rows that the model was trained on, for membership attacks; may be empty.
        access: what may be used of the model.
        favoured: of three or more classes, the positions of the favourable ones, if declared.
    """

    classes: tuple[str, ...]
    groups: tuple[str, ...]
    group_name: str
    test: Answers
    calibration: Answers
    members: Answers
    access: frozenset[Access]
    favoured: tuple[int, ...] = ()
