"""A policy: what an organisation demands of a change, written down before measuring.

It ranks the aspects, limits metrics (absolutely, or relative to a reference), names the verdicts
that block a change, and says how to treat questions that the data leaves open.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self, get_args

from pydantic import Field, NonNegativeFloat, PositiveInt, ValidationError, model_validator
from pydantic_core import ErrorDetails

from trustbench.config.binding import shown
from trustbench.config.yaml_file import read_yaml, sentence
from trustbench.contracts.aspects import Aspect
from trustbench.errors import ConfigError, did_you_mean
from trustbench.store.records import Strict
from trustbench.summary.stats.effects import Kind
from trustbench.summary.table.risk import AMBER, GREEN
from trustbench.summary.table.table_file import Metric, Regime

Target = Literal["fairness", "privacy", "robustness", "explainability", "uncertainty", "utility"]
TARGETS: tuple[Target, ...] = get_args(Target)
"""What a policy ranks, limits and protects: the five aspects and utility."""
Answer = Literal["pass", "fail", "inconclusive"]
BLOCKING = (Kind.HARM, Kind.IMMATERIAL)
"""The verdicts of harm, which a policy may let block."""
BOUNDS = ("at_most", "at_least", "worse_by_at_most")


class Priority(Strict):
    """A target and its weight in comparisons of arms; its place in the list is its rank."""

    target: Target
    weight: NonNegativeFloat


class Bound(NamedTuple):
    """One bound of a limit: its kind, one of BOUNDS, and its value."""

    kind: str
    value: float

    @property
    def text(self) -> str:
        """The bound in words.

        >>> Bound("worse_by_at_most", 0.02).text
        'worse by at most 0.02'
        """
        return f"{self.kind.replace('_', ' ')} {self.value:zg}"


class Limit(Strict):
    """The minimum or maximum of a metric, or by how much it may be worse.

    `at_most` and `at_least` bound the arm's own mean, in the unit of the metric. `worse_by_at_most`
    bounds the harm relative to the baseline, `reference` or `record`. `beyond_chance` subtracts
    from a metric over groups what random groups of the same sizes show.
    """

    metric: Target | Metric
    """`evaluator/name`, or a target, which stands for its column's primary metric."""
    at_most: float | None = None
    at_least: float | None = None
    worse_by_at_most: NonNegativeFloat | None = None
    reference: str | None = None
    """The intervention whose arm replaces the baseline for the relative bound."""
    record: str | None = None
    """The id of a stored record that replaces the baseline for the relative bound."""
    beyond_chance: bool = False
    """For a maximum, minimum or gap over groups: bounds the excess over random groups."""
    regime: Regime | None = None
    """None: the regime in which the table uses the metric, else `tuned`."""
    reason: str | None = None
    """The reason for the limit: a law, a contract, a promise."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.bounds:
            raise ValueError(f"has no bound; give {', '.join(BOUNDS[:-1])} or {BOUNDS[-1]}")
        if self.at_most is not None and self.at_least is not None and self.at_most < self.at_least:
            raise ValueError(f"at_most {self.at_most:zg} is below at_least {self.at_least:zg}")
        compared = self.reference is not None or self.record is not None
        if compared and self.worse_by_at_most is None:
            raise ValueError("names what to compare with but gives no `worse_by_at_most`")
        if self.reference is not None and self.record is not None:
            raise ValueError("gives both `reference` and `record`; give one")
        return self

    @property
    def bounds(self) -> tuple[Bound, ...]:
        """The given bounds, each decided on its own."""
        given = ((kind, getattr(self, kind)) for kind in BOUNDS)
        return tuple(Bound(kind, value) for kind, value in given if value is not None)


class Block(Strict):
    """Verdicts of cells that block: those in a candidate's own row of the table.

    A `significant but immaterial` effect blocks only as harm, not as benefit. `sources` restricts
    the rule to candidates whose method belongs to these aspects.
    """

    verdicts: tuple[Literal[Kind.HARM, Kind.IMMATERIAL], ...] = Field(min_length=1)
    targets: tuple[Target, ...] = Field(default=TARGETS, min_length=1)
    sources: tuple[Aspect, ...] | None = Field(default=None, min_length=1)
    reason: str | None = None

    @model_validator(mode="after")
    def _graded(self) -> Self:
        if Kind.HARM not in self.verdicts:
            raise ValueError(f"blocks {Kind.IMMATERIAL!s} harm but not {Kind.HARM!s}; name both")
        return self

    def covers(self, source: str | None, target: str) -> bool:
        """Whether the rule covers the effect of a method of `source` on `target`."""
        return target in self.targets and (self.sources is None or source in self.sources)


class Bands(Strict):
    """The risks (likelihood x severity, in [0, 1]) at which amber and red begin."""

    amber: float = Field(default=GREEN, ge=0, le=1)
    """Amber from here on."""
    red: float = Field(default=AMBER, ge=0, le=1)
    """Red above this."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.red < self.amber:
            raise ValueError(f"red {self.red:zg} is below amber {self.amber:zg}")
        return self


