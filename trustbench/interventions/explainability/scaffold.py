"""A biased model that hides its bias from LIME: a negative control, not a defence."""

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from trustbench.contracts import Fact, Intervention, Problem, Read, Schedule, System
from trustbench.contracts.aspects import Aspect
from trustbench.methods.explanations.scaffold import (
    Detector,
    Rule,
    biased_rule,
    decoy_rule,
    numeric_features,
    perturbed,
    sensitive_feature,
)


@dataclass(frozen=True)
class Scaffold(Intervention):
    """Replaces the model by one that decides by the sensitive attribute alone and hides it.

    This shows how explanations can be abused; never deploy it. Rows that a forest considers real
    are decided by the attribute: favourably for levels whose rate of class 1 is above average in
    the pool. Rows that look like LIME's perturbations are decided by a `decoy` (a number; by
    default the one least correlated with the bias), which is what LIME then reports. `hide` false
    deploys the same biased rule openly, as the honest counterpart.

    The trained replicates are not used: all of them are this one function. Outputs jump where the
    detector changes its decision, and gradients there are one-sided, so gradient attacks see only
    the biased rule. The detector knows LIME's default noise on numbers; other explainers may not be
    fooled.

    Reference: Slack et al. 2020, arXiv 1911.02508, section 3.
    """

    hide: bool = True
    decoy: str | None = None
    trees: Annotated[int, Field(ge=1)] = 30
    copies: Annotated[int, Field(ge=1)] = 3

    version: ClassVar[int] = 2
    aspect: ClassVar[Aspect] = Aspect.EXPLAINABILITY
    reads_rows: ClassVar = (
        Read("pool", "a rule and a forest fitted to rows", into="model"),
        Read("validation", "the share of rows that pass for real", into="answers"),
    )
    deploys: ClassVar = "outputs"
    reference: ClassVar[str] = "Slack et al. 2020, arXiv 1911.02508"
    dose: ClassVar[tuple[str, ...]] = ("hide",)

    @override
    def supports(self, problem: Problem, schedule: Schedule) -> str | None:
        numbers = [f.name for f in numeric_features(problem)]
        if not problem.binary or sensitive_feature(problem) is None:
            return (
                f"needs two classes and the attribute {problem.group_name!r} among the "
                f"categorical inputs, which {problem.name} does not have"
            )
        if not numbers:
            return f"needs a numeric input to hide behind, which {problem.name} does not have"
        if self.decoy is not None and self.decoy not in numbers:
            return f"decoy={self.decoy} is not a numeric input; available: {', '.join(numbers)}"
        return None

    @override
    def deploy(self, system: System) -> System:
        sensitive = sensitive_feature(system.problem)
        assert sensitive is not None  # `supports` has checked this
        biased, favoured = biased_rule(system, sensitive)
        facts: dict[str, Fact] = {
            "scaffold_sensitive": sensitive.name,
            "scaffold_favours": ", ".join(favoured),
        }
        if not self.hide:
            return replace(
                system,
                forward=lambda X: _logits(system, biased.margin(X)),
                facts={**system.facts, **facts},
            )
        decoy, name = decoy_rule(system, sensitive, self.decoy)
        detector = Detector.fitted(system, self.trees, self.copies)
        facts |= {"scaffold_decoy": name, **_seen(system, detector)}
        return replace(
            system,
            forward=lambda X: _logits(system, _hidden(detector, biased, decoy, X)),
            facts={**system.facts, **facts},
        )


def _hidden(detector: Detector, biased: Rule, decoy: Rule, X: Tensor) -> Tensor:
    """The margin [..., n] of the rule that applies to each row of X [..., n, d]."""
    return torch.where(detector.real(X), biased.margin(X), decoy.margin(X))


def _logits(system: System, margin: Tensor) -> Tensor:
    """Logits [R, n, 2] of margins [n] or [R, n]."""
    both = torch.stack([-margin / 2, margin / 2], dim=-1)
    return both.expand(system.replicates, *both.shape[-2:])


def _seen(system: System, detector: Detector) -> dict[str, Fact]:
    """The shares of unseen rows, and of their perturbations, that are classified as real."""
    rows = system.problem.rows("validation")[0]
    moved = rows.copy()
    rng = system.streams.numpy("explanations", "detector_check")
    moved[:, detector.columns] = perturbed(moved[:, detector.columns], rng)
    kinds = {"scaffold_real_passes": rows, "scaffold_perturbed_passes": moved}
    passes = {k: detector.real(system.tensor(X)).double().mean() for k, X in kinds.items()}
    return {k: float(share) for k, share in passes.items()}
