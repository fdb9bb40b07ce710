"""What engines share: the module they hold, and calls of any module with external parameters."""

from collections.abc import Mapping
from functools import cached_property

from torch import Tensor, nn
from torch.func import functional_call

from trustbench.training import dropout, hidden
from trustbench.training.engines import Params, trained
from trustbench.training.module_copies import shared_copy


class HeldModule:
    """A module of one replicate whose own parameters are never read, in evaluation mode."""

    def __init__(self, module: nn.Module, shape: tuple[int, ...], why: str) -> None:
        self.shape, self.why = shape, why
        self.module = shared_copy(module).eval()
        self.dropouts, self.trained = dropout.places(module, shape), trained(module)

    @cached_property
    def sites(self) -> hidden.Sites:
        """See Engine.sites."""
        return hidden.sites(self.module, self.shape)


class CalledModule(HeldModule):
    """A module that is called with external parameters.

    It is held twice: in evaluation mode, as it is deployed and attacked, and in training mode with
    masks in place of its dropout layers, for the gradient of a training step.
    """

    def __init__(self, module: nn.Module, shape: tuple[int, ...], why: str) -> None:
        super().__init__(module, shape, why)
        self.training_module = dropout.masked(module, self.dropouts).train()

    @cached_property
    def scaled(self) -> nn.Module:
        """The module in evaluation mode, with a factor at each of its sites."""
        return hidden.scaled(self.module, self.sites)

    @cached_property
    def training_scaled(self) -> nn.Module:
        """The module in training mode, with a factor at each of its sites."""
        return hidden.scaled(self.training_module, self.sites)

    def scales(self, factors: hidden.Factors) -> bool:
        """Whether some factors act on hidden activations rather than in place of dropout layers."""
        return any(name not in self.dropouts for name in factors)

    def split(self, params: Mapping[str, Tensor]) -> tuple[Params, Params]:
        """(trained, frozen) parameters."""
        own = {n: p for n, p in params.items() if n in self.trained}
        return own, {n: p for n, p in params.items() if n not in self.trained}

    def call(self, params: Params, x: Tensor, factors: Params, *, training: bool = False) -> Tensor:
        """Logits [n, C] of x [n, *shape], given parameters {name: [*p]} and possibly factors."""
        if training:
            module = self.training_scaled if self.scales(factors) else self.training_module
        else:
            module = self.scaled if factors else self.module
        held = {name: buffer.to(x.device) for name, buffer in module.named_buffers()}
        given = {**held, **params, **hidden.buffers(factors)}
        logits: Tensor = functional_call(module, given, (x,))
        return logits
