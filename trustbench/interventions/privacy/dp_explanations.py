"""Noise on released explanations that makes each of them differentially private."""

import secrets
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from trustbench.contracts import Array, Intervention, Learnt, Problem, Read, Schedule, System
from trustbench.contracts.aspects import Aspect
from trustbench.contracts.seeding import NoiseSource, weaker
from trustbench.errors import ConfigError
from trustbench.methods.explanations.lime_surrogate import flatten
from trustbench.methods.explanations.private_release import Mechanism, MechanismName
from trustbench.methods.explanations.released import clipped


@dataclass(frozen=True)
class PrivateExplanations(Intervention):
    """Clips each released attribution vector to norm `bound` and adds noise.

    The answer to every query, a row and a replicate, is (`epsilon`, `delta`)-differentially private
    with respect to replacing a training row. The privacy ledger composes `queries` releases. The
    guarantee covers the attributions, not the labels and probabilities released with them. Answers
    are memorised: repeating the query gives the same noise; another `repeat` gives other noise and
    counts as another query.

    Intervals become those of the noise, which contain the clipped attribution with probability
    `level` and reveal nothing about the data. Those of the wrapped method would leak.

    `noise`: `seeded` derives the noise of an answer from the run's seed (for research: the
    guarantee is void for anybody who knows the seed); `system` derives it from a key that the
    operating system draws for this deployment and that is never stored.

    Reference: Patel et al. 2022, arXiv 2006.09129 (private explanations, budget over queries);
    Balle and Wang 2018, arXiv 1805.06530 (the Gaussian mechanism).
    """

    mechanism: MechanismName = "gaussian"
    epsilon: Annotated[float, Field(gt=0)] = 1.0
    delta: Annotated[float, Field(gt=0, lt=1)] = 1e-5
    bound: Annotated[float, Field(gt=0)] = 1.0
    queries: Annotated[int, Field(ge=1)] = 100
    level: Annotated[float, Field(gt=0, lt=1)] = 0.95
    noise: NoiseSource = "seeded"

    version: ClassVar[int] = 2
    aspect: ClassVar[Aspect] = Aspect.PRIVACY
    deploys: ClassVar = "release"
    reference: ClassVar[str] = "Patel et al. 2022, arXiv 2006.09129"
    dose: ClassVar[tuple[str, ...]] = ("epsilon",)

    def declares(self, problem: Problem, schedule: Schedule, n_members: int) -> tuple[Read, ...]:
        """Declares `queries` noisy attributions, of any model and by any explainer."""
        own = self._mechanism.released(self.queries)
        return (
            Read(
                "members",
                "clipped attributions",
                "answers",
                own,
                self.delta,
                self.noise,
                covers="explanation",
                beyond=(
                    "labels, probabilities and sets released beside the explanations",
                    f"more than {self.queries} questions",
                    "the rows that are asked about",
                ),
            ),
        )

    @property
    def _mechanism(self) -> Mechanism:
        return Mechanism(self.mechanism, self.epsilon, self.delta, self.bound)

    def deploy(self, system: System) -> System:
        """Returns the system with private attributions; raises ConfigError if it releases none."""
        if system.explainer is None:
            raise ConfigError(
                "dp_explanations adds noise to released explanations, and none are released; "
                "combine it with lime, saliency, kernel_shap or another method that releases them."
            )
        released = system.explainer
        noisy = self._mechanism
        key = _key(system) if self.noise == "system" else None

        def explain(X: Tensor, repeat: int) -> Tensor:
            attributions = clipped(released(X, repeat), self.bound, noisy.order)
            seed: int | bytes = system.streams.entropy("explanations", "private_noise", repeat)
            if key is not None:
                seed = key + repeat.to_bytes(4, "big")
            noise = noisy.noise(_rows(system, X), seed)
            return attributions + system.tensor(noise).to(attributions.dtype)

        def around(X: Tensor, repeat: int) -> tuple[Tensor, Tensor]:
            centre, reach = explain(X, repeat), noisy.reach(self.level)
            return centre - reach, centre + reach

        facts = {
            **system.facts,
            "explanation_mechanism": self.mechanism,
            "explanation_noise": noisy.scale,
            "explanation_epsilon_per_query": self.epsilon,
            "explanation_delta_per_query": self.delta if self.mechanism == "gaussian" else 0.0,
            "explanation_queries": self.queries,
            "dp_noise": weaker(system.facts.get("dp_noise"), self.noise),
        }
        return replace(system, explainer=explain, intervals=around, facts=facts)


def _key(system: System) -> bytes:
    """The secret key of the noise, drawn once for a deployment: equal queries get equal noise."""

    def draw() -> Learnt:
        return Learnt({"key": torch.tensor(list(secrets.token_bytes(32)), dtype=torch.uint8)})

    return bytes(system.learn("key", draw).tensors["key"].tolist())


def _rows(system: System, X: Tensor) -> Array:
    """The rows queried for each replicate, [R, n, d]."""
    flat = flatten(system, X)
    copies: Array = flat.expand(system.replicates, *flat.shape[1:]).detach().cpu().numpy()
    return copies
