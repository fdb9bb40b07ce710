"""What the training loop works on: the fixed parts of the trainer and the state that changes."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from trustbench.contracts import Array, GradientRule, Intervention, Problem, Schedule, SplitName
from trustbench.contracts.seeding import Streams
from trustbench.training.engines import Engine, Params


@dataclass
class TrainingState:
    """Everything that an interrupted training needs to continue with identical bits."""

    params: Params
    velocity: Params
    best: Params
    epoch: int = 0
    best_loss: Array = field(default_factory=lambda: np.empty(0))  # [R]
    best_epoch: Array = field(default_factory=lambda: np.empty(0))  # [R]
    best_accuracy: Array = field(default_factory=lambda: np.empty(0))  # [R]
    loss: list[Array] = field(default_factory=list)  # per epoch: validation objective [R]
    accuracy: list[Array] = field(default_factory=list)  # per epoch: validation accuracy [R]
    snapshots: list[Params] = field(default_factory=list)
    snapshot_accuracy: list[Array] = field(default_factory=list)  # per snapshot: [R]
    rule_state: dict[str, Tensor] = field(default_factory=dict)
    memory: list[dict[str, Tensor]] = field(default_factory=list)  # one per intervention


@dataclass(frozen=True)
class Trainer:
    """What the loop trains with; `interventions` are those that retrain, in canonical order."""

    problem: Problem
    engine: Engine
    interventions: Sequence[Intervention]
    schedule: Schedule
    rule: GradientRule | None
    membership: Array  # bool [R, n_pool]
    streams: Streams
    device: torch.device
    patience: int
    snapshots: int = 0  # number of states to keep for the matched control; 0: none

    def data(self, split: SplitName, dtype: torch.dtype, limit: int | None = None) -> "Rows":
        """The rows of a split on the device."""
        X, y, group = (a[:limit] for a in self.problem.rows(split))
        return Rows(
            torch.as_tensor(X, dtype=dtype, device=self.device),
            torch.as_tensor(y, device=self.device),
            torch.as_tensor(group, device=self.device),
        )


@dataclass(frozen=True)
class Rows:
    """X [n, *shape], y [n], group [n] on the training device."""

    X: Tensor
    y: Tensor
    group: Tensor
