"""A deployed system: everything that an evaluator sees."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

from trustbench.contracts.arrays import Array, SplitName
from trustbench.contracts.chain import Chain
from trustbench.contracts.guarantees import Guarantee
from trustbench.contracts.learnt import Fact as Fact
from trustbench.contracts.learnt import Learnt, Memory
from trustbench.contracts.problem import Problem
from trustbench.contracts.seeding import Streams

if TYPE_CHECKING:
    import torch
    from torch import Tensor

# Maps X [n, *shape], shared by all replicates, or [R, n, *shape] to logits [R, n, C]. It is
# differentiable in X; the parameters of the replicates are fixed.
Forward = Callable[["Tensor"], "Tensor"]
# (X, k) -> attributions [R, n, d]. k = 0 is the released answer. k > 0 repeats the method with
# other random numbers; a deterministic method answers the same.
Explainer = Callable[["Tensor", int], "Tensor"]
# (X, k) -> lower and upper ends [R, n, d] of intervals around the released attributions.
Intervals = Callable[["Tensor", int], tuple["Tensor", "Tensor"]]
# (X, group [n]) -> sets, bool [R, n, C].
SetPredictor = Callable[["Tensor", Array], "Tensor"]

CHANNELS = (
    "data",
    "forward",
    "chain",
    "decider",
    "interface",
    "explainer",
    "intervals",
    "set_predictors",
)
"""What interventions change of a System; an evaluator declares which of it it reads.

`data` are the test rows of the problem, which every evaluator counts as reading, and `chain` the
layers of the replicates; the others are the fields of these names.
"""


ABSTAIN = -1
"""The decision of a system that leaves a row to somebody else; see `System.abstains`."""


Need = Literal["baseline", "reseed", "baseline_reseed", "shadows"]
NEEDS: tuple[Need, ...] = get_args(Need)
"""The other systems that an evaluator may ask a System for, see `Evaluator.needs`."""


Access = Literal["logits", "queries", "gradients", "parameters", "members", "replicates", "causal"]
"""What a measurement may use of a model.

