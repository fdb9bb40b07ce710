"""Weight decay as a control: regularisation that guarantees nothing."""

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

from pydantic import Field
from typing_extensions import override

from trustbench.contracts import Intervention, Schedule
from trustbench.contracts.aspects import Aspect


@dataclass(frozen=True)
class WeightDecay(Intervention):
    """Trains with an l2 penalty on the weights. A control for methods with a guarantee, not one.

    What lowers overfitting lowers membership leakage on average. It bounds the influence of no row:
    single rows can leak as before. A method with a guarantee should beat this one at equal utility.
    `rate` replaces the weight decay of `training`.

    Reference: Song and Mittal 2021, arXiv 2003.10595 (defences are measured against regularisation
    and early stopping).
    """

    rate: Annotated[float, Field(gt=0)] = 0.01

    aspect: ClassVar[Aspect] = Aspect.PRIVACY
    reads_rows: ClassVar = ()
    reference: ClassVar[str] = "Song and Mittal 2021, arXiv 2003.10595"
    dose: ClassVar[tuple[str, ...]] = ("rate",)

    @override
    def schedule(self, schedule: Schedule) -> Schedule:
        return replace(schedule, weight_decay=self.rate)
