"""The front matter of a model card: the YAML document that model hubs index.

Keys and values: hub-docs, modelcard.md, of Hugging Face.
"""

from typing import Any

import yaml

from trustbench.summary.cards.card import Card
from trustbench.summary.cards.figures import Figure
from trustbench.summary.decide.policy import TARGETS
from trustbench.summary.render.escaping import one_line
from trustbench.summary.render.wording import bare


def front_matter(card: Card, licence: str | None = None) -> str:
    """The front matter of a card, between its fences."""
    record = card.record
    arm = record.arm
    aspects = [str(i.aspect) for i in arm.interventions if i.aspect]
    figures = [f for t in TARGETS if (f := _primary(card, t)) is not None]
    data: dict[str, Any] = {"license": licence} if licence else {}
    data |= {
        "library_name": "trustbench",
        "tags": list(dict.fromkeys(["trustbench", *(i.name for i in arm.interventions), *aspects])),
        "datasets": [arm.dataset.name],
        "metrics": [bare(f.metric) for f in figures],
        "model-index": [
            {
                "name": name(card),
                "results": [
                    {
                        "task": {"type": "classification"},
                        "dataset": {
                            "name": arm.dataset.name,
                            "type": arm.dataset.name,
                            "revision": fingerprint(card),
                        },
                        "metrics": [_metric(f) for f in figures],
                        "source": {"name": f"trustbench record {record.id}"},
                    }
                ],
            }
        ],
    }
    return fenced(data)


def fenced(data: dict[str, Any]) -> str:
    """A YAML document between the fences of front matter; every string on one line."""
    text = yaml.safe_dump(_one_line(data), sort_keys=False, allow_unicode=True, width=10**6)
    return f"---\n{text}---\n"


def _metric(f: Figure) -> dict[str, Any]:
    args: dict[str, Any] = {"low": f.mean.low, "high": f.mean.high}
    args |= {"replicates": f.mean.n, "rows": f.rows, **f.settings}
    return {"type": bare(f.metric), "name": f.metric, "value": f.mean.effect, "args": args}


def _one_line(value: Any) -> Any:
    """The value with every string on one line, so that none of them ends the front matter."""
    if isinstance(value, str):
        return one_line(value)
    if isinstance(value, dict):
        return {_one_line(k): _one_line(v) for k, v in value.items()}
    return [_one_line(v) for v in value] if isinstance(value, list) else value


def name(card: Card) -> str:
    """Data set, model and arm."""
    arm = card.record.arm
    control = "" if arm.control == "none" else f" ({arm.control})"
    return f"{arm.dataset.name} / {arm.model.name} / {card.label}{control}"


def fingerprint(card: Card) -> str:
    """The fingerprint of the data."""
    assert card.record.problem is not None  # `card` refuses records without one
    return card.record.problem.fingerprint


def _primary(card: Card, target: str) -> Figure | None:
    return card.figures.get(card.primary[target][0])