`logits`: probabilities on the rows of the problem; without them only decisions. `queries`: answers
to rows of the evaluator's own making. `gradients`: derivatives of the answers by the inputs.
`parameters`: the weights. `members`: which rows the model was trained on. `replicates`: other
models of the same recipe. `causal`: the causal model of the data.
"""
TRAINED: frozenset[Access] = frozenset(get_args(Access)) - {"causal"}
"""What every system offers that trustbench trains."""


@dataclass(frozen=True)
class System:
    """A deployed system: the trained replicates plus their output channels.

    Evaluators read it and never change it. A channel is None (or empty) until the `deploy` hook of
    an intervention opens it. `baseline` and `reseeded` return other whole systems: the baseline
    arm (None for the baseline itself), and this arm on the same halves with its k-th other
    initialisation and batch order (k = 1 is the `reseed` control). `draw` is the index of the arm
    among these draws: 0 unless it is a control. `shadows` returns the models that the protocol
    trains only for attacks, as a system; None without them. An evaluator gets those that it
    declares in `needs`, all trained before it runs; those that a `deploy` hook takes are trained
    at once. `access` is less than `TRAINED` for a given model; an evaluator whose own `access` is
    not among it is not run, and one that measures more with more looks here.
    """

    problem: Problem
    forward: Forward
    replicates: int
    device: "torch.device"
    streams: Streams
    membership: Array  # bool [R, n_pool]: which rows of the training pool each replicate saw
    calibration: Array  # int64 [R, n_cal]: rows of the problem that each replicate calibrates on
    facts: Mapping[str, Fact]
    baseline: "Callable[[], System] | None" = None
    reseeded: "Callable[[int], System] | None" = None
    draw: int = 0
    shadows: "Callable[[], System] | None" = None
    decider: Callable[["Tensor", Array], "Tensor"] | None = None
    # Whether the decider may answer ABSTAIN. An evaluator that reads decisions is then not
    # applicable, unless it says that its numbers mean something (`takes_abstention`).
    abstains: bool = False
    # How far each row [R, n] of X is beyond the limit at which the decider abstains: above 0 it
    # does. Differentiable in X, for attackers who know the guard. None: no such score is released.
    rejection: Callable[["Tensor"], "Tensor"] | None = None
    interface: Callable[["Tensor"], "Tensor"] | None = None
    explainer: Explainer | None = None
    intervals: Intervals | None = None
    set_predictors: Mapping[str, SetPredictor] = field(default_factory=dict)
    # The claims of the privacy ledger; `facts` holds the numbers.
    guarantees: tuple[Guarantee, ...] = ()
    # What `deploy` hooks learnt from rows; None if nobody will store it.
    memory: Memory | None = None
    access: frozenset[Access] = TRAINED
    parameters: Chain | None = None  # read it as `chain`
    _cache: dict[str, "Tensor"] = field(default_factory=dict, init=False, repr=False)

    @property
    def data(self) -> Problem:
        """The channel `data`: the problem, of which a method may replace the test rows."""
        return self.problem

    @property
    def chain(self) -> Chain | None:
        """The layers of the replicates as they answer; None for other networks.

        A method that replaces `forward` leaves none, unless it gives `parameters` of its own.
        """
        made = self.parameters
        return made if made is not None and made.of is self.forward else None

    def tensor(self, X: Array) -> "Tensor":
        """Moves a numpy array to the system's device; floats take the replicates' precision."""
        import torch

        return torch.as_tensor(X, device=self.device)

    def learn(self, name: str, compute: Callable[[], Learnt]) -> Learnt:
        """What a method learns from rows: computed, or as an exported model has stored it.

        Methods that deploy take every number that depends on rows through it, so that the system
        can be exported without the rows.
        """
        if self.memory is None:
            return compute()
        found = self.memory.take(name, compute)
        return found._replace(tensors={k: t.to(self.device) for k, t in found.tensors.items()})

    def logits(self, X: "Tensor", rows_at_once: int = 4096) -> "Tensor":
        """Logits [R, n, C] of X [n, *shape] or [R, n, *shape], in chunks and without gradients."""
        import torch

        axis = X.ndim - 1 - len(self.problem.shape)
        with torch.no_grad():
            parts = [self.forward(x) for x in X.split(rows_at_once, dim=axis)]
            return torch.cat(parts, dim=1)

    def split_logits(self, split: SplitName) -> "Tensor":
        """Logits [R, n_split, C] of a whole split, computed once."""
        if split not in self._cache:
            self._cache[split] = self.logits(self.tensor(self.problem.rows(split)[0]))
        return self._cache[split]

    def decide(self, X: "Tensor", group: Array) -> "Tensor":
        """Deployed decisions, int64 [R, n]: the largest logit unless an intervention decides.

        ABSTAIN stands for rows that are not decided.
        """
        if self.decider is None:
            return self.logits(X).argmax(-1)
        decided = self.decider(X, group)
        if not self.abstains and bool((decided < 0).any()):
            raise ValueError("the decider abstains, but `abstains` of the system is not set")
        return decided

    def observed(self, logits: "Tensor") -> "Tensor":
        """What a user sees of logits [..., C]: probabilities, coarsened by some interfaces."""
        return logits.softmax(-1) if self.interface is None else self.interface(logits)

    def explain(self, X: "Tensor", repeat: int = 0) -> "Tensor":
        """Released attributions [R, n, d]; requires an `explainer`."""
        if self.explainer is None:
            raise ValueError("no explanations are released; check `explainer` first")
        return self.explainer(X, repeat)

    def sets(self, X: "Tensor", score: str, group: Array) -> "Tensor":
        """Released prediction sets, bool [R, n, C], of the named score, for rows of `group` [n]."""
        return self.set_predictors[score](X, group)
