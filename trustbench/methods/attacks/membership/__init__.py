"""Membership inference in which the replicates are each other's shadow models."""

from trustbench.methods.attacks.membership.auditing import Audit, Counts, audit, clopper_pearson
from trustbench.methods.attacks.membership.candidates import Observed, models_of
from trustbench.methods.attacks.membership.dependence import Statistic, shadowing, widened
from trustbench.methods.attacks.membership.grouped import group_aucs, over_groups
from trustbench.methods.attacks.membership.learned import SHARED_ATTACKER, learnable, learned_scores
from trustbench.methods.attacks.membership.likelihood import (
    PER_EXAMPLE_SHADOWS,
    SHARED_PAIRS,
    TINY,
    Scores,
    Variance,
    joint_lira,
    lira,
)
from trustbench.methods.attacks.membership.metrics import (
    allowed,
    auc,
    aucs,
    each,
    fewest_outside,
    large_groups,
    needs_groups,
    no_non_members,
    no_shadows,
    oracle_balanced_accuracy,
    resolves,
    smallest_side,
    tpr_at,
    unresolved,
    within,
)
from trustbench.methods.attacks.membership.relative import rmia
from trustbench.methods.attacks.membership.report import Report
from trustbench.methods.attacks.membership.shadows import folds, shadows_of
from trustbench.methods.attacks.membership.signals import (
    logit_confidence,
    loss_gap,
    losses,
    released_logits,
    true_probability,
)
from trustbench.methods.attacks.membership.strongest import LEAST, Strongest, strongest
from trustbench.methods.attacks.membership.thresholds import (
    advantage,
    balanced_accuracy,
    best_threshold,
)

__all__ = [
    "LEAST",
    "PER_EXAMPLE_SHADOWS",
    "SHARED_ATTACKER",
    "SHARED_PAIRS",
    "TINY",
    "Audit",
    "Counts",
    "Observed",
    "Report",
    "Scores",
    "Statistic",
    "Strongest",
    "Variance",
    "advantage",
    "allowed",
    "auc",
    "aucs",
    "audit",
    "balanced_accuracy",
    "best_threshold",
    "clopper_pearson",
    "each",
    "fewest_outside",
    "folds",
    "group_aucs",
    "joint_lira",
    "large_groups",
    "learnable",
    "learned_scores",
    "lira",
    "logit_confidence",
    "loss_gap",
    "losses",
    "models_of",
    "needs_groups",
    "no_non_members",
    "no_shadows",
    "oracle_balanced_accuracy",
    "over_groups",
    "released_logits",
    "resolves",
    "rmia",
    "shadowing",
    "shadows_of",
    "smallest_side",
    "strongest",
    "tpr_at",
    "true_probability",
    "unresolved",
    "widened",
    "within",
]
