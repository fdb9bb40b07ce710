"""What the training loop works on: the fixed parts of the trainer and the state that changes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from trustbench.contracts import (
    Array,
    FirstFit,
    GradientRule,
    Intervention,
    Problem,
    Schedule,
    SplitName,
)
from trustbench.contracts.seeding import Streams
from trustbench.training.engines import Engine, Params
from trustbench.training.layers import features

SEEN: tuple[Literal["train", "validation"], ...] = ("train", "validation")
"""The splits that training looks at, whose inputs a method may replace."""


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
    # Members of weight 0, bool [R, n_pool]; follows from the methods, so no checkpoint holds it.
    left_out: Array | None = None


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
    first: Params | None = None  # of a first fit, where a method needs one

    @cached_property
    def first_logits(self) -> "dict[SplitName, Tensor]":
        """What the first fit answers on the pool and the validation rows: [R, n, C] by split."""
        found: dict[SplitName, Tensor] = {}
        if self.first is None:
            return found
        for split in SEEN:
            X = self.data(split, next(iter(self.first.values())).dtype).X
            with torch.no_grad():
                parts = [self.engine.forward(self.first, x) for x in X.split(4096)]
            found[split] = torch.cat(parts, dim=1)
        return found

    def first_fit(self, replicate: int) -> FirstFit:
        """What the first fit of one replicate answers on the pool."""
        assert self.first is not None, "a method needs a first fit that was not trained"
        own = {n: p[replicate : replicate + 1] for n, p in self.first.items()}
        X = self.data("train", next(iter(own.values())).dtype).X
        hidden = features(self.engine.module, own, X)[0]
        logits = self.first_logits["train"][replicate]
        return FirstFit(logits.float().cpu().numpy(), hidden.float().cpu().numpy())

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
