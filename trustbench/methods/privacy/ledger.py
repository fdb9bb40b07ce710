"""The privacy ledger: every read of private rows of an arm, and the claims that follow.

Plugins declare what they read; none states an epsilon. For each kind of rows that a mechanism
protects, the ledger composes all mechanisms on them, once for each trained copy that answers, and
says what the claim assumes to be public and what it leaves open. A read of the same rows without a
mechanism voids the claim.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, TypeVar

from trustbench.contracts.guarantees import Guarantee
from trustbench.contracts.mechanisms import (
    Covers,
    Gaussian,
    Mechanism,
    PoissonGaussian,
    Pure,
    Read,
)
from trustbench.errors import ConfigError
from trustbench.methods.privacy.composition import spent

V = TypeVar("V")


@dataclass(frozen=True)
class Entry:
    """The declaration of one plugin of an arm. `reads` is None if it declares nothing."""

    plugin: str
    reads: tuple[Read, ...] | None
    copies: int = 1
    """How many trained copies of a replicate answer."""
    first: bool = False
    """Whether the training of each copy depends on a first fit."""


@dataclass(frozen=True)
class Setting:
    """The properties of an arm that decide how its reads count."""

    inclusion: Literal["half", "all"] = "half"
    regime: Literal["tuned", "memorising"] = "tuned"
    own_training: bool = True
    """False for a matched control: it deploys models trained without the arm's methods."""


class _Line(NamedTuple):
    """One read in the ledger: its plugin, and how often it is made."""

    plugin: str
    read: Read
    times: int


PLAIN = Entry("training", (Read("members", "the gradients", into="training"),))
"""Training whose gradients go through no mechanism."""
PILOT = Entry(
    "training.lr=auto",
    (
        Read("pool", "gradients of a pilot on rows", into="settings"),
        Read(
            "validation",
            "the learning rate, chosen by a pilot on the training pool",
            into="settings",
        ),
    ),
)
"""A learning rate chosen by a pilot without a mechanism."""
MEMBERS_PUBLIC = "the number of members"
TUNING = "choices made by looking at results (tuning)"
SEED = "whoever knows the seed of the noise"


def guarantees(
    entries: Sequence[Entry], setting: Setting, observed: Sequence[str] = ()
) -> tuple[Guarantee, ...]:
    """Returns one guarantee for each kind of rows that a mechanism protects; void if it fails.

    `observed` are sentences on plugins that were seen to violate their declarations.
    """
    lines = _lines(entries, setting)
    keys = [
        (line.read.rows, line.read.covers)
        for line in lines
        if line.read.mechanism is not None and line.read.rows != "pool"
    ]
    undeclared = [
        f"{e.plugin} does not declare which private rows it reads"
        for e in entries
        if e.reads is None
    ]
    bare = [
        f"{e.plugin} needs a first fit, which is trained without its mechanism"
        for e in entries
        if e.first and protects_training(e)
    ]
    flaws = [*undeclared, *bare, *observed]
    return tuple(_guarantee(rows, covers, lines, flaws, setting) for rows, covers in _once(keys))


def protects_training(entry: Entry) -> bool:
    """Whether a mechanism of this plugin protects the gradients of members."""
    return any(isinstance(r.mechanism, PoissonGaussian) for r in entry.reads or ())


def refusal(entries: Sequence[Entry], setting: Setting) -> str | None:
    """Returns why a mechanism and another read of training cannot be combined, or None.

    With `inclusion=all` the pool equals the members. What is learnt from it changes the term of
    every other member in a noisy sum, which then moves by more than the noise hides.
    """
    if setting.inclusion != "all" or not setting.own_training:
        return None
    lines = _lines(entries, setting)
    private = [x.plugin for x in lines if x.read.mechanism and _trains(x.read)]
    for line in lines:
        if private and line.read.mechanism is None and _trains(line.read):
            return (
                f"{line.plugin} trains with {line.read.what} of the training pool, and with "
                "protocol.inclusion=all these are the members' own rows: one row more or less "
                f"changes the terms of all others in the noisy sums of {private[0]}, which its "
                "noise does not hide; take protocol.inclusion=half, or leave out one of the two."
            )
    return None


def _lines(entries: Sequence[Entry], setting: Setting) -> list[_Line]:
    """Every read that shaped what is deployed; with `inclusion=all` the pool is the members."""
    copies = 1 + sum(e.copies - 1 for e in entries)
    copies *= 2 if any(e.first for e in entries) else 1  # a first fit is trained for each
    lines = []
    for entry in entries:
        for read in entry.reads or ():
            if read.into == "training" and not setting.own_training:
                continue
            if read.mechanism and read.rows == "pool" and setting.inclusion == "all":
                read = replace(read, rows="members")
            lines.append(_Line(entry.plugin, read, copies if read.into == "training" else 1))
    return lines


