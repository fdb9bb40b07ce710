"""The target of a local surrogate: the logit margin, or the probability, of one class."""

from typing import Literal

import torch
from torch import Tensor

Target = Literal["margin", "probability"]


def target_values(logits: Tensor, classes: Tensor, target: Target) -> Tensor:
    """Selects the target of each row's own class: [R, n, s, C], int64 [R, n] -> [R, n, s].

    The margin is log(p / (1 - p)). A probability saturates but a margin does not, so the margin is
    the default of all explainers.

    >>> p = torch.tensor([0.8, 0.2]).log().view(1, 1, 1, 2)
    >>> round(float(target_values(p, torch.zeros(1, 1, dtype=torch.int64), "margin")), 4)
    1.3863
    """
    index = classes[..., None, None].expand(*logits.shape[:3], 1)
    chosen = logits.gather(-1, index).squeeze(-1)
    if target == "probability":
        return (chosen - logits.logsumexp(-1)).exp()
    return chosen - logits.scatter(-1, index, -torch.inf).logsumexp(-1)
