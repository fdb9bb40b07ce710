"""LIME for all replicates and rows at once: attributions and their goodness of fit."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from trustbench.contracts import Fact, Learnt, System
from trustbench.contracts.system import Explainer
from trustbench.methods.explanations import ridge
from trustbench.methods.explanations.image_neighbourhood import Patches
from trustbench.methods.explanations.neighbourhood_base import Draws, Neighbourhood, PoolRows
from trustbench.methods.explanations.neighbourhoods import neighbourhood
from trustbench.methods.explanations.tabular_neighbourhood import Columns, DrawnColumns
from trustbench.methods.explanations.targets import Target, target_values

RIDGE = 1.0  # lime's default
# Maximum floats of the largest temporaries, inputs or logits: 2^23 floats are 32 MB.
BUDGET = 2**23


class Stream(StrEnum):
    """The `explanations` sub-streams of surrogates: the component that draws."""

    RELEASED = "released"
    PROBE = "probe"
    FRESH = "fresh"
    POINTS = "points"
    DELETION = "deletion"


class Fits(NamedTuple):
    """Local surrogates of n rows under R replicates."""

    coefficients: Tensor  # float64 [R, n, p], fitted on all samples
    r2: Tensor  # float64 [R, n], fitted on one half of the samples, scored on the other


@dataclass(frozen=True)
class Lime:
    """Vectorised LIME with one set of random numbers for all rows and replicates.

    It draws `samples` perturbations per row, and `patch_samples` on images cut into patches (fewer
    regressors, and a forward pass costs more); `sigma` is as in `neighbourhood`. The kernel, the
    penalty (1) and therefore the coefficients are those of the `lime` package on the same samples,
    with all features kept. The explained class is each replicate's own prediction.

    Reference: Ribeiro et al. 2016, arXiv 1602.04938, algorithm 1.
    """

    samples: int = 1000
    patch_samples: int = 400
    sigma: float = 0.0
    target: Target = "margin"

    def neighbourhood(self, system: System) -> Neighbourhood:
        """Returns the neighbourhood in which rows of the system are explained."""
        if system.memory is None:
            return neighbourhood(system.problem, self.sigma, system.device)
        learnt = system.learn("neighbourhood", partial(self._learnt, system)).tensors
        pool = PoolRows(*(learnt[name].cpu().numpy() for name in ("rows", "mean")))
        area = neighbourhood(system.problem, self.sigma, system.device, pool)
        return DrawnColumns(**vars(area)) if isinstance(area, Columns) else area

    def _learnt(self, system: System) -> Learnt:
        """What the released explanations need of the pool: its mean, and the categories drawn.

        Each category is drawn on its own, so these rows show no person.
        """
        area = neighbourhood(system.problem, self.sigma, "cpu")
        rows = area.baseline[None][:0]
        if isinstance(area, Columns) and area.blocks:
            rng = system.streams.numpy("explanations", Stream.RELEASED)
            drawn = area.noise(self.samples, rng).rows
            rows = torch.zeros(self.samples, len(area.scale), dtype=area.pool.dtype)
            for columns, chosen in zip(area.blocks, drawn.T, strict=True):
                rows[:, columns] = area.pool[chosen][:, columns]
        return Learnt({"rows": rows, "mean": area.baseline})

    def released(self, system: System, area: Neighbourhood) -> Explainer:
        """The explainer to release; repeating a query gives the same answer."""

        def explain(X: Tensor, repeat: int) -> Tensor:
            return self.attributions(system, area, X, Stream.RELEASED, repeat)

        return explain

    def perturbations(self, area: Neighbourhood) -> int:
        """The number of perturbations per row."""
        return self.patch_samples if isinstance(area, Patches) else self.samples

    def fits(
        self, system: System, area: Neighbourhood, X: Tensor, stream: Stream, repeat: int = 0
    ) -> Fits:
        """Surrogates at X [n, *shape] or [R, n, *shape]; halves are the draws in order."""
        half = self.perturbations(area) // 2
        coefficients, scores = [], []
        for draws, targets in self.draws(system, area, X, stream, repeat):
            coefficients.append(_fit(draws, targets)[0])
            fitted = _fit(draws.part(slice(half)), targets[..., :half])
            held_out = draws.part(slice(half, None))
            scores.append(score(held_out, targets[..., half:], *fitted))
        return Fits(torch.cat(coefficients, dim=1), torch.cat(scores, dim=1))

    def attributions(
        self, system: System, area: Neighbourhood, X: Tensor, stream: Stream, repeat: int = 0
    ) -> Tensor:
        """Attributions [R, n, d] of X [n, *shape] or [R, n, *shape], in X's precision."""
        drawn = self.draws(system, area, X, stream, repeat)
        fits = [_fit(draws, targets)[0] for draws, targets in drawn]
        return area.spread(torch.cat(fits, dim=1)).to(X.dtype)

    def draws(
        self, system: System, area: Neighbourhood, X: Tensor, stream: Stream, repeat: int = 0
    ) -> Iterator[tuple[Draws, Tensor]]:
        """Draws perturbations for a few rows at a time, with the model's targets there [R, m, s].

        `repeat` k > 0 draws the k-th further set of random numbers.
        """
        s = self.perturbations(area)
        indices = (stream, repeat) if repeat else (stream,)
        noise = area.noise(s, system.streams.numpy("explanations", *indices))
        classes, flat = system.logits(X).argmax(-1), flatten(system, X)
        # Inputs take L s d floats per row, logits R s C.
        floats = max(flat.shape[0] * flat.shape[2], system.replicates * len(system.problem.classes))
        m = max(1, BUDGET // (s * floats))
        for rows, own in zip(flat.split(m, dim=1), classes.split(m, dim=1), strict=True):
            draws = area.around(rows, noise)
            logits = _logits(system, draws.Z)
            yield draws, target_values(logits, own, self.target).double()

    def facts(self, area: Neighbourhood) -> Mapping[str, Fact]:
        """Everything a reader needs to repeat the surrogates."""
        return {
            **area.facts(),
            "samples": self.perturbations(area),
            "target": self.target,
            "ridge": RIDGE,
        }


def flatten(system: System, X: Tensor) -> Tensor:
    """Reshapes X [n, *shape] to [1, n, d], and X [R, n, *shape] to [R, n, d]."""
    return X.reshape(-1, X.shape[X.ndim - 1 - len(system.problem.shape)], system.problem.n_features)


def score(draws: Draws, targets: Tensor, coefficients: Tensor, intercepts: Tensor) -> Tensor:
    """R2 [R, m] of surrogates [R, m, p] on draws; NaN if the target is constant."""
    shape = targets.shape[:2]
    D, w = _designs(draws)
    c, b = _share(coefficients, len(D), draws), _share(intercepts[..., None], len(D), draws)
    return _unshare(
        ridge.r2(D, w, _share(targets, len(D), draws), c, b[..., 0])[..., None], shape, draws
    )[..., 0]


def released_score(draws: Draws, targets: Tensor, coefficients: Tensor) -> Tensor:
    """R2 [R, m] of coefficients released without an intercept; the best intercept is used."""
    shape = targets.shape[:2]
    D, w = _designs(draws)
    c, t = _share(coefficients, len(D), draws), _share(targets, len(D), draws)
    result = ridge.r2(D, w, t, c, ridge.intercept(D, w, t, c))
    return _unshare(result[..., None], shape, draws)[..., 0]


def _fit(draws: Draws, targets: Tensor) -> tuple[Tensor, Tensor]:
    shape = targets.shape[:2]
    D, w = _designs(draws)
    c, b = ridge.fit(D, w, _share(targets, len(D), draws), RIDGE)
    return _unshare(c, shape, draws), _unshare(b[..., None], shape, draws)[..., 0]


def _designs(draws: Draws) -> tuple[Tensor, Tensor]:
    return draws.design.flatten(0, 1), draws.weights.flatten(0, 1)


def _share(values: Tensor, designs: int, draws: Draws) -> Tensor:
    """[R, m, x] -> [B, k, x]: the k targets that share each of the B designs."""
    per_row = draws.design.shape[0] == 1 and designs > 1
    return values.transpose(0, 1) if per_row else values.reshape(designs, -1, values.shape[-1])


def _unshare(values: Tensor, shape: tuple[int, ...], draws: Draws) -> Tensor:
    """[B, k, x] -> [R, m, x]; undoes `_share`."""
    per_row = draws.design.shape[0] == 1 and draws.design.shape[1] > 1
    return values.transpose(0, 1) if per_row else values.reshape(*shape, values.shape[-1])


def _logits(system: System, Z: Tensor) -> Tensor:
    """Logits [R, m, s, C] of Z [L, m, s, d]."""
    copies, m, s, d = Z.shape
    rows = Z.reshape(copies, m * s, *system.problem.shape)
    # On a CPU, hidden activations then stay in its cache: 1.4 times faster than 4,096 rows.
    floats = 2**19 if Z.device.type == "cpu" else 2**24
    at_once = min(8192, max(32, floats // (system.replicates * d)))
    logits = system.logits(rows[0] if copies == 1 else rows, at_once)
    return logits.view(system.replicates, m, s, -1)