class Policy(Strict):
    """A policy. It ranks targets, each once, with weights that never grow downwards.

    A target that it does not rank has no weight.
    """

    name: str = Field(min_length=1)
    version: PositiveInt
    """Increased whenever the demands of the policy change."""
    description: str
    table: str = "cresswell"
    """The registered table whose cells, columns and margins the policy uses."""
    priorities: tuple[Priority, ...]
    """Most important first."""
    limits: tuple[Limit, ...] = ()
    block: tuple[Block, ...] = ()
    inconclusive: Answer = "inconclusive"
    """How a limit or a cell that the data cannot decide affects the gate."""
    unmeasured: Answer = "inconclusive"
    """How one that was not measured, or failed, affects the gate."""
    unreliable: Answer = "inconclusive"
    """How a pass that rests on a misleading measurement affects the gate."""
    risk: Bands = Bands()

    @model_validator(mode="after")
    def _ranked(self) -> Self:
        given = [p.target for p in self.priorities]
        twice = sorted({t for t in given if given.count(t) > 1})
        if not given:
            raise ValueError("priorities are empty; rank at least one target")
        if twice:
            raise ValueError(f"priorities name {', '.join(twice)} more than once")
        weights = [p.weight for p in self.priorities]
        if weights != sorted(weights, reverse=True):
            raise ValueError("priorities have weights that grow downwards; most important first")
        if weights[0] == 0:
            raise ValueError("priorities have no weight above 0; nothing would be preferred")
        return self

    @property
    def only_change(self) -> bool:
        """Whether it demands something, and only of a change: no single model can be held to it."""
        single = any(b.kind != "worse_by_at_most" for x in self.limits for b in x.bounds)
        return bool(self.limits or self.block) and not single

    @property
    def weights(self) -> dict[str, float]:
        """Target -> weight, most important first; they sum to 1."""
        total = sum(p.weight for p in self.priorities)
        ranked: dict[str, float] = {p.target: p.weight / total for p in self.priorities}
        return {**ranked, **{t: 0.0 for t in TARGETS if t not in ranked}}


def load_policy(path: Path) -> Policy:
    """Reads a policy from a YAML file; raises ConfigError with every problem, one sentence each."""
    return parse_policy(read_yaml(path, "policy"), str(path))


def parse_policy(data: Any, origin: str) -> Policy:
    """Parses a policy from a YAML document; `origin` names it in error sentences.

    Raises:
        ConfigError: every problem, each one sentence that begins with `origin`.
    """
    if not isinstance(data, Mapping):
        raise ConfigError(f"policy {origin}: expected keys and values, got {shown(data)}.")
    try:
        return Policy.model_validate(data)
    except ValidationError as error:
        # a list with only invalid items is also reported as too short
        errors = [e for e in error.errors() if e["type"] != "too_short" or not e["input"]]
        found = dict.fromkeys(_sentence(e) for e in errors)
        raise ConfigError([f"policy {origin}: {sentence}" for sentence in found]) from error


_PARTS: Mapping[str, type[Strict]] = {
    "priorities": Priority,
    "limits": Limit,
    "block": Block,
    "risk": Bands,
}


def _sentence(error: ErrorDetails) -> str:
    """A problem found by pydantic, as a sentence."""
    path = [k for k in error["loc"] if k not in _BRANCHES and not str(k).startswith("literal")]
    where, given = ".".join(map(str, path)), error["input"]
    if path[-1:] == ["metric"] and error["type"] not in ("missing", "extra_forbidden"):
        return f"{where} is {given!r}; give evaluator/name or a target: " + did_you_mean(
            str(given), TARGETS
        )
    if error["type"] == "too_short":
        return f"{where} is empty; name at least one, or leave it out."
    if error["type"] == "string_too_short":
        return f"{where} is empty; give it."
    if error["type"] in ("literal_error", "enum"):
        return f"{where} is {given!r}; {did_you_mean(str(given), _allowed(path))}"
    model = _PARTS.get(str(path[0]), Policy) if len(path) > 1 else Policy
    return sentence(error, path, model.model_fields)


_BRANCHES = ("function-after", "constrained-str")


def _allowed(path: list[int | str]) -> list[str]:
    """The words allowed at a place of the file."""
    for key in reversed(path):
        if key == "verdicts":
            return [k.value for k in BLOCKING]
        if key in ("target", "targets"):
            return list(TARGETS)
        if key == "sources":
            return [a.value for a in Aspect]
        if key == "regime":
            return ["tuned", "memorising"]
    return ["pass", "fail", "inconclusive"]
