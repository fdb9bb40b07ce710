"""Early stopping as a control: fewer epochs, no guarantee."""

import math
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

from pydantic import Field
from typing_extensions import override

from trustbench.contracts import Intervention, Schedule
from trustbench.contracts.aspects import Aspect


@dataclass(frozen=True)
class EarlyStopping(Intervention):
    """Trains for a `share` of the epochs, rounded up. A control for guarantees, not one.

    Compare a defence with the baseline stopped where it has the accuracy of the defence: what the
    defence leaks less than that is its own. In the regime `tuned` the best of these epochs is
    deployed, in `memorising` the last.

    Reference: Song and Mittal 2021, arXiv 2003.10595, section 4.
    """

    share: Annotated[float, Field(gt=0, lt=1)] = 0.25

    aspect: ClassVar[Aspect] = Aspect.PRIVACY
    reads_rows: ClassVar = ()
    reference: ClassVar[str] = "Song and Mittal 2021, arXiv 2003.10595"
    dose: ClassVar[tuple[str, ...]] = ("share",)

    @override
    def schedule(self, schedule: Schedule) -> Schedule:
        return replace(schedule, epochs=math.ceil(self.share * schedule.epochs))
