"""A search for tables: it changes one column after another to the value that hurts most."""

import torch
from torch import Tensor

from trustbench.contracts import Forward
from trustbench.methods.attacks.evasion.box import ThreatModel
from trustbench.methods.attacks.evasion.pgd import Worst, margin

# Inputs that are scored at once.
AT_ONCE = 2**16


def column_search(
    forward: Forward, X: Tensor, y: Tensor, threat: ThreatModel, *, values: int, rounds: int
) -> Worst:
    """Greedy search over the columns that the threat leaves free, for the `linf` norm.

    Each of `rounds` rounds tries `values` values for every free column, from its lowest to its
    highest allowed one, and keeps the single change with the worst margin. Trees answer in steps:
    a change within the radius may matter where its ends do not, which attacks that always go to
    the ends miss.

    Args:
        forward: logits [R, n, C] of inputs [R, n, *shape].
        X: clean inputs [R, n, *shape].
        y: true labels, int64 [n].
        threat: the radius, the free columns and their bounds.
        values: values per column, 2 or more: 2 are the ends.
        rounds: the maximum number of columns that change.

    Reference: Simonetto et al. 2024, arXiv 2408.07579, section 2 (boxes and immutable columns of
    tabular data); Kireev et al. 2023, arXiv 2208.13058 (greedy search over columns).
    """
    if threat.norm != "linf":
        raise ValueError("column_search moves columns independently; use the linf norm")
    with torch.no_grad():
        worst = Worst(X, margin(forward(X), y))
        flat, shape = X.flatten(2), X.shape[2:]
        low, high = (b.flatten(2) for b in threat.bounds(X))
        free = torch.nonzero(threat.weight.flatten() > 0).squeeze(1)
        share = torch.linspace(0, 1, values, dtype=X.dtype, device=X.device)
        for _ in range(rounds):
            if bool(worst.fooled.all()):
                break
            before = worst.X.flatten(2)
            for column in free.split(max(1, AT_ONCE // (values * flat.shape[1]))):
                tried = before[:, :, None, None].repeat(1, 1, len(column), values, 1)
                ends = low[..., column, None], high[..., column, None]
                grid = ends[0] + share * (ends[1] - ends[0])  # [R, n, columns, values]
                index = column[:, None, None].expand(*tried.shape[:3], values, 1)
                tried.scatter_(-1, index, grid[..., None])
                candidates = tried.flatten(2, 3)  # [R, n, k, d]
                R, n, k, _ = candidates.shape
                logits = forward(candidates.reshape(R, n * k, *shape)).unflatten(1, (n, k))
                score, best = margin(logits, y[..., None]).max(-1)
                chosen = candidates.gather(2, best[..., None, None].expand(R, n, 1, flat.shape[2]))
                worst.offer(chosen.squeeze(2).view_as(X), score)
    return worst
