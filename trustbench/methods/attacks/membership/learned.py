"""An attack model learned on the outputs of shadow models, for attacks with several features."""

import numpy as np

from trustbench.contracts import Array
from trustbench.methods.attacks.membership.shadows import folds

# Small trees: with the usual 31 leaves, an idle feature lowers the score of the attack. The leaf is
# small enough to hold the few rows that a memorising model gets wrong.
TREE = {"max_leaf_nodes": 4, "min_samples_leaf": 20}
# Targets of a fold share one attack model. The settings keep the columns of the A/A experiment at
# their level on silobank and digits in both regimes (docs/statistics.md).
SHARED_ATTACKER = 1.25


def learned_scores(features: Array, member: Array, iterations: int) -> Array:
    """Log-odds of membership [R, n] from features [R, n, F], by boosted trees on the other fold.

    Two attack models are trained, one on each of the `folds`. A replicate is scored by the model
    that saw neither it nor its complementary partner.

    Reference: Shokri et al. 2017, arXiv 1610.05820, section V.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    fold = folds(member)
    values = np.zeros(member.shape)
    for side in (0, 1):
        shadow, target = fold != side, fold == side
        model = HistGradientBoostingClassifier(
            max_iter=iterations, early_stopping=False, random_state=0, **TREE
        )
        model.fit(features[shadow].reshape(-1, features.shape[2]), member[shadow].ravel())
        odds = model.decision_function(features[target].reshape(-1, features.shape[2]))
        values[target] = odds.reshape(target.sum(), -1)
    return values


def learnable(member: Array) -> str | None:
    """Returns a reason if there are not two folds to learn on and to attack, else None."""
    if folds(member).max() > 0:
        return None
    return (
        "needs shadow models besides the target and its complementary partner; "
        f"protocol.replicates={len(member)} leaves none, give at least 4"
    )
