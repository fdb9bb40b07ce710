"""The label of an arm in all outputs: `dpsgd epsilon=3`, `none (training.lr=0.1)`.

A label names the methods with their doses. Arms that would share a label get the settings in which
they differ: a method's own settings after the dose, all others in parentheses, along with a control
and a regime other than `tuned`. Two arms share a label only if they are the same.
"""

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from trustbench.store.schema import ArmSpec, PluginSpec

PLACE = ("dataset", "model")
"""The settings that are compared first; those of different plugins cannot be compared."""
ABSENT = object()


@dataclass(frozen=True)
class Described:
    """The parts of a label."""

    methods: tuple[PluginSpec, ...]
    notes: tuple[str, ...] = ()
    """Always printed in parentheses."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Printed if it distinguishes the arm from another."""

    @property
    def name(self) -> str:
        """The methods with their doses, in the order of their names; `none` without any."""
        ordered = sorted(self.methods, key=lambda m: m.name)
        return " + ".join(_method(m) for m in ordered) or "none"

    @property
    def own(self) -> dict[str, Any]:
        """The methods' settings, each under its method's name."""
        return {f"{m.name}.{k}": v for m in self.methods for k, v in m.params.items()}


def label(arm: ArmSpec) -> str:
    """The label of an arm on its own."""
    return labels([arm])[0]


def labels(arms: Sequence[ArmSpec]) -> list[str]:
    """The labels of some arms, unique among them."""
    return tell_apart([describe(arm) for arm in arms])


def describe(arm: ArmSpec, left_out: Collection[str] = ()) -> Described:
    """The parts of an arm's label.

    `left_out` are those of control, regime and seed that are printed beside the label.
    """
    notes = {"control": arm.control, "regime": str(arm.training.get("regime"))}
    settings = {
        **settings_of("dataset", arm.dataset),
        **settings_of("model", arm.model),
        **{f"training.{k}": v for k, v in arm.training.items() if k != "regime"},
        **{f"protocol.{k}": v for k, v in arm.protocol.items()},
        "seed": arm.seed,
        "engine": arm.engine,
    }
    unusual = [n for k, n in notes.items() if k not in left_out and n not in ("none", "tuned")]
    kept = {k: v for k, v in settings.items() if k not in left_out}
    return Described(tuple(arm.interventions), tuple(unusual), kept)


def settings_of(kind: str, plugin: PluginSpec) -> dict[str, Any]:
    """A plugin's name, settings and version as settings of an arm."""
    params = {f"{kind}.{k}": v for k, v in plugin.params.items()}
    return {kind: plugin.name, **params, f"{kind}.version": plugin.version}


def tell_apart(described: Sequence[Described]) -> list[str]:
    """Makes the labels of some arms unique."""
    added: list[dict[str, str]] = [{} for _ in described]
    for same in _grouped(range(len(described)), lambda i: (described[i].name, described[i].notes)):
        _add(added, same, [{k: described[i].settings.get(k) for k in PLACE} for i in same])
        for near in _grouped(same, lambda i: tuple(added[i].items())):
            _add(added, near, [described[i].own for i in near])
            rest = [described[i].settings for i in near]
            _add(added, near, [{k: v for k, v in r.items() if k not in PLACE} for r in rest])
    return [_text(d, more) for d, more in zip(described, added, strict=True)]


def show(value: Any) -> str:
    """A value as printed in labels."""
    return f"{value:zg}" if isinstance(value, float) else str(value)


def shown(settings: Mapping[str, Any]) -> str:
    """Settings as printed in labels.

    >>> shown({"epsilon": 0.2, "steps": 50})
    'epsilon=0.2 steps=50'
    """
    return " ".join(f"{k}={show(v)}" for k, v in settings.items())


def _method(spec: PluginSpec) -> str:
    return f"{spec.name} {shown({k: v for k, v in spec.dose.items() if v is not None})}".rstrip()


def _grouped(indices: Iterable[int], key: Any) -> list[list[int]]:
    found: dict[Hashable, list[int]] = defaultdict(list)
    for i in indices:
        found[key(i)].append(i)
    return list(found.values())


def _add(added: list[dict[str, str]], indices: Sequence[int], settings: Sequence[Any]) -> None:
    """Adds to each arm those of its settings that differ between the arms."""
    for key in dict.fromkeys(k for some in settings for k in some):
        values = [some.get(key, ABSENT) for some in settings]
        if all(v == values[0] for v in values):
            continue
        first: dict[str, Any] = {}
        exact = any(v != first.setdefault(show(v), v) for v in values)
        for i, value in zip(indices, values, strict=True):
            if value is not ABSENT:
                added[i][key] = repr(value) if exact else show(value)


def _text(described: Described, added: Mapping[str, str]) -> str:
    own = described.own
    behind = [f"{k}={v}" for k, v in added.items() if k in own]
    notes = [*described.notes, *(f"{k}={v}" for k, v in added.items() if k not in own)]
    text = " ".join([described.name, *behind])
    return f"{text} ({', '.join(notes)})" if notes else text
