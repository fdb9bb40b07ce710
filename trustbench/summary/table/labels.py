"""The names of arms and their doses in every output."""

from collections.abc import Mapping, Sequence
from typing import Any

from trustbench.store.records import PluginSpec


def show(value: Any) -> str:
    """A value as printed in labels."""
    return f"{value:zg}" if isinstance(value, float) else str(value)


def shown(settings: Mapping[str, Any]) -> str:
    """Settings as printed in labels.

    >>> shown({"epsilon": 0.2, "steps": 50})
    'epsilon=0.2 steps=50'
    """
    return " ".join(f"{k}={show(v)}" for k, v in settings.items())


def label_of(interventions: Sequence[PluginSpec]) -> str:
    """Names and doses of an arm: `dpsgd epsilon=3 + pgd_at epsilon=0.1`, or `none`."""
    return " + ".join(_dose_label(i) for i in interventions) or "none"


def _dose_label(spec: PluginSpec) -> str:
    doses = " ".join(f"{k}={show(v)}" for k, v in spec.dose.items() if v is not None)
    return f"{spec.name} {doses}".rstrip()
