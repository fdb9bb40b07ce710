"""The clipping half of DP-SGD: clips per-example gradients and adds no noise."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from trustbench.contracts import Fact, GradientRule, Schedule
from trustbench.training.clipping import ClipAndNoise, poisson_run
from trustbench.training.private_settings import BoundedGradients, OwnSchedule


@dataclass(frozen=True)
class ClipOnly(OwnSchedule, BoundedGradients):
    """An ablation of `dpsgd` without any guarantee: the effect of its clipping alone.

    Schedule, Poisson batches, initialisation and clipping are those of `dpsgd` with the same
    fields, so an update of `dpsgd` is the sum of this one's and that of `noise_only` on a zero
    gradient.

    Reference: Tran et al. 2021, arXiv 2106.02782 (both parts of DP-SGD's unfairness);
    Tursynbek et al. 2021, arXiv 2012.07828 (of its robustness).
    """

    reads_rows: ClassVar = ()
    reference: ClassVar[str] = "Abadi et al. 2016, arXiv 1607.00133; Tran et al. 2021, 2106.02782"
    dose: ClassVar[tuple[str, ...]] = ("max_grad_norm",)

    def gradient(self, schedule: Schedule, n_members: int) -> GradientRule:
        """Returns a rule that clips and sums without noise."""
        run = poisson_run(schedule, n_members, self)
        return Clip(run, self.max_grad_norm, sigma=0.0, delta=1.0)


class Clip(ClipAndNoise):
    """Clips to `bound`, sums, and divides by the expected batch size."""

    def facts(self) -> Mapping[str, Fact]:
        """The bound and the sampling; without a guarantee there is no epsilon."""
        return {
            "guarantee": "none: no noise is added",
            "max_grad_norm": self.bound,
            **self.sampling_facts(),
        }
