"""What a counterfactual must reach: a favourable decision of every replicate of its own."""

from dataclasses import dataclass

import torch
from torch import Tensor

from trustbench.contracts import Array, System


@dataclass(frozen=True)
class Goal:
    """A favourable class has the largest logit, by at least `margin` log-odds."""

    system: System
    margin: float = 0.0

    @staticmethod
    def undecidable(system: System) -> str | None:
        """Why the outputs of a system do not say what it decides, or None if they do."""
        if system.decider is None:
            return None
        return (
            "decisions come from a rule of their own (thresholds by group, say, or a coin); the "
            "search follows the outputs of the model, which do not say what it decides"
        )

    def log_odds(self, X: Tensor) -> Tensor:
        """Best favourable minus best other logit, [R, n], of flattened rows X [R, n, d]."""
        favourable = torch.as_tensor(self.system.problem.favourable, device=X.device)
        logits = self.system.forward(self._shaped(X))
        best = logits.masked_fill(~favourable, -torch.inf).amax(-1)
        return best - logits.masked_fill(favourable, -torch.inf).amax(-1)

    def refused(self, X: Tensor) -> Tensor:
        """Which rows X [R, n, d] are decided on unfavourably: bool [R, n]."""
        with torch.no_grad():
            return self.log_odds(X) <= 0

    def reached(self, X: Tensor) -> Tensor:
        """Whether rows X [R, n, d] are counterfactuals: bool [R, n]."""
        with torch.no_grad():
            return self.enough(self.log_odds(X))

    def granted(self, X: Tensor, group: Array) -> Tensor:
        """Which rows X [R, n, d] of `group` [n] the system decides on favourably: bool [R, n]."""
        decided = self.system.decide(self._shaped(X), group)
        favourable = torch.as_tensor(self.system.problem.favourable, device=X.device)
        return favourable[decided.clamp(min=0)] & (decided >= 0)

    def enough(self, log_odds: Tensor) -> Tensor:
        """The same, of their log-odds."""
        return (log_odds > 0) & (log_odds >= self.margin)

    def gradient(self, X: Tensor) -> tuple[Tensor, Tensor]:
        """The log-odds [R, n] and their gradient [R, n, d]."""
        with torch.enable_grad():
            x = X.detach().clone().requires_grad_()
            odds = self.log_odds(x)
            (slope,) = torch.autograd.grad(odds.sum(), x)
        return odds.detach().to(X.dtype), slope.to(X.dtype)

    def _shaped(self, X: Tensor) -> Tensor:
        return X.reshape(*X.shape[:2], *self.system.problem.shape)
