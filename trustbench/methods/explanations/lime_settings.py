"""The settings of every method that releases LIME explanations."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from trustbench.contracts import Intervention, Read
from trustbench.contracts.aspects import Aspect
from trustbench.methods.explanations.lime_surrogate import Lime
from trustbench.methods.explanations.targets import Target

READS = (Read("pool", "column means and categories", into="answers"),)
"""What a neighbourhood reads of private rows; every method declares its own reads."""


@dataclass(frozen=True)
class ReleasedLime(Intervention):
    """A method of row E whose attributions are LIME's. See `Lime` for the fields."""

    samples: Annotated[int, Field(ge=20)] = 1000
    patch_samples: Annotated[int, Field(ge=20)] = 400
    sigma: Annotated[float, Field(ge=0)] = 0.0
    target: Target = "margin"

    version: ClassVar[int] = 2
    aspect: ClassVar[Aspect] = Aspect.EXPLAINABILITY
    dose: ClassVar[tuple[str, ...]] = ("samples",)

    @property
    def surrogate(self) -> Lime:
        """The local surrogate with these settings."""
        return Lime(self.samples, self.patch_samples, self.sigma, self.target)
