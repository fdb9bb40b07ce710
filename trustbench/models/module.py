"""A module of the user's own, by import path or file."""

from dataclasses import dataclass
from types import ModuleType
from typing import Annotated, Any, ClassVar

import torch
from pydantic import AfterValidator
from torch import Tensor, nn
from typing_extensions import override

from trustbench.contracts import Model, Problem
from trustbench.models import one_logit, targets
from trustbench.training.output_checks import ROWS, outputs


def _given(target: str | None) -> str:
    if not target:
        raise ValueError(f"the class or function that builds your module: {targets.FORM}")
    return target


@dataclass(frozen=True)
class Module(Model):
    """A torch.nn.Module of your own: `target` names its class, or a function that builds it.

    `target` is `my.net:Net` or `path/to/net.py:Net`. `args` are keyword arguments. A parameter
    named as in `offered` gets its value from the data set: `n_features`, `n_classes`, `shape` and
    their synonyms. A binary module with one logit z is adapted to the two logits (0, z).

    Reference: Paszke et al. 2019, arXiv 1912.01703 (torch.nn.Module).
    """

    target: Annotated[str | None, AfterValidator(_given)]
    args: dict[str, Any] | None = None

    version: ClassVar[int] = 1
    learning_rate: ClassVar[float] = 0.03
    reference: ClassVar[str] = "Paszke et al. 2019, arXiv 1912.01703"

    @override
    def sources(self) -> tuple[ModuleType, ...]:
        return (self._loaded.source,)

    @override
    def build(self, problem: Problem) -> nn.Module:
        loaded = self._loaded
        module = targets.construct(loaded, self.args or {}, offered(problem))
        rows = torch.zeros(ROWS, *problem.shape)
        name = f"module ({type(module).__name__})"
        _materialise(name, module, rows)
        _leave_no_layer_in_place(module)
        if next(module.parameters(), None) is not None:
            one_logit.adapt(name, module, rows, problem.classes)
        return module

    @override
    def adapted(self, module: nn.Module) -> str | None:
        return one_logit.said(module)

    @property
    def _loaded(self) -> targets.Target:
        assert self.target is not None, "refused when it is bound"
        return targets.load(self.target)


def offered(problem: Problem) -> dict[str, Any]:
    """What a constructor may ask of a data set, by the names of its parameters."""
    d, classes = problem.n_features, len(problem.classes)
    names: dict[str, Any] = dict.fromkeys(("n_features", "num_features", "in_features"), d)
    names |= {"input_dim": d, "shape": problem.shape, "input_shape": problem.shape}
    names |= dict.fromkeys(("n_classes", "num_classes", "out_features", "output_dim"), classes)
    return names | ({"in_channels": problem.shape[0]} if len(problem.shape) == 3 else {})


def _materialise(name: str, module: nn.Module, rows: Tensor) -> None:
    """Gives lazy layers (nn.LazyLinear) their shapes."""
    if any(isinstance(p, nn.parameter.UninitializedParameter) for p in module.parameters()):
        with torch.no_grad():
            outputs(name, module.eval(), rows)


def _leave_no_layer_in_place(module: nn.Module) -> None:
    """Layers such as nn.ReLU(inplace=True) compute the same out of place, and keep their inputs."""
    for layer in module.modules():
        if getattr(layer, "inplace", False) is True:
            layer.inplace = False  # type: ignore[assignment]
