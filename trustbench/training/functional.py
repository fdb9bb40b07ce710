"""The stacked engine for any module, through torch.func (no hooks, no closed form)."""

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import vjp, vmap

from trustbench.training import hidden
from trustbench.training.engines import Coefficients, EngineName, Gradient, Loss, Params
from trustbench.training.module_call import CalledModule

# Per-example gradients are computed for this many bytes of examples at a time.
CHUNK_BYTES = 512 * 2**20


class FunctionalEngine(CalledModule):
    """R replicates of any module whose buffers do not change in training."""

    name: EngineName = "stacked"
    fewest = 2  # the gradient of one convolution is another kernel than that of several

    def __init__(self, module: nn.Module, shape: tuple[int, ...], why: str) -> None:
        super().__init__(module, shape, why)
        self.size = sum(p.numel() for p in module.parameters() if p.requires_grad)

    def forward(
        self,
        params: Mapping[str, Tensor],
        X: Tensor,
        factors: hidden.Factors | None = None,
    ) -> Tensor:
        """See Engine.forward."""
        shared = X.ndim == len(self.shape) + 1
        over = (0, None if shared else 0, 0)
        return vmap(self.call, in_dims=over)(dict(params), X, dict(factors or {}))

    def _training(self, params: Params, X: Tensor, factors: Params) -> Tensor:
        """Logits [R, n, C] of X [R, n, *shape] in training mode."""
        call = partial(self.call, training=True)
        logits: Tensor = vmap(call)(params, X, factors)
        return logits

    def gradient(
        self,
        params: Mapping[str, Tensor],
        X: Tensor,
        loss: Loss,
        coefficients: Coefficients | None = None,
        factors: hidden.Factors | None = None,
    ) -> Gradient:
        """See Engine.gradient."""
        B, V = X.shape[1:3]
        own, frozen = self.split({n: p.detach() for n, p in params.items()})
        leaves = {n: p.requires_grad_(coefficients is None) for n, p in own.items()}
        with torch.set_grad_enabled(coefficients is None):
            logits = self._training({**leaves, **frozen}, X.flatten(1, 2), hidden.flat(factors))
            logits = logits.unflatten(1, (B, V))
        if coefficients is None:
            losses = loss(logits, slice(None))
            grads = torch.autograd.grad(losses.sum(), list(leaves.values()))
            return Gradient(dict(zip(leaves, grads, strict=True)), losses.detach())
        logits = logits.detach().requires_grad_()
        losses = loss(logits, slice(None))
        (delta,) = torch.autograd.grad(losses.sum(), logits)
        total = self._clipped({**leaves, **frozen}, X, delta, coefficients, dict(factors or {}))
        return Gradient(total, losses.detach())

    def _clipped(
        self,
        params: Params,
        X: Tensor,
        delta: Tensor,
        coefficients: Coefficients,
        factors: Params,
    ) -> Params:
        """Two passes: first the norms of all examples, then the sum of their scaled gradients.

        A factor may depend on all norms of a batch only through rules that account for it, so all
        norms are computed before any gradient is scaled. The second pass is a plain backward of the
        scaled output gradients and forms no per-example gradient.
        """
        norms = self._norms(params, X, delta, factors)
        scaled = delta * coefficients(norms, slice(None))[:, :, None, None]
        own, frozen = self.split(params)
        leaves = {n: p.detach().requires_grad_() for n, p in own.items()}
        logits = self._training({**leaves, **frozen}, X.flatten(1, 2), hidden.flat(factors))
        grads = torch.autograd.grad(logits, list(leaves.values()), scaled.flatten(1, 2))
        return dict(zip(leaves, grads, strict=True))

    def _norms(self, params: Params, X: Tensor, delta: Tensor, factors: Params) -> Tensor:
        """Norms [R, B] of per-example gradients; X [R, B, V, *shape].

        On a GPU, where steps are launch-bound, all replicates are one call. On a CPU one after the
        other is faster, as their gradients stay in its caches.
        """
        R = X.shape[0]
        if X.device.type != "cpu":
            norms: Tensor = vmap(partial(self._norms_of_one, together=R))(params, X, delta, factors)
            return norms
        each = [
            (hidden.of_replicate(params, r), X[r], delta[r], hidden.of_replicate(factors, r))
            for r in range(R)
        ]
        return torch.stack([self._norms_of_one(*one) for one in each])

    def _norms_of_one(
        self, params: Params, X: Tensor, delta: Tensor, factors: Params, together: int = 1
    ) -> Tensor:
        """Norms [B] of one replicate's per-example gradients; X [B, V, *shape]."""
        own, frozen = self.split(params)

        def square(x: Tensor, d: Tensor, f: Params) -> Tensor:
            pull = vjp(lambda p: self.call({**p, **frozen}, x, f, training=True), own)[1]
            (grads,) = pull(d)
            return torch.stack([g.square().sum() for g in grads.values()]).sum()

        chunk = max(1, CHUNK_BYTES // (together * self.size * X.element_size()))
        return vmap(square, chunk_size=chunk)(X, delta, factors).detach().sqrt()