def _trains(read: Read) -> bool:
    return read.into == "training" and read.rows in ("members", "pool")


def _guarantee(
    rows: str, covers: Covers, lines: Sequence[_Line], flaws: Sequence[str], setting: Setting
) -> Guarantee:
    own = [x for x in lines if x.read.mechanism and (x.read.rows, x.read.covers) == (rows, covers)]
    others = [x for x in lines if x.read.mechanism is None] if covers == "all" else []
    breaks = [(why, x.read) for x in others if (why := _breaks(rows, x, setting))]
    void = [*flaws, *(why for why, _ in breaks)]
    neighbours = {x.read.neighbours for x in own}
    if len(neighbours) > 1:
        void.append(
            f"{_names(own)} count neighbours differently (a row more or less, a row replaced), "
            "and such bounds cannot be added up"
        )
    made = Guarantee.model_validate(
        {
            "rows": rows,
            "covers": covers,
            "neighbours": own[0].read.neighbours,
            "mechanisms": [_described(x) for x in own],
            "assumed_public": _public(rows, covers, others),
            "not_covered": _open(rows, covers, own, lines, setting),
        }
    )
    void += [read.instead for _, read in breaks if read.instead]
    if void:
        return made.model_copy(update={"void": "; ".join(dict.fromkeys(void))})
    delta = max(x.read.delta for x in own)
    try:
        bound = spent([_repeated(x) for x in own], delta)
    except ConfigError as error:
        return made.model_copy(update={"void": str(error)})
    return made.model_copy(update=bound._asdict())


def _breaks(rows: str, line: _Line, setting: Setting) -> str | None:
    """Returns why a read without a mechanism voids the claim on `rows`, or None."""
    read = line.read
    if rows == "members" and read.into == "model" and read.rows in ("members", "pool"):
        return (
            f"{line.plugin} answers by a model of its own in place of the trained one, with "
            f"{read.what} of the training pool and without a mechanism"
        )
    if rows == "members" and read.rows == "pool" and setting.inclusion == "all":
        return (
            f"{line.plugin} uses {read.what} of the training pool without a mechanism, and with "
            "protocol.inclusion=all these are the members' own rows"
        )
    if read.rows == rows:
        return f"{line.plugin} uses {read.what} of the {_plural(rows)} without a mechanism"
    return None


def _public(rows: str, covers: Covers, others: Sequence[_Line]) -> list[str]:
    if covers != "all":
        return []
    if rows != "members":
        return [f"the number of {_plural(rows)}"]
    of_pool = (x for x in others if x.read.rows == "pool")
    read = [f"{x.read.what} of the training pool ({x.plugin})" for x in of_pool]
    return _once([MEMBERS_PUBLIC, *read])


def _open(
    rows: str, covers: Covers, own: Sequence[_Line], lines: Sequence[_Line], setting: Setting
) -> list[str]:
    """What the guarantee leaves open."""
    found = [text for x in own for text in x.read.beyond]
    if any(x.read.noise == "seeded" for x in own):
        found.append(SEED)
    if covers != "all":
        return _once(found)
    if rows == "members":
        if setting.regime == "tuned":
            found.append("validation rows (they choose the epoch)")
        found += [
            f"{_plural(x.read.rows)} ({x.plugin}: {x.read.what})"
            for x in lines
            if x.read.rows in ("validation", "calibration")
        ]
    else:
        found.append("all other rows, the training members among them")
    return _once([*found, TUNING])


def _described(line: _Line) -> str:
    """A mechanism as a short phrase: `dpsgd (5 x 300 noisy sums)`."""
    times = f"{line.times} x " if line.times > 1 else ""
    match line.read.mechanism:
        case PoissonGaussian(steps=steps):
            return f"{line.plugin} ({times}{steps} noisy sums)"
        case Gaussian(releases=releases):
            return f"{line.plugin} ({times}{releases} Gaussian releases)"
        case Pure(name=name, releases=releases):
            return f"{line.plugin} ({times}{releases} {name} releases)"
        case None:
            raise ValueError(f"{line.plugin} reads without a mechanism")


def _repeated(line: _Line) -> Mechanism:
    """The mechanism of all trained copies together."""
    match line.read.mechanism:
        case PoissonGaussian(sigma, rate, steps):
            return PoissonGaussian(sigma, rate, steps * line.times)
        case Gaussian(sigma, releases):
            return Gaussian(sigma, releases * line.times)
        case Pure(name, epsilon, releases):
            return Pure(name, epsilon, releases * line.times)
        case None:
            raise ValueError(f"{line.plugin} reads without a mechanism")


def _names(lines: Sequence[_Line]) -> str:
    return " and ".join(_once([x.plugin for x in lines]))


def _plural(rows: str) -> str:
    return "training members" if rows == "members" else f"{rows} rows"


def _once(items: Iterable[V]) -> list[V]:
    return list(dict.fromkeys(items))
