"""The stacked engine in closed form: chains of linear layers, all replicates in one backward.

For a linear layer with input a and output gradient e, one example's weight gradient is e aᵀ, so
its squared norm is |e|²(|a|² + 1), bias included, and no per-example gradient is ever formed
("ghost norm": Goodfellow 2015, arXiv 1510.01799; Li et al. 2022, arXiv 2110.05679, section 4).
An example with V views has the gradient Σ_v e_v a_vᵀ, whose squared norm is
Σ_{v,w} (e_v·e_w)(a_v·a_w + 1). Scaling an example's gradient is scaling its e's.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from trustbench.training import hidden
from trustbench.training.engines import Coefficients, EngineName, Gradient, Loss, Params
from trustbench.training.module_call import HeldModule

LAYERS = (nn.Flatten, nn.Linear, nn.Tanh, nn.ReLU, nn.Dropout)


_tanh_backward = torch.ops.aten.tanh_backward


class _CPUTanh(torch.autograd.Function):
    """tanh(h) as 2 sigmoid(2h) - 1, differentiable twice.

    On a CPU it takes a third to half of the time of torch's own, and tanh dominates the cost of a
    small network. The results agree up to rounding.
    """

    @staticmethod
    def forward(ctx: Any, h: Tensor) -> Tensor:
        y = (2 * h).sigmoid_().mul_(2).sub_(1)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        out: Tensor = _tanh_backward(grads[0], y)
        return out


def tanh(h: Tensor) -> Tensor:
    """The hyperbolic tangent, [...]."""
    if h.device.type != "cpu":
        return h.tanh()
    out: Tensor = _CPUTanh.apply(h)
    return out


class LinearChainEngine(HeldModule):
    """R chains of Flatten, Linear, Tanh, ReLU and Dropout layers.

    A dropout layer multiplies by the masks of a training step; without masks, as in every
    evaluation, it passes its input on.
    """

    name: EngineName = "stacked"
    fewest = 1

    def __init__(self, module: nn.Module, shape: tuple[int, ...], why: str) -> None:
        super().__init__(module, shape, why)
        self.layers: list[tuple[str, type[nn.Module]]] = []
        for name, layer in module.named_children():
            if isinstance(layer, nn.Dropout):
                self.layers.append((f"{name}.0", hidden.Scaled))
            elif not isinstance(layer, nn.Flatten):
                self.layers.append((name, type(layer)))
            if isinstance(layer, hidden.ACTIVATIONS):  # then its outputs times their factor
                self.layers.append((name, hidden.Scaled))
        self.bias = {
            n: m.bias is not None for n, m in module.named_children() if hasattr(m, "bias")
        }

    def forward(
        self,
        params: Mapping[str, Tensor],
        X: Tensor,
        factors: hidden.Factors | None = None,
    ) -> Tensor:
        """See Engine.forward."""
        h = X.flatten(-len(self.shape))
        if h.ndim == 2:
            h = h.expand(next(iter(params.values())).shape[0], *h.shape)
        for name, kind in self.layers:
            h = self._layer(params, name, kind, h, factors or {})
        return h

    def _layer(
        self,
        params: Mapping[str, Tensor],
        name: str,
        kind: type,
        h: Tensor,
        factors: hidden.Factors,
    ) -> Tensor:
        if kind is hidden.Scaled:
            return h * factors[name].flatten(2) if name in factors else h
        if kind is nn.Tanh:
            return tanh(h)
        if kind is nn.ReLU:
            return h.relu()
        weight = params[f"{name}.weight"].transpose(1, 2)
        if not self.bias[name]:
            return torch.bmm(h, weight)
        return torch.baddbmm(params[f"{name}.bias"].unsqueeze(1), h, weight)

    def gradient(
        self,
        params: Mapping[str, Tensor],
        X: Tensor,
        loss: Loss,
        coefficients: Coefficients | None = None,
        factors: hidden.Factors | None = None,
    ) -> Gradient:
        """See Engine.gradient."""
        R, B, V = X.shape[:3]
        scale = hidden.flat(factors)
        with torch.no_grad():
            inputs, h = [], X.reshape(R, B * V, -1)
            for name, kind in self.layers:
                inputs.append(h)
                h = self._layer(params, name, kind, h, scale)
        logits = h.view(R, B, V, -1).requires_grad_()
        losses = loss(logits, slice(None))
        (delta,) = torch.autograd.grad(losses.sum(), logits)
        with torch.no_grad():
            pairs = self._backward(params, inputs, delta.reshape(R, B * V, -1), scale)
            if coefficients is not None:
                factor = coefficients(self._norms(pairs, B, V), slice(None))
                factor = factor.repeat_interleave(V, dim=1)
                pairs = {n: (a, e * factor.unsqueeze(-1)) for n, (a, e) in pairs.items()}
            return Gradient(self._sums(pairs), losses.detach())

    def _backward(
        self,
        params: Mapping[str, Tensor],
        inputs: list[Tensor],
        delta: Tensor,
        factors: hidden.Factors,
    ) -> dict[str, tuple[Tensor, Tensor]]:
        """{linear layer: (its input a, its output gradient e)}, each [R, N, width]."""
        pairs = {}
        first = next(i for i, (_, kind) in enumerate(self.layers) if kind is nn.Linear)
        for i in range(len(self.layers) - 1, first - 1, -1):
            name, kind = self.layers[i]
            if kind is nn.Linear:
                pairs[name] = (inputs[i], delta)
                if i > first:
                    delta = torch.bmm(delta, params[f"{name}.weight"])
            elif kind is hidden.Scaled:
                delta = delta * factors[name].flatten(2) if name in factors else delta
            else:
                y = inputs[i + 1]  # what the factor multiplies
                delta = _tanh_backward(delta, y) if kind is nn.Tanh else delta * (y > 0)
        return pairs

    def _norms(self, pairs: dict[str, tuple[Tensor, Tensor]], B: int, V: int) -> Tensor:
        """The norm of every example's gradient, [R, B]."""
        total: Tensor | float = 0.0
        for name, (a, e) in pairs.items():
            weight, bias = (float(n in self.trained) for n in (f"{name}.weight", f"{name}.bias"))
            if V == 1:
                total = total + e.square().sum(-1) * (weight * a.square().sum(-1) + bias)
            else:
                e, a = (t.unflatten(1, (B, V)) for t in (e, a))
                total = total + ((e @ e.mT) * (weight * (a @ a.mT) + bias)).sum((-1, -2))
        assert isinstance(total, Tensor)
        return total.clamp(min=0).sqrt()

    def _sums(self, pairs: dict[str, tuple[Tensor, Tensor]]) -> Params:
        total = {}
        for name, (a, e) in pairs.items():
            if f"{name}.weight" in self.trained:
                total[f"{name}.weight"] = torch.bmm(e.transpose(1, 2), a)
            if f"{name}.bias" in self.trained:
                total[f"{name}.bias"] = e.sum(1)
        return total
