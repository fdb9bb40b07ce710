"""A user's own module, by import path or file."""

from dataclasses import dataclass
from types import ModuleType
from typing import Annotated, Any, ClassVar

import torch
from pydantic import AfterValidator
from torch import nn
from typing_extensions import override

from trustbench.contracts import Model, Problem
from trustbench.models import heads, own_module, targets
from trustbench.training.output_checks import ROWS


def _given(target: str | None) -> str:
    if not target:
        raise ValueError(f"the class or function that builds your module: {targets.FORM}")
    return target


@dataclass(frozen=True)
class Module(Model):
    """A torch.nn.Module of your own: `target` names its class, or a function that builds it.

    `target` is `my.net:Net` or `path/to/net.py:Net`, searched where the command was given. `args`
    are keyword arguments. A parameter that is called `n_features`, `n_classes` or `shape`, or a
    synonym, gets its value from the data set, see `own_module.offered`. A binary module with one
    logit z is adapted to the two logits (0, z).

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
        module = targets.construct(
            loaded, self.args or {}, own_module.offered(problem.shape, len(problem.classes))
        )
        rows = torch.zeros(ROWS, *problem.shape)
        name = f"module ({type(module).__name__})"
        own_module.prepare(name, module, rows)
        if next(module.parameters(), None) is not None:
            heads.adapt_one_logit(name, module, rows, problem.classes)
        return module

    @override
    def adapted(self, module: nn.Module) -> str | None:
        return heads.adapted(module)

    @property
    def _loaded(self) -> targets.ModuleTarget:
        assert self.target is not None, "refused when it is bound"
        return targets.load(self.target, folder=self.given_in)
