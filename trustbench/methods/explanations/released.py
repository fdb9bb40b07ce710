"""The meaning of released attributions, and what they say about a feature or patch.

A *slope* says how fast the output changes in a column; a *contribution* how much of the output
the column accounts for. LIME on columns and plain gradients are slopes; SHAP, integrated
gradients and LIME on patches are contributions. *Changes* are counterfactual explanations: by how
much a column has to change; readers of contributions see how large they are. Systems say which in
the fact `attributions`.
"""

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from trustbench.contracts import Array, System
from trustbench.contracts.system import Explainer, Intervals
from trustbench.methods.explanations.image_neighbourhood import Patches
from trustbench.methods.explanations.lime_surrogate import Stream, flatten
from trustbench.methods.explanations.neighbourhood_base import Neighbourhood

Meaning = Literal["slopes", "contributions", "changes"]
FACT = "attributions"


def release(
    system: System, explainer: Explainer, meaning: Meaning, intervals: Intervals | None = None
) -> System:
    """Opens `explainer`. Intervals around other attributions are withdrawn."""
    facts = {**system.facts, FACT: meaning}
    return replace(system, explainer=explainer, intervals=intervals, facts=facts)


def lime_meaning(area: Neighbourhood) -> Meaning:
    """The meaning of a LIME coefficient in this neighbourhood."""
    return "contributions" if isinstance(area, Patches) else "slopes"


def part_effects(system: System, area: Neighbourhood, attributions: Tensor, X: Tensor) -> Tensor:
    """What each part adds over its baseline, [R, n, parts], by released attributions [R, n, d].

    A slope contributes slope (x - baseline). A system that does not state the meaning of its
    attributions released LIME's.

    Args:
        system: the system whose explanations these are.
        area: provides the parts and their baseline.
        attributions: the attributions released at X.
        X: the rows [n, *shape] or [R, n, *shape].
    """
    values = attributions.double()
    if system.facts.get(FACT, lime_meaning(area)) == "slopes":
        values = values * (flatten(system, X) - area.baseline.to(X.dtype)).double()
    zero = values.new_zeros((*values.shape[:-1], area.parts))
    return zero.index_add_(-1, area.part, values)


def explained_points(system: System, points: int) -> tuple[Tensor, Array]:
    """(X [m, *shape], rows [m]): the first test rows, which all evaluators of explanations use."""
    X = system.problem.rows("test")[0]
    rows = system.streams.numpy("explanations", Stream.POINTS).permutation(len(X))[:points]
    return system.tensor(X[rows]), rows


def clipped(values: Tensor, bound: float, order: int) -> Tensor:
    """Scales down vectors over the last axis whose norm of that order exceeds `bound`.

    >>> clipped(torch.tensor([[3.0, 4.0], [0.3, 0.4]]), 1.0, 2)
    tensor([[0.6000, 0.8000],
            [0.3000, 0.4000]])
    """
    norm = values.norm(p=order, dim=-1, keepdim=True)
    return values * torch.clamp(bound / norm.clamp(min=torch.finfo(values.dtype).tiny), max=1.0)
