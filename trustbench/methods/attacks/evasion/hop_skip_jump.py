"""A decision-based attack: it sees which class is answered, and neither scores nor gradients."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trustbench.contracts import Forward
from trustbench.methods.attacks.evasion.box import ThreatModel, choose
from trustbench.methods.attacks.evasion.pgd import Worst, margin
from trustbench.methods.random_numbers import draw

# The binary search ends this close to the boundary, as a share of the distance; so does the width
# of the probes around the boundary follow from it.
TOLERANCE = 0.01
SEARCHES = 8
HALVINGS = 10
# Maximum numbers in the probes that are asked about at once.
AT_ONCE = 2**22


@dataclass(frozen=True)
class HopSkipJump:
    """Walks along the decision boundary towards the clean input.

    From a misclassified point anywhere in the features' box, each of `steps` rounds searches the
    boundary on the way to the clean input, estimates its normal from the answers to
    `probes` sqrt(round) random points around it, and moves along the normal as far as the answer
    stays wrong. A point is fooled if the walk ends within the threat's radius.

    Reference: Chen et al. 2020, arXiv 1904.02144, Algorithm 2.
    """

    steps: int = 10
    probes: int = 40
    starts: int = 50

    def __call__(
        self,
        forward: Forward,
        X: Tensor,
        y: Tensor,
        threat: ThreatModel,
        generators: Sequence[torch.Generator],
    ) -> Worst:
        """The closest misclassified inputs; a score of 1 where one lies within the radius, else -1.

        Args:
            forward: logits [R, n, C] of inputs [R, n, *shape]; only their largest entry counts.
            X: clean inputs [R, n, *shape].
            y: true labels, int64 [n] or [R, n].
            threat: the radius, the free columns and their bounds.
            generators: one per replicate.
        """
        with torch.no_grad():
            walk = _Walk(forward, X, y, threat, threat.whole_box().bounds(X), generators)
            found, wrong = walk.start(self.starts)
            for step in range(1, self.steps + 1):
                found = walk.nearer(found, wrong)
                size = threat.size(found - X)
                normal = walk.normal(found, size, round(self.probes * step**0.5))
                found = walk.jump(found, normal, size / step**0.5, wrong)
            found = walk.nearer(found, wrong)
            fooled = wrong & (threat.size(found - X) <= threat.epsilon)
            one = torch.ones_like(X.flatten(2)[:, :, 0])
            return Worst(choose(fooled, found, X), torch.where(fooled, one, -one))


@dataclass(frozen=True)
class _Walk:
    forward: Forward
    X: Tensor
    y: Tensor
    threat: ThreatModel
    box: tuple[Tensor, Tensor]
    generators: Sequence[torch.Generator]

    def wrong(self, X: Tensor) -> Tensor:
        """Which inputs are misclassified, bool [R, n]."""
        return margin(self.forward(X), self.y) >= 0

    def _wrong_each(self, X: Tensor) -> Tensor:
        """Which of k inputs of each point are misclassified, bool [R, k, n]; asked at once."""
        logits = self.forward(X.flatten(1, 2)).unflatten(1, X.shape[1:3])
        y = self.y if self.y.ndim == 1 else self.y[:, None]
        return margin(logits, y) >= 0

    def clip(self, X: Tensor) -> Tensor:
        return torch.maximum(torch.minimum(X, self.box[1]), self.box[0])

    def start(self, tries: int) -> tuple[Tensor, Tensor]:
        """Misclassified points [R, n, *shape], and for which points there is one."""
        found, done = self.X, self.wrong(self.X)
        for _ in range(tries):
            if bool(done.all()):
                break
            share = draw(torch.rand, self.X, self.generators)
            free = (self.threat.weight > 0).to(self.X.dtype)
            point = self.X + free * (self.box[0] + share * (self.box[1] - self.box[0]) - self.X)
            hit = self.wrong(point) & ~done
            found, done = choose(hit, point, found), done | hit
        return found, done

    def nearer(self, found: Tensor, wrong: Tensor) -> Tensor:
        """The misclassified point next to the boundary between the clean input and `found`."""
        low = torch.zeros_like(found.flatten(2)[:, :, 0])
        high = torch.ones_like(low)
        for _ in range(SEARCHES):
            middle = (low + high) / 2
            hit = self.wrong(self._between(found, middle))
            low, high = torch.where(hit, low, middle), torch.where(hit, middle, high)
        closest = self._between(found, high)
        return choose(wrong & self.wrong(closest), closest, found)

    def _between(self, found: Tensor, share: Tensor) -> Tensor:
        """`share` [R, n] of the way: on the line (l2), or in the shrunken box (linf)."""
        size = self.threat.size(found - self.X) * share
        wide = share.reshape(*share.shape, *[1] * (self.X.ndim - 2))
        if self.threat.norm == "l2":
            return self.X + wide * (found - self.X)
        reach = size.reshape(wide.shape) * self.threat.weight
        return torch.maximum(torch.minimum(found, self.X + reach), self.X - reach)

    def normal(self, found: Tensor, size: Tensor, probes: int) -> Tensor:
        """The direction [R, n, *shape] in which the answer stays wrong, in units of the weight."""
        free = (self.threat.weight > 0).to(found.dtype)
        columns = float(free.sum().clamp(min=1))
        width = TOLERANCE * size * (columns if self.threat.norm == "linf" else columns**0.5)
        wide = width.reshape(*width.shape, *[1] * (found.ndim - 2))
        total, signs = torch.zeros_like(found), torch.zeros_like(size)
        sum_of_directions = torch.zeros_like(found)
        left = probes
        while left:
            now = min(left, max(1, AT_ONCE // found.numel()))
            left -= now
            units = [
                self._unit(draw(torch.randn, found, self.generators) * free) for _ in range(now)
            ]
            unit = torch.stack(units, 1)  # [R, k, n, *shape]
            moved = found[:, None] + wide[:, None] * unit * self.threat.weight
            probe = torch.maximum(torch.minimum(moved, self.box[1][:, None]), self.box[0][:, None])
            sign = 2.0 * self._wrong_each(probe).to(found.dtype) - 1.0
            total = total + (sign.reshape(*sign.shape, *[1] * (found.ndim - 2)) * unit).sum(1)
            sum_of_directions, signs = sum_of_directions + unit.sum(1), signs + sign.sum(1)
        # the mean sign is the baseline that lowers the variance, unless all signs agree
        mean = (signs / probes).reshape(wide.shape)
        mean = torch.where(mean.abs() >= 1.0, torch.zeros_like(mean), mean)
        return total - mean * sum_of_directions

    def _unit(self, vector: Tensor) -> Tensor:
        length: Tensor = torch.linalg.vector_norm(vector.flatten(2), dim=-1).clamp(min=1e-12)
        return vector / length.reshape(*length.shape, *[1] * (vector.ndim - 2))

    def jump(self, found: Tensor, normal: Tensor, size: Tensor, wrong: Tensor) -> Tensor:
        """Moves along the normal by `size` [R, n], or a half, a quarter, ... that stays wrong."""
        unit = normal.sign() if self.threat.norm == "linf" else self._unit(normal)
        moved, left = found, wrong
        for k in range(HALVINGS):
            step = (size / 2**k).reshape(*size.shape, *[1] * (found.ndim - 2))
            candidate = self.clip(found + step * unit * self.threat.weight)
            hit = left & self.wrong(candidate)
            moved, left = choose(hit, candidate, moved), left & ~hit
        return moved
