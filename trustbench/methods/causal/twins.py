"""The same people at every level of the sensitive variables."""

import numpy as np

from trustbench.contracts import Array, StructuralCausalModel


def twins(scm: StructuralCausalModel, X: Array) -> Array:
    """The counterfactuals [L, n, d] of people X [n, d] at each of the model's L levels.

    One of them is the person as they are, up to rounding.
    """
    Q, columns = scm.latent(X), list(scm.sensitive)
    found = []
    for level in scm.levels():
        other = Q.copy()
        other[:, columns] = level
        found.append(scm.from_latent(other))
    return np.stack(found).astype(X.dtype)
