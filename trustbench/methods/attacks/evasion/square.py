"""A black-box random search by blocks: it uses no gradient, so gradient masking cannot stop it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from trustbench.contracts import Forward
from trustbench.methods.attacks.evasion.box import ThreatModel, choose
from trustbench.methods.attacks.evasion.pgd import Worst, margin
from trustbench.methods.random_numbers import integers

# The block halves after these fractions of the queries (Andriushchenko 2020, appendix B.1).
HALVINGS = (0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)
FIRST_BLOCK = 0.8  # fraction of the columns, at the first proposal
# Fooled points leave the search once they reach this share of it.
REPACK = 0.15


def block_fraction(query: int, queries: int) -> float:
    """The fraction of the columns that a proposal changes at a query.

    >>> block_fraction(0, 300), block_fraction(299, 300)
    (0.8, 0.0015625)
    """
    return float(FIRST_BLOCK / 2 ** sum(query > f * queries for f in HALVINGS))


def square(
    forward: Forward,
    X: Tensor,
    y: Tensor,
    threat: ThreatModel,
    generators: Sequence[torch.Generator],
    *,
    queries: int,
) -> Worst:
    """Searches with up to `queries` forward passes per point, by margin; shapes as in `pgd`.

    Each query proposes fresh signs on a block and keeps them if the margin grows. For linf they
    replace the block's signs, at full radius. For l2 they are added to them and the whole is
    rescaled to the sphere, so that any direction can be approached. A block is a square patch with
    one sign per channel on images [c, h, w], and a random set of columns with one sign each on
    other inputs. A point is left alone once it is fooled, so a score at or above 0 is not the worst
    possible one.

    Reference: Andriushchenko et al. 2020, arXiv 1912.00049, Algorithms 1 and 2; its l2 windows
    are replaced by the sums above.
    """
    with torch.no_grad():
        worst = Worst(X, margin(forward(X), y))
        search = _start(X, y, worst.fooled, threat, generators).repacked()
        watch = _Watch(generators, waits=X.device.type == "cpu")
        for query in range(queries):
            if watch.over(search.done):
                break
            proposal = search.signs
            if query:
                proposal = _proposal(search, threat, block_fraction(query, queries), generators)
            score = margin(forward(search.candidate(proposal, threat)), search.y)
            search.take_over(proposal, score)
            if query % 10 == 9:
                if watch.was_over():
                    break
                if search.spare() > REPACK:
                    search.give(worst, threat)
                    search = search.repacked()
        watch.was_over()
        search.give(worst, threat)
    return worst


@dataclass
class _Watch:
    """Notices when every point is fooled: at once, or later without waiting for the device.

    Queries after that change no point. The generators are put back to where they were then, so
    that the next points meet the same random numbers either way.
    """

    generators: Sequence[torch.Generator]
    waits: bool
    seen: list[tuple[Tensor, list[Tensor]]] = field(default_factory=list)

    def over(self, done: Tensor) -> bool:
        """Whether the search is known to be over before a query."""
        over = done.all()
        if self.waits:
            return bool(over)
        self.seen.append((over, [g.get_state() for g in self.generators]))
        return False

    def was_over(self) -> bool:
        """Whether it was over before one of the queries since the last call."""
        seen, self.seen = self.seen, []
        first = sum(not over for over in torch.stack([o for o, _ in seen]).tolist()) if seen else 0
        if first == len(seen):
            return False
        for generator, state in zip(self.generators, seen[first][1], strict=True):
            generator.set_state(state)
        return True


@dataclass
class _Search:
    """The points still in the search: m of n of each replicate, at positions `rows` [R, m].

    `signs` [R, m, *shape] (for l2: sums of signs) are the best so far, with margin `best` [R, m];
    `done` marks fooled points. Random numbers are always drawn for all n points and then selected
    at `rows`, so the draw of a point does not depend on which others remain.
    """

    n: int
    rows: Tensor
    X: Tensor
    y: Tensor
    signs: Tensor
    best: Tensor
    done: Tensor
    bounds: tuple[Tensor, Tensor]  # of X under the threat
    allowed: Tensor  # int64 [k], the columns that may change

    def candidate(self, signs: Tensor, threat: ThreatModel) -> Tensor:
        """The allowed inputs [R, m, *shape] that the signs encode."""
        moved = self.X + threat.epsilon * _direction(signs, threat)
        return threat.project(moved, self.X, self.bounds)

    def take_over(self, proposal: Tensor, score: Tensor) -> None:
        """Moves the points that are not done to the proposal if its margin is larger."""
        keep = (score > self.best) & ~self.done
        self.signs = choose(keep, proposal, self.signs)
        self.best = torch.where(keep, score, self.best)
        self.done = self.done | (self.best >= 0)

    def give(self, worst: Worst, threat: ThreatModel) -> None:
        """Writes the points found into the result of all n points."""
        score = torch.full_like(worst.score, -torch.inf).scatter(1, self.rows, self.best)
        index = _axes(self.rows, self.X.ndim).expand_as(self.X)
        worst.offer(worst.X.scatter(1, index, self.candidate(self.signs, threat)), score)

    def spare(self) -> float:
        """The share of the points that could leave: the minimum over replicates."""
        return float(self.done.sum(1).amin()) / self.done.shape[1]

    def repacked(self) -> "_Search":
        """Drops done points, as many as the replicate with the fewest done points has.

        All replicates keep the same number of points; done points that stay no longer move.
        """
        m = self.done.shape[1] - int(self.done.sum(1).amin())
        order = self.done.to(torch.int8).argsort(dim=1, stable=True)[:, :m]
        low, high = self.bounds
        return _Search(
            n=self.n,
            rows=_take(self.rows, order),
            X=_take(self.X, order),
            y=_take(self.y, order),
            signs=_take(self.signs, order),
            best=_take(self.best, order),
            done=_take(self.done, order),
            bounds=(_take(low, order), _take(high, order)),
            allowed=self.allowed,
        )


def _start(
    X: Tensor,
    y: Tensor,
    done: Tensor,
    threat: ThreatModel,
    generators: Sequence[torch.Generator],
) -> _Search:
    """Starts with all points and random signs: one per image column and channel, or per column."""
    R, n, *shape = X.shape
    stripes = (shape[0], 1, shape[2]) if len(shape) == 3 else tuple(shape)
    signs = _coins((n, *stripes), generators, X)
    return _Search(
        n=n,
        rows=torch.arange(n, device=X.device).expand(R, n),
        X=X,
        y=y.expand(R, n),
        signs=signs.expand_as(X),
        best=torch.full((R, n), -torch.inf, dtype=X.dtype, device=X.device),
        done=done,
        bounds=threat.bounds(X),
        allowed=torch.nonzero(threat.weight.flatten() > 0).squeeze(1),
    )


def _proposal(
    search: _Search, threat: ThreatModel, fraction: float, generators: Sequence[torch.Generator]
) -> Tensor:
    """Draws fresh signs on about `fraction` of the columns of each point."""
    if search.signs.ndim == 5:
        return _patch(search, threat, fraction, generators)
    return _scatter(search, threat, fraction, generators)


def _scatter(
    search: _Search, threat: ThreatModel, fraction: float, generators: Sequence[torch.Generator]
) -> Tensor:
    """New signs on a random set of the mutable columns (drawn with replacement)."""
    signs, allowed = search.signs.flatten(2), search.allowed
    size = (search.n, max(1, round(fraction * len(allowed))))
    drawn = _take(integers(2 * len(allowed), size, generators, signs.device), search.rows)
    fresh = 2 * (drawn % 2).to(signs.dtype) - 1
    if threat.norm == "l2":
        return signs.scatter_add(2, allowed[drawn // 2], fresh).view_as(search.signs)
    return _overwritten(signs, allowed[drawn // 2], fresh).view_as(search.signs)


def _overwritten(signs: Tensor, index: Tensor, fresh: Tensor) -> Tensor:
    """The signs [R, m, d] with `fresh` [R, m, k] at `index`; of equal indices the last one counts.

    `scatter` promises no order between equal indices. On the CPU it writes them one after another;
    on a GPU any of them may win, so that a search would not repeat.
    """
    if signs.device.type == "cpu":
        return signs.scatter(2, index, fresh)
    return last_written(signs, index, fresh)


def last_written(signs: Tensor, index: Tensor, fresh: Tensor) -> Tensor:
    """As `_overwritten`, in operations that have one result on every device; slower on the CPU."""
    place = torch.arange(index.shape[2], device=index.device).expand_as(index)
    never = torch.full(signs.shape, -1, dtype=place.dtype, device=place.device)
    last = never.scatter_reduce(2, index, place, "amax")
    return torch.where(last >= 0, fresh.gather(2, last.clamp(min=0)), signs)


def _patch(
    search: _Search, threat: ThreatModel, fraction: float, generators: Sequence[torch.Generator]
) -> Tensor:
    """New signs on a random square of each image, one sign per channel."""
    c, h, w = search.signs.shape[2:]
    at = search.signs.device
    side = min(max(1, round((fraction * h * w) ** 0.5)), h, w)
    top = _take(integers(h - side + 1, (search.n,), generators, at), search.rows)
    left = _take(integers(w - side + 1, (search.n,), generators, at), search.rows)
    coins = _coins((search.n, c, 1, 1), generators, search.signs)
    rows = _within(top, side, h)[:, :, None, :, None]
    columns = _within(left, side, w)[:, :, None, None, :]
    fresh = _take(coins, search.rows)
    if threat.norm == "l2":
        fresh = search.signs + fresh
    return torch.where(rows & columns, fresh, search.signs)


def _within(start: Tensor, side: int, length: int) -> Tensor:
    """Which of `length` positions lie in [start, start + side): bool [R, m, length]."""
    position = torch.arange(length, device=start.device)
    return (position >= start.unsqueeze(-1)) & (position < start.unsqueeze(-1) + side)


def _direction(signs: Tensor, threat: ThreatModel) -> Tensor:
    """Signs (linf), or sums of signs (l2), as a perturbation of size 1."""
    if threat.norm == "linf":
        return threat.weight * signs
    free = signs * (threat.weight > 0)
    length: Tensor = torch.linalg.vector_norm(free.flatten(2), dim=-1)
    return threat.weight * free / _axes(length.clamp(min=0.5), signs.ndim)


def _coins(shape: tuple[int, ...], generators: Sequence[torch.Generator], like: Tensor) -> Tensor:
    """Fair signs [R, *shape]."""
    return 2 * integers(2, shape, generators, like.device).to(like.dtype) - 1


def _take(values: Tensor, rows: Tensor) -> Tensor:
    """Values [R, n, ...] at rows [R, m] of each replicate: [R, m, ...]."""
    replicate = torch.arange(len(rows), device=rows.device).unsqueeze(1)
    return values[replicate, rows]


def _axes(values: Tensor, ndim: int) -> Tensor:
    """Appends axes of length 1 to values [R, m] up to `ndim` axes."""
    return values.view(*values.shape, *[1] * (ndim - values.ndim))
