"""The one mechanism that is accounted: a Gaussian on Poisson-sampled members."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PoissonGaussian:
    """`steps` releases of a sum over a Poisson sample, each with Gaussian noise.

    One member changes a sum by at most 1 in units of which `noise_multiplier` is the noise's
    standard deviation. Neighbours differ in one member that is added or removed.
    """

    noise_multiplier: float
    sample_rate: float
    steps: int

    def __post_init__(self) -> None:
        """A mechanism outside these ranges is our own mistake: users' values are checked before."""
        if not (self.noise_multiplier > 0 and 0 < self.sample_rate <= 1 and self.steps >= 1):
            raise ValueError(f"not a Poisson-sampled Gaussian: {self}")
