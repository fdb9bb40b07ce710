"""Privacy guarantees of a deployed system: whose rows they protect and what they leave open."""

from collections.abc import Iterable, Mapping
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from trustbench.errors import ConfigError

V = TypeVar("V")

ROWS = {"members": "training member", "calibration": "calibration row"}

CLAIMS = {"epsilon_rdp", "delta", *(f"{k}_delta" for k in ("calibration", "explanation"))}
"""Facts that state a guarantee, in addition to every `epsilon` and `accountant`."""


class Guarantee(BaseModel):
    """(`epsilon`, `delta`)-differential privacy of some rows, or the reason why it does not hold.

    Two data sets are neighbours if one of `rows` is added or removed, or replaced.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)

    rows: Literal["members", "calibration", "validation"]
    """Whose rows are protected."""
    covers: Literal["all", "explanation"] = "all"
    """What the guarantee covers: everything released, or only the explanations."""
    neighbours: Literal["add or remove", "replace"]
    mechanisms: list[str]
    """The plugins whose mechanisms are composed, and the number of trained copies that answer."""
    epsilon: float | None = None
    delta: float | None = None
    accountant: str | None = None
    assumed_public: list[str] = []
    """What the guarantee assumes to be public."""
    not_covered: list[str] = []
    """What may leak in addition."""
    void: str | None = None
    """Why the claim is void; epsilon, delta and accountant are then None."""

    @property
    def prefix(self) -> str:
        """The prefix of its facts' names: "", `calibration_`, `explanation_`, ..."""
        if self.covers != "all":
            return f"{self.covers}_"
        return "" if self.rows == "members" else f"{self.rows}_"

    @property
    def subject(self) -> str:
        """What is protected, as a short phrase."""
        row = ROWS.get(self.rows, f"{self.rows} row")
        about = "one {} more or less" if self.neighbours == "add or remove" else "one {} replaced"
        only = f"; {self.covers}s only" if self.covers != "all" else ""
        return about.format(row) + only

    def line(self) -> str:
        """The claim and its scope in one line; a void claim states no number."""
        if self.void is not None:
            return f"privacy claim void: {self.void}"
        number = f"epsilon {self.epsilon:.4g} at delta {self.delta:.3g} ({self.accountant})"
        parts = [f"{number}: {self.subject}", f"composed of {', '.join(self.mechanisms)}"]
        if self.assumed_public:
            parts.append(f"taken as public: {', '.join(self.assumed_public)}")
        if self.not_covered:
            parts.append(f"not covered: {', '.join(self.not_covered)}")
        return "; ".join(parts)


def facts(claims: Iterable[Guarantee]) -> dict[str, float | str | None]:
    """The flat facts of the guarantees that hold: `epsilon`, `delta`, `accountant`, prefixed."""
    found: dict[str, float | str | None] = {}
    for claim in claims:
        if claim.void is None:
            found[f"{claim.prefix}epsilon"] = claim.epsilon
            found[f"{claim.prefix}delta"] = claim.delta
            found[f"{claim.prefix}accountant"] = claim.accountant
    return found


def is_claim(fact: str) -> bool:
    """Whether a fact of this name states a composed guarantee, which only the ledger may do.

    >>> [is_claim(f) for f in ("epsilon", "epsilon_rdp", "set_epsilon_lac", "calibration_delta")]
    [True, True, False, True]
    """
    return fact in CLAIMS or fact.endswith(("epsilon", "accountant"))


def without_claims(facts: Mapping[str, V]) -> dict[str, V]:
    """The facts without those that state a guarantee."""
    return {k: v for k, v in facts.items() if not is_claim(k)}


def refuse_claims(facts: Mapping[str, V]) -> Mapping[str, V]:
    """Returns the facts of a plugin; raises ConfigError if one of them states a guarantee."""
    claimed = ", ".join(filter(is_claim, facts))
    if claimed:
        raise ConfigError(
            f"a plugin states {claimed} among its facts, but only the privacy ledger claims a "
            "guarantee; declare the mechanism in the plugin's `declares` and drop the fact."
        )
    return facts
