"""Leaves out rows whose features point along the top singular vector of their label."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field
from typing_extensions import override

from trustbench.contracts import Array, FirstFit, Intervention, Problem, Read
from trustbench.contracts.aspects import Aspect
from trustbench.methods.attacks.poisoning.suspicion import removed_share, spectral, without


@dataclass(frozen=True)
class SpectralSignatures(Intervention):
    """Trains without the rows of each label that stand out in the features of a first fit.

    The score of a row is the squared projection of its centred penultimate features on their top
    singular vector, within its label; 1.5 x `expected` of each label, the highest, are left out. No
    label is known to be the attacked one, and `expected` is a share of a label: 5 % of all rows
    with one label can be a third of it. Rows of a minority stand out as well as poison does:
    the record's `left_out_by_group` says who was left out.

    Reference: Tran et al. 2018, arXiv 1811.00636, algorithm 1.
    """

    expected: Annotated[float, Field(gt=0, lt=0.5)] = 0.05

    aspect: ClassVar[Aspect] = Aspect.ROBUSTNESS
    reads_rows: ClassVar = (
        Read("members", "what a first fit makes of all members", into="training"),
    )
    reference: ClassVar[str] = "Tran et al. 2018, arXiv 1811.00636"
    dose: ClassVar[tuple[str, ...]] = ("expected",)

    @override
    def reweigh(self, problem: Problem, members: Array, first: FirstFit) -> Array:
        labels = problem.rows("train")[1][members]
        share = removed_share(self.expected)
        return without(spectral(first.hidden[members], labels), share, labels)
