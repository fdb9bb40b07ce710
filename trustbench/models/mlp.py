"""Multi-layer perceptron."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from torch import nn

from trustbench.contracts import Model, Problem

ACTIVATIONS = {"tanh": nn.Tanh, "relu": nn.ReLU}


@dataclass(frozen=True)
class MLP(Model):
    """Hidden layers of the widths given, then one linear layer: logits [n, C].

    tanh is the default: under gradient clipping, bounded activations lose less accuracy than ReLU,
    and the baseline must have the architecture of the treated arm.

    Reference: Papernot et al. 2021, arXiv 2007.14191, section 3 (tempered sigmoids under DP-SGD).
    """

    hidden: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)] = (128,)
    activation: Literal["tanh", "relu"] = "tanh"

    version: ClassVar[int] = 1
    reference: ClassVar[str] = "Papernot et al. 2021, arXiv 2007.14191"

    def build(self, problem: Problem) -> nn.Module:
        """A chain of Flatten, Linear and activations only; its gradients have a closed form."""
        layers: list[nn.Module] = [nn.Flatten()]
        for width, following in pairwise((problem.n_features, *self.hidden)):
            layers += [nn.Linear(width, following), ACTIVATIONS[self.activation]()]
        layers.append(nn.Linear(self.hidden[-1], len(problem.classes)))
        return nn.Sequential(*layers)
