"""Membership attacks other than LiRA, from the weakest up, and their bound of epsilon."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field
from typing_extensions import override

from trustbench.contracts import (
    Array,
    Measured,
    Metric,
    Need,
    System,
    attack_auc,
)
from trustbench.evaluators._membership import MembershipEvaluator
from trustbench.methods.attacks import membership as mia

# Sorted log-probabilities that the learned attack reads (Salem et al. 2019: three are enough).
LARGEST = 3
ONE_TARGET = "needs several targets of the same recipe, and there is one"


@dataclass(frozen=True)
class MembershipAttacks(MembershipEvaluator):
    """A second opinion on what the released confidences reveal, one attacker at a time.

    `rmia_auc` and `rmia_offline_auc`: RMIA with the replicates as references and the calibration
    rows, on which no model was trained, as its population. `shadow_auc`: a classifier of outputs,
    learned on half of the pairs of replicates. `label_only_auc`: only whether the label is right,
    the floor of all attacks. `loss_advantage`: balanced accuracy minus one half of the loss
    threshold that was best on the other replicates.

    `epsilon_lower` is measured: the epsilon that the decisions of the strongest attack contradict,
    with attack and threshold chosen on other models (see `membership.strongest`).
    `epsilon_accounted` is the arm's own claim, an upper bound and a fact; the two are never
    subtracted.

    `gamma`, `offline_a`: of RMIA. `iterations`: trees of the learned attack. `confidence`: of
    `epsilon_lower`. `delta` null: the arm's own, or 0 if it claims none.

    Reference: Zarifzadeh et al. 2024, arXiv 2312.03262 (RMIA); Shokri et al. 2017, arXiv
    1610.05820; Yeom et al. 2018, arXiv 1709.01604 (label and loss); Nasr et al. 2021, arXiv
    2101.04535 (bound).
    """

    gamma: Annotated[float, Field(ge=1)] = 1.0
    offline_a: Annotated[float, Field(ge=0, le=1)] = 0.3
    iterations: Annotated[int, Field(ge=1)] = 80
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
    delta: Annotated[float, Field(ge=0, lt=1)] | None = None

    version: ClassVar[int] = 5
    reads: ClassVar[frozenset[str]] = frozenset({"forward", "interface"})
    needs: ClassVar[frozenset[Need]] = frozenset({"shadows"})
    reference: ClassVar[str] = "Zarifzadeh et al. 2024, arXiv 2312.03262"
    metrics = (
        attack_auc(
            "rmia_auc",
            "How well an attacker who compares with reference models tells members from others.",
        ),
        attack_auc(
            "rmia_offline_auc",
            "How well an attacker whose reference models never saw the row tells members from "
            "others.",
        ),
        attack_auc(
            "shadow_auc",
            "How well a classifier trained on other models' answers tells members from others.",
        ),
        attack_auc(
            "label_only_auc",
            "How well an attacker who sees only whether a label is right tells members apart.",
        ),
        Metric(
            "loss_advantage",
            "How much better than a coin an attacker with one threshold on the loss guesses.",
            "balanced accuracy - 1/2",
            better="lower",
            lower=-0.5,
            upper=0.5,
            null=0.0,
        ),
        # A bound, and mostly 0: no effect is read from its differences.
        Metric(
            "epsilon_lower",
            "The privacy loss that the best attack has shown; a guarantee below it is refuted.",
            "nats",
            better="lower",
            lower=0.0,
            null=0.0,
            diagnostic=True,
        ),
    )

    @override
    def measure(self, system: System) -> Measured:
        y = system.problem.rows("train")[1]
        logits = mia.released_logits(system, system.split_logits("train"))
        seen = mia.Observed.of(system)
        out, phi = seen.report(self.measurement), seen.phi[: seen.targets]
        self._rmia(out, seen)
        self._learned(out, logits, phi, y)
        self._thresholds(out, system, phi, y)
        self._epsilon(out, seen, system)
        return out.measured()

    def _rmia(self, out: mia.Report, seen: mia.Observed) -> None:
        for name, a in (("rmia_auc", None), ("rmia_offline_auc", self.offline_a)):
            scores = seen.rmia(gamma=self.gamma, offline_a=a)
            out.auc(name, scores)
            out.facts["shadows"] = scores.shadows
        out.facts |= {"rmia_gamma": self.gamma, "rmia_population": seen.population.shape[1]}

    def _learned(self, out: mia.Report, logits: Array, phi: Array, y: Array) -> None:
        reason = ONE_TARGET if len(out.member) == 1 else mia.learnable(out.member)
        if reason is not None:
            out.missing["shadow_auc"] = reason
            return
        total = np.logaddexp.reduce(logits.astype(np.float64), axis=2, keepdims=True)
        largest = -np.sort(total - logits, axis=2)[..., :LARGEST]
        label = np.broadcast_to(y, phi.shape)[..., None]
        features = np.concatenate([phi[..., None], largest, label], axis=2)
        scores = mia.learned_scores(features, out.member, self.iterations)
        aucs = mia.aucs(scores, out.member)
        out.add("shadow_auc", aucs, widening=mia.SHARED_ATTACKER)

    def _thresholds(self, out: mia.Report, system: System, phi: Array, y: Array) -> None:
        shown = system.observed(system.split_logits("train")).argmax(-1).cpu().numpy()
        right = (shown == y).astype(np.float64)
        aucs = mia.aucs(right, out.member)
        out.add("label_only_auc", aucs)
        everywhere = np.ones(right.shape, dtype=bool)
        out.by_rows["label_only_auc"] = mia.Scores(right, everywhere, 0, "equal"), mia.auc
        if all(mia.shadows_of(out.member, r).any() for r in range(len(phi))):
            found = mia.advantage(-mia.losses(phi), out.member)
            out.add("loss_advantage", found, widening=mia.SHARED_PAIRS)
        else:
            reason = ONE_TARGET if len(phi) == 1 else mia.no_shadows(len(phi))
            out.missing["loss_advantage"] = reason

    def _epsilon(self, out: mia.Report, seen: mia.Observed, system: System) -> None:
        """The measured bound, and the claim of the arm's own accountant as a fact."""
        claimed = system.facts.get("delta")
        delta = self.delta if self.delta is not None else float(claimed or 0.0)
        attack = seen.strongest
        found = None
        if attack is not None:
            found = mia.audit(attack, out.member, delta=delta, confidence=self.confidence)
        out.facts |= {
            "epsilon_lower_confidence": self.confidence,
            "epsilon_lower_delta": delta,
            "epsilon_accounted": system.facts.get("epsilon"),
            "epsilon_accounted_delta": claimed,
            "epsilon_accountant": system.facts.get("accountant"),
        }
        if attack is None or found is None:
            out.missing["epsilon_lower"] = mia.no_shadows(seen.targets, least=mia.LEAST)
            return
        out.facts["epsilon_lower_attack"] = attack.chosen
        out.add("epsilon_lower", found.values, n=found.n)
        out.facts["epsilon_lower_pooled"] = found.pooled
