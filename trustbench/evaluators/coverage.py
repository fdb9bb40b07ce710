"""How many rows a system decides, and how well it decides these."""

from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from trustbench.contracts import ABSTAIN, Access, Evaluator, Measured, System, fraction
from trustbench.contracts.aspects import Aspect
from trustbench.evaluators._decisions import decisions


@dataclass(frozen=True)
class Coverage(Evaluator):
    """The share of test rows that are decided, and the accuracy on these rows.

    A system that never abstains has coverage 1 and its usual accuracy, so that one that does can be
    compared with it, and a policy can ask for both.

    Reference: El-Yaniv and Wiener 2010, JMLR 11 (coverage and selective risk).
    """

    version: ClassVar[int] = 1
    aspect: ClassVar[Aspect | None] = None
    reads: ClassVar[frozenset[str]] = frozenset({"forward", "decider"})
    takes_abstention: ClassVar[bool] = True
    access: ClassVar[frozenset[Access]] = frozenset()
    reference: ClassVar[str] = "El-Yaniv and Wiener 2010, JMLR 11"
    metrics = (
        fraction(
            "coverage",
            "The share of test rows that the system decides itself.",
            better="higher",
        ),
        fraction(
            "selective_accuracy",
            "The share of the decided test rows that are decided correctly.",
            better="higher",
        ),
    )

    @override
    def measure(self, system: System) -> Measured:
        y, decided = system.problem.rows("test")[1], decisions(system, "test")
        count = (decided != ABSTAIN).sum(axis=1)
        covered = self.measurement("coverage", count / len(y), len(y))
        if not count.all():
            reason = "a replicate decides no test row"
            return Measured((covered,), missing={"selective_accuracy": reason})
        right = (decided == y).sum(axis=1) / count
        return Measured((covered, self.measurement("selective_accuracy", right, int(count.min()))))
