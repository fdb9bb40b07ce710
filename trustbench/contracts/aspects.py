"""The five aspects of trustworthy AI (Cresswell 2025, section 2)."""

from enum import StrEnum


class Aspect(StrEnum):
    """An aspect of trustworthy AI. Utility is measured beside the aspects but is not an aspect."""

    FAIRNESS = "fairness"
    PRIVACY = "privacy"
    ROBUSTNESS = "robustness"
    EXPLAINABILITY = "explainability"
    UNCERTAINTY = "uncertainty"

    @property
    def letter(self) -> str:
        """The letter of the table's rows and columns: F, P, R, E or U.

        >>> Aspect.UNCERTAINTY.letter
        'U'
        """
        return self.value[0].upper()
