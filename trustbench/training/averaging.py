"""The forward of replicates that keep their hidden factors in deployment."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from trustbench.training.engines import Engine, Params
from trustbench.training.hidden import Draw, Factors, drawn

# The maximum number of bytes of masked activations that a backward may keep over all passes. Above
# it, every pass is repeated when its gradient is taken, which needs the memory of one pass.
KEPT_BYTES = 512 * 2**20


@dataclass(frozen=True)
class Averaged:
    """A Forward: the mean probabilities of R replicates over K draws of hidden factors.

    The draws are made once and serve every row. The deployed function is the mean of K networks
    with common weights. It is deterministic and differentiable, so attacks see its true gradient.
    The logits are log mean probabilities. Without gradients it needs the memory of one pass.
    """

    engine: Engine
    params: Params
    draws: Sequence[Factors]  # K of {site: [R, 1, *unit]}

    @classmethod
    def over(
        cls,
        engine: Engine,
        params: Params,
        draw: Draw,
        passes: int,
        generators: Sequence[torch.Generator],
    ) -> "Averaged":
        """Returns the mean over `passes` draws, from one generator per replicate."""
        device = next(iter(params.values())).device
        real = torch.ones(len(generators), passes, dtype=torch.bool)
        every = drawn(draw, engine.sites, real, 1, generators, device)
        return cls(engine, params, [{n: f[:, k] for n, f in every.items()} for k in range(passes)])

    def __call__(self, X: Tensor) -> Tensor:
        """Logits [R, n, C] of X [n, *shape] or [R, n, *shape]."""
        one = self._recomputed if self._kept(X) > KEPT_BYTES else self._pass
        parts = [one(X, factors).log_softmax(-1) for factors in self.draws]
        return torch.logsumexp(torch.stack(parts), 0) - math.log(len(parts))

    def _pass(self, X: Tensor, factors: Factors) -> Tensor:
        return self.engine.forward(self.params, X, factors)

    def _recomputed(self, X: Tensor, factors: Factors) -> Tensor:
        logits: Tensor = checkpoint(
            self._pass, X, factors, use_reentrant=False, preserve_rng_state=False
        )
        return logits

    def _kept(self, X: Tensor) -> int:
        """Bytes of masked activations that a backward through all passes would keep."""
        if not (torch.is_grad_enabled() and X.requires_grad):
            return 0
        replicates = next(iter(self.params.values())).shape[0]
        rows = X.shape[0] if X.ndim == len(self.engine.shape) + 1 else X.shape[1]
        units = sum(math.prod(unit) for unit in self.engine.sites.values())
        return len(self.draws) * replicates * rows * units * X.element_size()
