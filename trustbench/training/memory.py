"""How much of a forward pass is computed at once, so that it fits in memory with equal numbers.

A pass is split by rows first and then by replicates, into parts that are not too small: a small
matrix product, and the convolution of a single replicate, round differently. Hidden layers of fewer
than 32 units may still round the last digits of a part differently.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from trustbench.errors import TrustbenchError
from trustbench.training.dropout import Places
from trustbench.training.engines import Coefficients, Engine, EngineName, Gradient, Loss, Params
from trustbench.training.hidden import Factors, Sites

T = TypeVar("T")
FEWEST = 256
"""The fewest rows of all replicates together in a part: smaller products take other kernels."""
EACH = 64
"""The fewest rows of a replicate in a part, unless it has fewer."""


class LacksMemory(TrustbenchError):
    """Not even the smallest part of a pass fits in memory."""


def lacks_memory(error: BaseException) -> bool:
    """Whether an error means that memory cannot be allocated: torch raises two kinds for it."""
    kinds = (MemoryError, torch.OutOfMemoryError)
    return isinstance(error, kinds) or "can't allocate memory" in str(error)


@dataclass
class ActivationLimits:
    """The limits of this process: the configured one, and what turned out not to fit.

    `rows` counts the rows of all replicates of a pass together.
    """

    gb: float = 4.0
    rows: int | None = None
    largest: int = 0  # of the passes since the last reduction
    smallest: bool = True  # whether the last pass cannot be split

    def start(self, gb: float) -> None:
        """Takes the limit of an arm."""
        self.gb, self.rows, self.largest, self.smallest = gb, None, 0, True

    def parts(self, replicates: int, rows: int, row_bytes: int, fewest: int) -> tuple[int, int]:
        """How many replicates, at least `fewest`, and how many rows of each to compute at once."""
        most = int(self.gb * 1e9) // max(1, row_bytes)
        most = max(FEWEST, most if self.rows is None else min(most, self.rows))
        each = min(rows, max(EACH, most // replicates))
        many = min(replicates, max(fewest, math.ceil(most / max(1, each))))
        self.largest = max(self.largest, many * each)
        self.smallest = most <= FEWEST or many * each <= FEWEST
        return many, each

    def halve(self) -> bool:
        """Halves what is computed at once; returns False if it cannot be less."""
        if self.smallest or not self.largest:
            return False
        self.rows, self.largest = self.largest // 2, 0
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()
        return True


LIMITS = ActivationLimits()


def until_it_fits(work: Callable[[], T], undo: Callable[[], object] = bool) -> T:
    """Returns what `work` returns; repeats it with half of a pass at once if memory runs out.

    `undo` puts back what an attempt has changed, such as the state of generators.

    Raises:
        LacksMemory: the parts cannot be any smaller.
    """
    while True:
        try:
            return work()
        except (RuntimeError, MemoryError) as error:
            if not lacks_memory(error):
                raise
            if not LIMITS.halve():
                raise _out_of_memory(error) from error
        undo()


def _out_of_memory(error: BaseException) -> LacksMemory:
    what = str(error).split("\n", maxsplit=1)[0].rstrip(".")
    return LacksMemory(
        f"it ran out of memory in the smallest parts that keep its numbers ({what}); lower "
        "training.batch_size or protocol.replicates, or run fewer arms beside it "
        "(hydra.launcher.per_gpu, hydra.launcher.slots)."
    )


class EngineInParts:
    """Another engine with passes that fit in memory: the same numbers, computed in parts."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.name: EngineName = engine.name
        self.why, self.shape = engine.why, engine.shape
        self.dropouts: Places = engine.dropouts
        self.trained = engine.trained
        self.module: nn.Module = engine.module
        self.fewest = engine.fewest

    @property
    def sites(self) -> Sites:
        """See Engine.sites."""
        return self.engine.sites

    @cached_property
    def _row_bytes(self) -> int:
        return row_bytes(self.module, self.shape)

    def forward(
        self, params: Mapping[str, Tensor], X: Tensor, factors: Factors | None = None
    ) -> Tensor:
        """See Engine.forward."""
        return until_it_fits(lambda: self._forward(params, X, factors or {}))

    def _forward(self, params: Mapping[str, Tensor], X: Tensor, factors: Factors) -> Tensor:
        shared = X.ndim == len(self.shape) + 1
        R, rows = len(next(iter(params.values()))), X.shape[0 if shared else 1]
        many, each = LIMITS.parts(R, rows, self._row_bytes, self.fewest)
        if (many, each) == (R, rows):
            return self.engine.forward(params, X, factors)
        kept = torch.is_grad_enabled() and X.requires_grad
        found = []
        for some in _slices(R, many):
            own = {n: p[some] for n, p in params.items()}
            parts = []
            for at in _slices(rows, each):
                x = X[at] if shared else X[some, at]
                f = {n: t[some] if t.shape[1] == 1 else t[some, at] for n, t in factors.items()}
                parts.append(self._part(own, x, f, kept))
            found.append(torch.cat(parts, 1))
        return torch.cat(found)

    def _part(self, params: Params, X: Tensor, factors: Factors, kept: bool) -> Tensor:
        """One part; if `kept`, a backward pass computes its activations again."""
        if not kept:
            return self.engine.forward(params, X, factors)
        logits: Tensor = checkpoint(
            self.engine.forward, params, X, factors, use_reentrant=False, preserve_rng_state=False
        )
        return logits

    def gradient(
        self,
        params: Mapping[str, Tensor],
        X: Tensor,
        loss: Loss,
        coefficients: Coefficients | None = None,
        factors: Factors | None = None,
    ) -> Gradient:
        """See Engine.gradient. The whole step is tried first, whatever the configured limit."""
        once = None if coefficients is None else _Once(coefficients)
        size, done = len(X), list[Gradient]()
        fewest = max(self.fewest, math.ceil(FEWEST / max(1, X.shape[1] * X.shape[2])))
        while not done:
            try:
                done = [
                    self._gradient(params, X, loss, once, factors, some)
                    for some in _slices(len(X), size)
                ]
            except (RuntimeError, MemoryError) as error:
                if not lacks_memory(error):
                    raise
                if size <= fewest:
                    raise _out_of_memory(error) from error
                size = max(fewest, size // 2)
        if len(done) == 1:
            return done[0]
        total = {n: torch.cat([g.total[n] for g in done]) for n in done[0].total}
        return Gradient(total, torch.cat([g.loss for g in done]))

    def _gradient(
        self,
        params: Mapping[str, Tensor],
        X: Tensor,
        loss: Loss,
        once: "_Once | None",
        factors: Factors | None,
        some: slice,
    ) -> Gradient:
        """The gradient of some replicates."""

        def among(part: slice) -> slice:
            start, stop, _ = part.indices(some.stop - some.start)
            return slice(some.start + start, some.start + stop)

        return self.engine.gradient(
            {n: p[some] for n, p in params.items()},
            X[some],
            lambda logits, part: loss(logits, among(part)),
            None if once is None else lambda norms, part: once(norms, among(part)),
            None if factors is None else {n: f[some] for n, f in factors.items()},
        )


class _Once:
    """Coefficients of a rule, computed once for each replicate: the rule counts its calls."""

    def __init__(self, coefficients: Coefficients) -> None:
        self.coefficients = coefficients
        self.known: dict[int, Tensor] = {}

    def __call__(self, norms: Tensor, part: slice) -> Tensor:
        each = range(part.start, part.stop)
        if not all(r in self.known for r in each):
            self.known.update(zip(each, self.coefficients(norms, part), strict=True))
        return torch.stack([self.known[r] for r in each])


def _slices(count: int, size: int) -> Iterator[slice]:
    """Slices that cover `count`, each of `size` or a little more: a small rest would round."""
    many = max(1, count // max(1, size))
    return (slice(k * count // many, (k + 1) * count // many) for k in range(many))


def row_bytes(module: nn.Module, shape: tuple[int, ...]) -> int:
    """Bytes that a backward to the inputs keeps for one row of one replicate, estimated.

    It is the size of the outputs of all layers, once for their values and once for their gradients.
    """
    sizes = [2 * math.prod(shape)]

    def note(_module: nn.Module, _inputs: object, out: object) -> None:
        if isinstance(out, Tensor):
            sizes.append(2 * out.numel())

    leaves = [m for m in module.modules() if not list(m.children())]
    hooks = [m.register_forward_hook(note) for m in leaves]
    like = next(module.parameters())
    try:
        with torch.no_grad():
            module(like.new_zeros(1, *shape))
    finally:
        for hook in hooks:
            hook.remove()
    return sum(sizes) * like.element_size()
