"""The opacus engine: any module, one replicate at a time, per-sample gradients by Opacus' hooks."""

import copy
import warnings
from collections.abc import Mapping
from functools import cached_property

import torch
from opacus import GradSampleModule
from opacus.validators import ModuleValidator
from torch import Tensor, nn

from trustbench.errors import ConfigError
from trustbench.training import hidden
from trustbench.training.engines import Coefficients, EngineName, Gradient, Loss, Params
from trustbench.training.module_call import CalledModule


class OpacusEngine(CalledModule):
    """R replicates of any module that Opacus takes, one after the other."""

    name: EngineName = "opacus"
    fewest = 1

    def __init__(self, module: nn.Module, shape: tuple[int, ...], why: str) -> None:
        super().__init__(module, shape, why)
        errors = ModuleValidator.validate(self.training_module, strict=False)
        if errors:
            raise ConfigError(f"model: Opacus cannot train it privately: {errors[0]}")
        # Attacks and evaluators use the plain module only: an extra pass through the hooked one
        # would corrupt its per-sample gradients (measured with Opacus 1.6).
        self.hooked = GradSampleModule(copy.deepcopy(self.training_module), loss_reduction="sum")

    @cached_property
    def _hooked_scaled(self) -> GradSampleModule:
        return GradSampleModule(copy.deepcopy(self.training_scaled), loss_reduction="sum")

    def forward(
        self,
        params: Mapping[str, Tensor],
        X: Tensor,
        factors: hidden.Factors | None = None,
    ) -> Tensor:
        """See Engine.forward."""
        shared = X.ndim == len(self.shape) + 1
        count = next(iter(params.values())).shape[0]
        return torch.stack(
            [
                self.call(
                    hidden.of_replicate(params, r),
                    X if shared else X[r],
                    hidden.of_replicate(factors or {}, r),
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
        factors: hidden.Factors | None = None,
    ) -> Gradient:
        """See Engine.gradient."""
        parts, losses, scale = [], [], hidden.flat(factors)
        for r in range(X.shape[0]):
            one = {n: p[r].detach() for n, p in params.items()}
            own, part = hidden.of_replicate(scale, r), slice(r, r + 1)
            if coefficients is None:
                total, value = self._plain(one, X[r], loss, part, own)
            else:
                total, value = self._per_sample(one, X[r], loss, part, coefficients, own)
            parts.append(total)
            losses.append(value)
        summed = {n: torch.stack([p[n] for p in parts]) for n in params if n in self.trained}
        return Gradient(summed, torch.cat(losses))

    def _plain(
        self, params: Params, X: Tensor, loss: Loss, part: slice, factors: Params
    ) -> tuple[Params, Tensor]:
        own, frozen = self.split(params)
        leaves = {n: p.requires_grad_() for n, p in own.items()}
        logits = self.call({**leaves, **frozen}, X.flatten(0, 1), factors, training=True)
        values = loss(logits.unflatten(0, X.shape[:2]).unsqueeze(0), part)
        grads = torch.autograd.grad(values.sum(), list(leaves.values()))
        return dict(zip(leaves, grads, strict=True)), values.detach()

    def _per_sample(
        self,
        params: Params,
        X: Tensor,
        loss: Loss,
        part: slice,
        coefficients: Coefficients,
        factors: Params,
    ) -> tuple[Params, Tensor]:
        hooked = self._hooked_scaled if self.scales(factors) else self.hooked
        hooked.zero_grad(set_to_none=True)
        live = dict(hooked._module.named_parameters())
        for name, p in live.items():
            p.data = params[name]
        for buffer in hooked._module.buffers():
            buffer.data = buffer.data.to(X.device)
        hidden.set_factors(hooked._module, factors)
        B, V = X.shape[:2]
        logits = hooked(X.flatten(0, 1)).unflatten(0, (B, V)).unsqueeze(0)
        values = loss(logits, part)
        with warnings.catch_warnings():
            # Opacus' hooks sit on layers whose inputs need no gradients, which is intended.
            warnings.filterwarnings("ignore", message="Full backward hook is firing")
            values.sum().backward()
        own = {n: p for n, p in live.items() if n in self.trained}
        grads = {n: p.grad_sample.unflatten(0, (B, V)).sum(1) for n, p in own.items()}
        norms = torch.stack([g.flatten(1).square().sum(1) for g in grads.values()]).sum(0).sqrt()
        factor = coefficients(norms.unsqueeze(0), part)[0]
        total = {n: torch.einsum("b,b...->...", factor, g) for n, g in grads.items()}
        hooked.zero_grad(set_to_none=True)
        return total, values.detach()
