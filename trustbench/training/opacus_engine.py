"""The opacus engine: any module, one replicate at a time, per-sample gradients by Opacus' hooks."""

import copy
import warnings
from collections.abc import Mapping

import torch
from opacus import GradSampleModule
from opacus.validators import ModuleValidator
from torch import Tensor, nn
from torch.func import functional_call

from trustbench.errors import ConfigError
from trustbench.training.engines import Coefficients, EngineName, Gradient, Loss, Params


class OpacusEngine:
    """R replicates of any module that Opacus takes, one after the other."""

    name: EngineName = "opacus"

    def __init__(self, module: nn.Module, shape: tuple[int, ...], why: str) -> None:
        errors = ModuleValidator.validate(module, strict=False)
        if errors:
            raise ConfigError(f"model: Opacus cannot train it privately: {errors[0]}")
        self.module, self.shape, self.why = module, shape, why
        # Attacks and evaluators run through the plain module only: an extra pass through the
        # hooked one would corrupt its per-sample gradients (Opacus 1.6, measured).
        self.hooked = GradSampleModule(copy.deepcopy(module), loss_reduction="sum")

    def forward(self, params: Mapping[str, Tensor], X: Tensor) -> Tensor:
        """X [R, n, *shape] or [n, *shape] -> logits [R, n, C], differentiable in X."""
        shared = X.ndim == len(self.shape) + 1
        count = next(iter(params.values())).shape[0]
        return torch.stack(
            [
                functional_call(
                    self.module, {n: p[r] for n, p in params.items()}, (X if shared else X[r],)
                )
                for r in range(count)
            ]
        )

    def gradient(
        self,
        params: Mapping[str, Tensor],
        X: Tensor,
        loss: Loss,
        coefficients: Coefficients | None = None,
    ) -> Gradient:
        """See Engine.gradient."""
        parts, losses = [], []
        for r in range(X.shape[0]):
            one = {n: p[r].detach() for n, p in params.items()}
            step = self._plain if coefficients is None else self._per_sample
            total, value = step(one, X[r], loss, slice(r, r + 1), coefficients)
            parts.append(total)
            losses.append(value)
        total = {n: torch.stack([p[n] for p in parts]) for n in params}
        return Gradient(total, torch.cat(losses))

    def _plain(
        self, params: Params, X: Tensor, loss: Loss, part: slice, _: Coefficients | None
    ) -> tuple[Params, Tensor]:
        leaves = {n: p.requires_grad_() for n, p in params.items()}
        logits = functional_call(self.module, leaves, (X.flatten(0, 1),))
        values = loss(logits.unflatten(0, X.shape[:2]).unsqueeze(0), part)
        grads = torch.autograd.grad(values.sum(), list(leaves.values()))
        return dict(zip(leaves, grads, strict=True)), values.detach()

    def _per_sample(
        self,
        params: Params,
        X: Tensor,
        loss: Loss,
        part: slice,
        coefficients: Coefficients | None,
    ) -> tuple[Params, Tensor]:
        assert coefficients is not None
        self.hooked.zero_grad(set_to_none=True)
        live = dict(self.hooked._module.named_parameters())
        for name, p in live.items():
            p.data = params[name]
        B, V = X.shape[:2]
        logits = self.hooked(X.flatten(0, 1)).unflatten(0, (B, V)).unsqueeze(0)
        values = loss(logits, part)
        with warnings.catch_warnings():
            # Opacus' hooks sit on layers whose inputs need no gradient; that is intended.
            warnings.filterwarnings("ignore", message="Full backward hook is firing")
            values.sum().backward()
        grads = {n: p.grad_sample.unflatten(0, (B, V)).sum(1) for n, p in live.items()}
        norms = torch.stack([g.flatten(1).square().sum(1) for g in grads.values()]).sum(0).sqrt()
        factor = coefficients(norms.unsqueeze(0), part)[0]
        total = {n: torch.einsum("b,b...->...", factor, g) for n, g in grads.items()}
        self.hooked.zero_grad(set_to_none=True)
        return total, values.detach()
