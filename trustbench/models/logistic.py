"""Multinomial logistic regression."""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from trustbench.contracts import Model, Problem


@dataclass(frozen=True)
class Logistic(Model):
    """One linear layer: logits [n, C] = W x + b.

    Reference: Bishop 2006, Pattern Recognition and Machine Learning, section 4.3.4.
    """

    version: ClassVar[int] = 1
    reference: ClassVar[str] = "Bishop 2006, section 4.3.4"

    def build(self, problem: Problem) -> nn.Module:
        """A chain of Flatten and Linear; its gradients have a closed form."""
        return nn.Sequential(nn.Flatten(), nn.Linear(problem.n_features, len(problem.classes)))
