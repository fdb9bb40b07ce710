"""What a released explanation or set adds to what a membership attacker already has."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field
from typing_extensions import override

from trustbench.contracts import Array, Measured, System, attack_auc, attack_rate
from trustbench.evaluators._membership import MembershipEvaluator
from trustbench.methods.attacks import membership as mia
from trustbench.methods.conformal import uninformative

RATE = 0.01
SMALLEST = 1e-12  # below it a logarithm means nothing; an attribution may be 0
CHANNELS = {
    "explanation": "needs released explanations (intervention=saliency or lime)",
    "set": "needs released prediction sets (intervention=conformal)",
}


@dataclass(frozen=True)
class AttackerViews(MembershipEvaluator):
    """The same learned attack from several views of the same answers (E -> P, U -> P).

    `label`: the predicted and the true class, and whether they agree. `confidence`: also the
    released logit confidence of the true label and the largest probability. Either alone, then
    with the released explanation (variance, L1 norm and largest magnitude of the attributions)
    or with the released sets (size, and whether the true label is in it, of each score).

    The leakage of a channel is the difference between a view with it and the same view with the
    channel of other rows: `auc_<view>_shuffled` is the null, in which rows of one label and one
    prediction exchange the content of the channel. An attacker with more features fits more noise,
    so a view without the channel is not the null of one with it. A view with few distinct answers
    has no threshold at a low false-positive rate, so that its `tpr_1` is 0: compare AUCs.

    An attack model is learned on half of the pairs of replicates and attacks the others, so it
    never learns from the target or its complementary partner.

    `points` is the number of attacked pool rows, with the pool's class shares. `iterations` is the
    number of trees.

    Reference: Shokri et al. 2021, arXiv 1907.00164 (explanations); Huang et al. 2024 (norms of
    attributions); Zhu et al. 2025, arXiv 2402.10686 (sets).
    """

    points: Annotated[int, Field(ge=4)] = 600
    iterations: Annotated[int, Field(ge=1)] = 80

    version: ClassVar[int] = 5
    reads: ClassVar[frozenset[str]] = frozenset(
        {"forward", "interface", "explainer", "set_predictors"}
    )
    reference: ClassVar[str] = "Shokri et al. 2021, arXiv 1907.00164"
    metrics = (
        attack_auc(
            "auc_<label|confidence>",
            "How well an attacker who sees predictions alone tells members from others.",
            diagnostic=True,
        ),
        attack_auc(
            "auc_label_explanation",
            "How well an attacker who sees labels and explanations tells members from others.",
            null="auc_label_explanation_shuffled",
        ),
        attack_auc(
            "auc_label_set",
            "How well an attacker who sees labels and prediction sets tells members from others.",
            null="auc_label_set_shuffled",
        ),
        attack_auc(
            "auc_confidence_explanation",
            "How well an attacker who sees confidences and explanations tells members from others.",
            null="auc_confidence_explanation_shuffled",
        ),
        attack_auc(
            "auc_confidence_set",
            "How well an attacker who sees confidences and sets tells members from others.",
            null="auc_confidence_set_shuffled",
        ),
        attack_auc(
            "auc_<label|confidence>_<explanation|set>_shuffled",
            "How well an attacker tells members from others who sees what belongs to other rows.",
            diagnostic=True,
        ),
        attack_rate(
            "tpr_1_<label|confidence>",
            "How many members an attacker who sees predictions alone finds at 1 % false alarms.",
            null=0.01,
            diagnostic=True,
        ),
        attack_rate(
            "tpr_1_<label|confidence>_<explanation|set>",
            "How many members an attacker who sees explanations or sets too finds at 1 % false "
            "alarms.",
            null=0.01,
        ),
    )

    @override
    def supports(self, system: System) -> str | None:
        return super().supports(system) or mia.learnable(system.membership)

    @override
    def measure(self, system: System) -> Measured:
        y = system.problem.rows("train")[1]
        rows = _stratified(y, self.points, system.streams.numpy("attacks", "views_points"))
        out = mia.Report(system.membership[:, rows], self.measurement)
        parts, silent = _parts(system, rows)
        for base in ("label", "confidence"):
            for channel in (None, *CHANNELS):
                view = base if channel is None else f"{base}_{channel}"
                if channel is not None and channel not in parts:
                    names = (f"auc_{view}", f"tpr_1_{view}", f"auc_{view}_shuffled")
                    out.missing |= dict.fromkeys(names, silent.get(channel, CHANNELS[channel]))
                    continue
                seen = parts["label"] + (parts[base] if base != "label" else [])
                added = parts[channel] if channel is not None else []
                scores = self._attack(out.member, seen + added)
                out.auc(f"auc_{view}", scores)
                out.tpr(f"tpr_1_{view}", scores, RATE)
                if channel is not None:
                    idle = self._attack(out.member, seen + _shuffled(system, parts, channel))
                    out.auc(f"auc_{view}_shuffled", idle)
        out.facts |= {"points": len(rows), "iterations": self.iterations}
        return out.measured()

    def _attack(self, member: Array, seen: list[Array]) -> mia.Scores:
        """The learned attack on features [R, n] each."""
        values = mia.learned_scores(np.stack(seen, axis=2), member, self.iterations)
        usable = np.ones(values.shape, dtype=bool)
        return mia.Scores(values, usable, len(values) // 2, "equal", mia.SHARED_ATTACKER)


def _shuffled(system: System, parts: dict[str, list[Array]], channel: str) -> list[Array]:
    """The content of the channel for other rows with the same label and prediction, [R, n] each."""
    _, predicted, label = parts["label"]
    out = [np.array(values) for values in parts[channel]]
    for r in range(len(predicted)):
        rng = system.streams.numpy("controls", r, "other_rows")
        cell = np.stack([label[r], predicted[r]], axis=1)
        for of in np.unique(cell, axis=0):
            rows = np.flatnonzero((cell == of).all(axis=1))
            other = rng.permutation(rows)
            for values in out:
                values[r, rows] = values[r, other]
    return out


def _parts(system: System, rows: Array) -> tuple[dict[str, list[Array]], dict[str, str]]:
    """The content of each open channel for the pool rows, features [R, n] by part of a view.

    Also returns why an open channel carries no information.
    """
    X, y, group = (values[rows] for values in system.problem.rows("train"))
    x = system.tensor(X)
    logits = system.split_logits("train")[:, system.tensor(rows)]
    released = mia.released_logits(system, logits)
    # a coarse interface may tie classes; the predicted label is released with any of them
    predicted = logits.argmax(-1).cpu().numpy()
    label = np.broadcast_to(y, predicted.shape)
    top = released.max(2) - np.logaddexp.reduce(released.astype(np.float64), axis=2)
    parts = {
        "label": [predicted == label, predicted, label],
        "confidence": [mia.logit_confidence(released, y), top],
    }
    if system.explainer is not None:
        parts["explanation"] = _sizes(system.explain(x).double().cpu().numpy())
    silent: dict[str, str] = {}
    for score in system.set_predictors:
        sets = system.sets(x, score, group)
        reason = uninformative(system, score, sets)
        if reason is not None:
            silent["set"] = reason
            continue
        told = sets.cpu().numpy()
        parts.setdefault("set", []).extend([told.sum(2), told[:, np.arange(len(y)), y]])
    return parts, silent


def _sizes(attributions: Array) -> list[Array]:
    """log10 of variance, L1 norm and largest magnitude of attributions [R, n, d]."""
    magnitude = np.abs(attributions)
    found = (attributions.var(2), magnitude.sum(2), magnitude.max(2))
    return [np.log10(np.maximum(values, SMALLEST)) for values in found]


def _stratified(y: Array, points: int, rng: np.random.Generator) -> Array:
    """At most `points` rows of labels y [n], each class with its share (within a row)."""
    order = rng.permutation(len(y))
    by_class = order[np.argsort(y[order], kind="stable")]
    chosen = np.linspace(0, len(y) - 1, min(points, len(y))).round().astype(int)
    return np.asarray(by_class[chosen])
