"""What the engines for any module share: it is called with parameters from outside."""

from functools import cached_property

from torch import Tensor, nn
from torch.func import functional_call

from trustbench.training import hidden
from trustbench.training.engines import Params


class CalledModule:
    """One replicate's module, whose own parameters are never read."""

    def __init__(self, module: nn.Module, shape: tuple[int, ...], why: str) -> None:
        self.module, self.shape, self.why = module, shape, why

    @cached_property
    def sites(self) -> hidden.Sites:
        """See Engine.sites."""
        return hidden.sites(self.module, self.shape)

    @cached_property
    def scaled(self) -> nn.Module:
        """The module with places for factors at its sites."""
        return hidden.scaled(self.module, self.sites)

    def call(self, params: Params, x: Tensor, factors: Params) -> Tensor:
        """Logits [n, C] of x [n, *shape], with parameters {name: [*p]} and factors if any."""
        module = self.scaled if factors else self.module
        logits: Tensor = functional_call(module, {**params, **hidden.buffers(factors)}, (x,))
        return logits
