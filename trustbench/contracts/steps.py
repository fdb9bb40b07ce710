"""The vocabulary of training: a batch, a schedule, and the rule that makes gradients an update."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from trustbench.contracts.arrays import Array
from trustbench.contracts.system import Fact

if TYPE_CHECKING:
    import torch
    from torch import Tensor


MOST_EPOCHS = 100_000
"""Maximum number of epochs: more is a mistake, and its budget would take hours to account for."""


@dataclass
class Batch:
    """One padded batch of every replicate, as the hooks see it."""

    X: "Tensor"  # [R, B, V, *shape]; V = 1 unless an intervention adds views
    y: "Tensor"  # int64 [R, B]
    group: "Tensor"  # int64 [R, B]
    weight: "Tensor"  # float [R, B]; 0 marks padding
    rows: "Tensor"  # int64 [R, B], positions in the training pool
    generators: Sequence["torch.Generator"]  # one per replicate, for attack randomness
    # What the intervention whose hook runs keeps between epochs; see Intervention.adapt.
    memory: dict[str, "Tensor"] = field(default_factory=dict)
    groups: int = 0  # how many groups the problem has; 0: unknown
    epoch: int = 0  # of training, from 0; for validation rows, how many have ended
    validation: bool = False  # whether these are validation rows, which are not in the pool
    counted: "Tensor | None" = None  # `real`, where it is known
    # Logits [R, B, C] of a first fit for the rows as training sees them, before `perturb`; None
    # unless a method of the arm needs one.
    first: "Tensor | None" = None

    @property
    def real(self) -> "Tensor":
        """Which rows have a weight, bool [R, B], on the CPU: random numbers are drawn for them.

        The loop knows it in advance, so that no step waits for the device.
        """
        return (self.weight > 0).cpu() if self.counted is None else self.counted


@dataclass(frozen=True)
class FirstFit:
    """What the first fit of one replicate answers on every row of the training pool.

    It is trained on the replicate's members, by the same arm without the methods that need one.
    """

    logits: Array  # float32 [n_pool, C]
    hidden: Array  # float32 [n_pool, h], the last hidden activations


@dataclass(frozen=True)
class Schedule:
    """How a replicate is trained: the `training` config group, unless a gradient rule changes it.

    `tuned` keeps the state with the best validation objective of each replicate; `memorising` keeps
    the state after the last epoch.
    """

    regime: Literal["tuned", "memorising"]
    epochs: int
    batch_size: int
    lr: float
    momentum: float = 0.0
    weight_decay: float = 0.0
    sampling: Literal["shuffle", "poisson"] = "shuffle"


class GradientRule(Protocol):
    """Turns per-example gradients into an update (the `gradient` hook). Created anew for each fit.

    `state` holds what the rule carries from step to step; checkpoints store it. Guarantees are
    those of all planned steps: a replicate chosen at an earlier epoch has the same bound.
    """

    schedule: Schedule
    state: dict[str, "Tensor"]

    def coefficients(self, norms: "Tensor", part: slice) -> "Tensor":
        """Maps gradient norms [R', B] of the replicates in `part` to a factor [R', B] on each.

        Called once per batch and replicate, before `update`. Padding has norm 0.
        """
        ...

    def update(
        self, total: Mapping[str, "Tensor"], generators: Sequence["torch.Generator"]
    ) -> dict[str, "Tensor"]:
        """Maps the sum of scaled gradients, {name: [R, *p]}, to what the optimiser sees."""
        ...

    def facts(self) -> Mapping[str, Fact]:
        """How the rule was run (noise multiplier, sample rate, steps, ...), without epsilon.

        The guarantee is stated by the ledger, from what `Intervention.declares` returns.
        """
        ...
