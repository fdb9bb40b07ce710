"""Agreement of two sets of attributions: rank correlation, and overlap of the top places."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from trustbench.contracts import Array, System
from trustbench.methods.attacks.evasion.saliency import overlap, top
from trustbench.methods.explanations.gradients import gradient_x_input, saliency
from trustbench.methods.explanations.lime_surrogate import Lime, Stream, flatten

GradientMethod = Literal["gradient_x_input", "saliency"]
# A mean over fewer points is not reported.
FEWEST = 5


def ranks(values: Tensor) -> Tensor:
    """Ranks 1..d over the last axis [..., d]; equal values share the mean of their ranks.

    >>> ranks(torch.tensor([0.5, 0.0, 0.5, -1.0])).tolist()
    [3.5, 2.0, 3.5, 1.0]
    """
    ordered, order = values.sort(dim=-1)
    fresh = torch.ones_like(ordered, dtype=torch.int64)
    fresh[..., 1:] = (ordered[..., 1:] != ordered[..., :-1]).long()
    run = fresh.cumsum(-1) - 1  # which run of equal values each place belongs to
    place = torch.arange(1.0, values.shape[-1] + 1, dtype=torch.float64, device=values.device)
    zero = torch.zeros(values.shape, dtype=torch.float64, device=values.device)
    total = zero.scatter_add(-1, run, place.expand(values.shape))
    size = zero.scatter_add(-1, run, torch.ones_like(zero))
    shared = (total / size.clamp(min=1)).gather(-1, run)
    return torch.empty_like(shared).scatter_(-1, order, shared)


def spearman(a: Tensor, b: Tensor) -> Tensor:
    """Rank correlation over the last axis, [..., d] and [..., d] -> [...]; ties by mean rank.

    NaN if either side is constant, since it then ranks nothing.

    Reference: Spearman 1904, American Journal of Psychology 15(1); Kendall 1945, Biometrika
    33(3) (ties).

    >>> x = torch.tensor([3.0, 1.0, 2.0])
    >>> spearman(x, x.exp()).item(), spearman(x, torch.ones(3)).item()
    (1.0, nan)
    """
    x, y = (r - r.mean(-1, keepdim=True) for r in (ranks(a), ranks(b)))
    size = (x.square().sum(-1) * y.square().sum(-1)).sqrt()
    return torch.where(size > 0, ((x * y).sum(-1) / size).clamp(-1, 1), torch.nan)


def top_overlap(a: Tensor, b: Tensor, k: int) -> Tensor:
    """The fraction [...] that the k largest |attributions| of a and b [..., d] have in common.

    NaN if either side is constant in size and thus ranks nothing.
    """
    dull = (a.abs().amax(-1) == a.abs().amin(-1)) | (b.abs().amax(-1) == b.abs().amin(-1))
    return torch.where(dull, torch.nan, overlap(top(a, k), top(b, k)).double())


@dataclass(frozen=True)
class Explained:
    """Explanations of some rows by a system."""

    values: Tensor  # [R, n, parts]: an attribution per feature (or patch)
    classes: Tensor  # int64 [R, n]: the explained prediction

    def with_same_prediction(self, other: "Explained") -> Tensor:
        """Where both explain the same class, bool [R, n]: only there can reasons be compared."""
        return self.classes == other.classes

    def spearman(self, other: "Explained") -> Tensor:
        """Rank agreement [R, n]; NaN if predictions differ or a side is constant."""
        same = self.with_same_prediction(other)
        return torch.where(same, spearman(self.values, other.values), torch.nan)

    def top_overlap(self, other: "Explained", k: int) -> Tensor:
        """Shared top places [R, n]; NaN if predictions differ or a side ranks nothing."""
        same = self.with_same_prediction(other)
        return torch.where(same, top_overlap(self.values, other.values, k), torch.nan)


def by_gradient(system: System, X: Tensor, method: GradientMethod) -> Explained:
    """Gradient attributions of X [n, *shape] or [R, n, *shape], one number per feature.

    Gradients are those of the logit margin of each replicate's own prediction.

    The columns of a one-hot feature are summed for gradient x input (effects add up), and give
    their largest size for saliency (Simonyan et al. 2013, arXiv 1312.6034, section 3.1, which
    takes the largest over colour channels).
    """
    part = np.zeros(system.problem.n_features, dtype=np.int64)
    for k, feature in enumerate(system.problem.features):
        part[list(feature.columns)] = k
    explain = gradient_x_input if method == "gradient_x_input" else saliency
    columns = explain(system, X, "margin")
    columns = columns if method == "gradient_x_input" else columns.abs()
    index = system.tensor(part).expand(columns.shape)
    how = "sum" if method == "gradient_x_input" else "amax"
    zero = columns.new_zeros((*columns.shape[:-1], len(system.problem.features)))
    values = zero.scatter_reduce(-1, index, columns, reduce=how)
    return Explained(values, system.logits(X).argmax(-1))


def by_lime(system: System, X: Tensor, lime: Lime, stream: Stream) -> Explained:
    """LIME's effect of each feature or patch over its baseline, for X [n, *shape]."""
    area = lime.neighbourhood(system)
    coefficients = area.collect(lime.attributions(system, area, X, stream)).double()
    return Explained(area.effects(coefficients, flatten(system, X)), system.logits(X).argmax(-1))


def mean_over_points(values: Tensor) -> Array | str:
    """Means [R] over the points of values [R, n] that are not NaN, or the reason for none."""
    numbers = values.double().cpu().numpy()
    kept = (~np.isnan(numbers)).sum(axis=1)
    if (kept < min(FEWEST, numbers.shape[1])).any():
        return (
            f"attributions are constant or explain different predictions at all but {kept.min()} "
            f"of {numbers.shape[1]} points of a replicate; a mean needs {FEWEST}"
        )
    return np.asarray(np.nanmean(numbers, axis=1))
