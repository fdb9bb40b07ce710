"""A model that an audit asks about rows of its own making, and the problem that it sees."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from trustbench.contracts import Array, Feature, Problem, Streams
from trustbench.contracts.given import GivenModel
from trustbench.errors import ConfigError
from trustbench.execution.audit.prepare import AuditTable
from trustbench.execution.audit.row_system import CARD

Explain = Literal["shap", "lime", "saliency", "gradient_x_input", "integrated_gradients"]
"""The packages, and for a torch module its gradients."""
PACKAGES = ("shap", "lime")
POOL = 500
"""Maximum number of rows that explanations take as their background."""


@dataclass(frozen=True)
class QueriedModel:
    """A model, the order of its columns among the target's classes, and how it is explained."""

    model: GivenModel
    order: Array
    explain: Explain = "shap"
    own_rule: bool = False  # it decides otherwise than by its largest probability

    def __post_init__(self) -> None:
        if self.explain not in get_args(Explain):
            raise ConfigError(
                f"explain={self.explain} is not known; available: {', '.join(get_args(Explain))}."
            )
        if self.explain not in PACKAGES and "gradients" not in self.model.channels:
            raise ConfigError(
                f"explain={self.explain} follows the gradients of a torch module, and this model "
                f"has none; give {' or '.join(PACKAGES)}."
            )


def pool_of(rows: int, streams: Streams) -> Array:
    """The rows that say what is usual, at most `POOL` of them."""
    return streams.numpy("explanations", "audit_pool").permutation(rows)[:POOL]


def audited_problem(
    table: AuditTable,
    X: Array,
    features: tuple[Feature, ...],
    test: Array,
    pool: Array,
    held: Array,
) -> Problem:
    """The measured rows as the test split, copies of some as the pool, and those that calibrate."""
    rows = np.concatenate([test, pool, held])
    ends = np.cumsum([len(test), len(pool), len(held)])
    return Problem(
        name=table.name,
        X=X[rows],
        y=table.y[rows],
        group=table.group[rows],
        classes=table.classes,
        groups=table.groups,
        group_name=table.group_name,
        features=features,
        splits={
            "train": np.arange(ends[0], ends[1]),
            "validation": np.zeros(0, dtype=np.int64),
            "calibration": np.arange(ends[1], ends[2]),
            "test": np.arange(ends[0]),
        },
        card=CARD,
        partial=True,
    )
