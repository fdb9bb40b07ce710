"""The base class of interventions: the hooks of training and deployment that a method fills."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from trustbench.contracts.arrays import Array
from trustbench.contracts.aspects import Aspect
from trustbench.contracts.chain import Chain
from trustbench.contracts.mechanisms import Read
from trustbench.contracts.plugins import Plugin
from trustbench.contracts.problem import Problem
from trustbench.contracts.steps import Batch, FirstFit, GradientRule, Schedule
from trustbench.contracts.system import Forward, System

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor


# An intervention that fills one of them trains replicates that differ from the baseline's.
TRAINING_HOOKS = (
    "schedule",
    "inputs",
    "labels",
    "weights",
    "reweigh",
    "resample",
    "adapt",
    "perturb",
    "hidden",
    "objective",
    "layer_loss",
    "gradient",
)


@dataclass(frozen=True)
class Intervention(Plugin):
    """A method of one aspect. It overrides the hooks it needs and never owns a training loop.

    Two interventions that override the same hook of `exclusive` cannot be combined.
    """

    aspect: ClassVar[Aspect]
    exclusive: ClassVar[frozenset[str]] = frozenset({"gradient", "hidden"})
    needs_group: ClassVar[Literal["train", "predict", "never"]] = "never"
    # False: the objective of an example reads other examples of its batch (a penalty on a group
    # gap, say). Gradient rules that bound single examples then refuse to combine with it.
    per_example: ClassVar[bool] = True
    # True: `perturb` moves every column as a number, and may leave the bounds of the features.
    leaves_bounds: ClassVar[bool] = False
    # "first_fit": before training, the same arm is trained without the methods that need a first
    # fit, on the same members. `reweigh` and `batch.first` read its answers.
    needs: ClassVar[frozenset[Literal["first_fit"]]] = frozenset()
    # The fields that set the strength of the method; the table prints them beside an effect.
    dose: ClassVar[tuple[str, ...]] = ()
    # Fields whose defaults were chosen by validation accuracy, with the values tried, in all
    # combinations. scripts/studies/dp_grid.py measures them for docs/results/dp-defaults.md.
    grid: ClassVar[Mapping[str, tuple[float, ...]]] = {}
    # When `deploy` runs: first methods that replace the test rows (a shift, missing values), then
    # those that replace the model's outputs, then those that open a channel, then those that change
    # what an open channel releases.
    deploys: ClassVar[Literal["data", "outputs", "channel", "release"]] = "channel"

    def supports(self, problem: Problem, schedule: Schedule) -> str | None:
        """Returns the reason why this method cannot be applied here, or None if it can."""
        return None

    def declares(
        self, problem: Problem, schedule: Schedule, n_members: int
    ) -> tuple[Read, ...] | None:
        """The private rows that the hooks read and the mechanism used: the ledger's entries.

        What a hook derives from one example alone (an attack, a loss) needs no entry: the gradient
        rule bounds it. Override this method if an entry depends on fields.
        """
        return self.reads_rows

    def trained_copies(self) -> int:
        """How many trained copies of a replicate answer; if several, `deploy` takes twins."""
        return 1

    def schedule(self, schedule: Schedule) -> Schedule:
        """Returns the schedule to train with: its epochs, weight decay or learning rate as a dose.

        The regime stays. No two methods change the same field, and none changes a field that a
        gradient rule sets anew; such arms are refused.
        """
        return schedule

    def inputs(self, problem: Problem, split: Literal["train", "validation"]) -> Array | None:
        """Returns inputs [m, *shape] that training sees in place of the true ones of a split.

        All other training hooks see them too, and the next method starts from them. Evaluators read
        the true inputs. `train` is the whole pool; `validation` holds the rows by which epochs are
        chosen, None for a method that leaves them as they are. `inputs` and `labels` of a method
        see the same problem. A value that depends on other rows than its own is a read of them.
        """
        return None

    def labels(self, problem: Problem) -> Array | None:
        """Returns the labels int64 [n_pool] that training sees in place of the true ones.

        All other training hooks read them too. Evaluators and the membership halves read the true
        labels.
        """
        return None

    def weights(self, problem: Problem, members: Array) -> Array | None:
        """Weights [m] of one replicate's `members` in its loss: none negative, mean about 1.

        `members` int64 [m] are the replicate's rows as positions in the training pool. Weights come
        from these rows alone: with others, a row would act on models that never trained on it, and
        membership would mean less than an attack assumes. A method that counts in the whole pool
        all the same declares that to the ledger, which then takes the counts as public.
        """
        return None

    def reweigh(self, problem: Problem, members: Array, first: FirstFit) -> Array | None:
        """Weights [m] as in `weights`, from what a first fit answers; filling it asks for one.

        For methods that look for poisoned or mislabelled rows in what a model makes of them. What
        the fit answers on a member depends on all of them, which is a read of "members".
        """
        return None

    def resample(
        self, problem: Problem, members: Array, rng: "np.random.Generator"
    ) -> Array | None:
        """The rows that one epoch of one replicate visits, repeats included; None: each once.

        `members` int64 [m] are the replicate's rows as positions in the training pool; the result
        has the same form. Never combined with a gradient rule that samples by Poisson.
        """
        return None

    def adapt(
        self,
        memory: dict[str, "Tensor"],
        validation: Batch,
        forward: Forward,
        problem: Problem,
    ) -> None:
        """Learns from validation rows: before the first epoch (`memory` is empty) and after each.

        Tensors [R, ...] put into `memory` appear in `batch.memory` of this intervention's `perturb`
        and `objective`, and survive in checkpoints. `validation` holds clean rows, X [R, n, 1,
        *shape]; `forward` evaluates the present replicates.
        """

    def perturb(self, batch: Batch, forward: Forward, problem: Problem) -> "Tensor":
        """Inputs [R, B, V', *shape] that replace batch.X. `forward` takes [R, n, *shape]."""
        return batch.X

    def hidden(self, shape: tuple[int, ...], generator: "torch.Generator") -> "Tensor":
        """Returns factors [n, *unit] on a hidden activation of one replicate, in training.

        They are float32, on the CPU as the generator, with mean 1. Validation and the attacks of
        `perturb` use the network without factors, which to first order is its mean.
        """
        import torch  # code that only reads contracts does not need torch

        return torch.ones(shape, dtype=torch.float32)

    def draws(self) -> int:
        """The number of draws of `hidden` factors that the deployed network averages; 0: none."""
        return 0

    def objective(self, loss: "Tensor", logits: "Tensor", batch: Batch) -> "Tensor":
        """Maps per-example loss [R, B] and logits [R, B, V, C] to a new per-example loss [R, B]."""
        return loss

    def layer_loss(self, chain: Chain, batch: Batch, problem: Problem) -> "Tensor | None":
        """A loss [R, B] of each example that reads the layers themselves; it joins the objective.

        For what logits do not say, such as bounds over a box of inputs. It is differentiated by the
        parameters of `chain`, the network in evaluation mode. Networks that are not a chain are
        refused, as is a gradient rule, which cannot bound these gradients example by example.
        """
        return None

    def gradient(self, schedule: Schedule, n_members: int) -> GradientRule | None:
        """Returns the rule that turns per-example gradients into updates; None: plain descent."""
        return None

    def deploy(self, system: System) -> System:
        """Returns the system with this method's output channel; it retrains nothing.

        A method of the layer `data` returns it with another problem, of which only the test rows
        differ: X, y and group, as many rows as before. The systems that evaluators compare with
        then answer on these rows too.
        """
        return system

    def fills(self, hook: str) -> bool:
        """Whether this method overrides `hook`."""
        return getattr(type(self), hook) is not getattr(Intervention, hook)

    @property
    def first_fit(self) -> bool:
        """Whether the method needs a first fit."""
        return "first_fit" in self.needs or self.fills("reweigh")

    @property
    def accounted(self) -> bool:
        """Whether `declares` is overridden as low in the hierarchy as every hook it fills."""
        order = type(self).__mro__
        hooks, declarations = (*TRAINING_HOOKS, "deploy"), ("reads_rows", "declares")
        first = [
            next(i for i, c in enumerate(order) if any(n in vars(c) for n in names))
            for names in (declarations, hooks)
        ]
        return first[0] <= first[1]

    @property
    def retrains(self) -> bool:
        """Whether the trained replicates differ from the baseline's."""
        return any(map(self.fills, TRAINING_HOOKS))
