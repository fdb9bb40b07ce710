"""Leaves out the small, separate cluster of a label's features."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field
from typing_extensions import override

from trustbench.contracts import Array, FirstFit, Intervention, Problem, Read
from trustbench.contracts.aspects import Aspect
from trustbench.methods.attacks.poisoning.suspicion import small_clusters, weights


@dataclass(frozen=True)
class ActivationClustering(Intervention):
    """Trains without rows that form a small, separate cluster in the features of a first fit.

    The penultimate features of each label are reduced to `components` principal components and
    divided into two clusters. The smaller is left out if its share is below `size` and the
    silhouette of the two above `silhouette`; else the label is taken as clean. Under no poison a
    label with two natural modes loses the smaller one.

    Reference: Chen et al. 2018, arXiv 1811.03728.
    """

    components: Annotated[int, Field(ge=1)] = 10
    size: Annotated[float, Field(gt=0, le=0.5)] = 0.35
    silhouette: Annotated[float, Field(ge=-1, lt=1)] = 0.1

    aspect: ClassVar[Aspect] = Aspect.ROBUSTNESS
    reads_rows: ClassVar = (
        Read("members", "what a first fit makes of all members", into="training"),
    )
    reference: ClassVar[str] = "Chen et al. 2018, arXiv 1811.03728"
    dose: ClassVar[tuple[str, ...]] = ("size",)

    @override
    def reweigh(self, problem: Problem, members: Array, first: FirstFit) -> Array:
        labels = problem.rows("train")[1][members]
        suspicious = small_clusters(
            first.hidden[members],
            labels,
            components=self.components,
            size=self.size,
            silhouette=self.silhouette,
        )
        return weights(~suspicious)
