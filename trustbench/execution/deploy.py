"""Builds the deployed system from trained replicates."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache

import torch

from trustbench.contracts import (
    CHANNELS,
    NEEDS,
    Fact,
    Forward,
    Intervention,
    Learnt,
    System,
    guarantees,
)
from trustbench.contracts.learnt import Memory
from trustbench.contracts.seeding import Streams
from trustbench.errors import TrainingDiverged, Unsupported
from trustbench.execution.deploy_needs import Taken
from trustbench.execution.deployed_rows import contents, refuse_change_in_place, refuse_other_rows
from trustbench.execution.fit import Progress, fit, renamed
from trustbench.execution.plan import Plan
from trustbench.store.records import Store
from trustbench.training.averaging import Averaged
from trustbench.training.engines import Engine, Params
from trustbench.training.fits import Fit
from trustbench.training.layers import chain_of
from trustbench.training.replicates import calibration_rows

TWIN = "twin {}"
"""The name of another draw of the arm among what its methods learnt."""


def deployed(plan: Plan, store: Store, progress: Progress) -> System:
    """The deployed system of a plan, trained if it is not yet."""
    return deploy(plan, fit(plan, store, progress), store, progress)[0]


def deploy(
    plan: Plan,
    trained: Fit,
    store: Store,
    progress: Progress,
    memory: Memory | None = None,
) -> tuple[System, frozenset[str]]:
    """Applies every `deploy` hook; returns the system and the channels that the hooks changed.

    A hook receives a system whose twins are not deployed either, so that it can average over them;
    those that it takes are trained here. `execution/other_systems.py` adds the other systems to the
    returned one. `memory` receives what the hooks learn from rows.
    """
    bare = system = _bare(plan, trained, store, progress, memory)
    observed: list[str] = []
    for intervention in plan.deployments:
        taken, before = Taken(bare), contents(system)
        after = intervention.deploy(
            dataclasses.replace(system, **taken.watched, memory=own(memory, intervention))
        )
        refuse_change_in_place(intervention, before, contents(system))
        refuse_other_rows(intervention, system.problem, after.problem)
        _refuse_replacement(intervention, bare, system, after)
        observed += taken.undeclared(intervention)
        system = after
    changed = frozenset(c for c in CHANNELS if getattr(system, c) is not getattr(bare, c))
    claims = plan.claims(observed) if observed else plan.guarantees
    return dataclasses.replace(
        system,
        reseeded=undeclared,
        shadows=None if plan.shadows() is None else undeclared,
        baseline=None if bare.baseline is None else undeclared,
        guarantees=claims,
        facts={**guarantees.refuse_claims(system.facts), **guarantees.facts(claims)},
    ), changed


def own(memory: Memory | None, intervention: Intervention) -> Memory | None:
    """The part of a memory in which a method keeps what it learns."""
    return None if memory is None else memory.of(type(intervention).__name__)


def _refuse_replacement(
    intervention: Intervention, bare: System, before: System, after: System
) -> None:
    """Raises Unsupported if a method that opens a channel replaces that of another.

    The second of two explainers would silently win. Methods that change what a channel releases
    (`release`) are meant to replace it, and sets of different scores are compatible.
    """
    if intervention.deploys != "channel":
        return
    name = type(intervention).__name__
    for channel in ("decider", "interface", "explainer"):
        first, second = getattr(before, channel), getattr(after, channel)
        if first is not getattr(bare, channel) and second is not first:
            raise Unsupported(
                f"{name} and another method of this arm both fill the `{channel}` channel, which "
                f"holds only one; choose one of them."
            )
    both = [s for s, p in before.set_predictors.items() if after.set_predictors.get(s) is not p]
    if both:
        raise Unsupported(
            f"{name} and another method of this arm both release {', '.join(both)} sets; choose "
            f"one of them, or give them different `scores`."
        )


def undeclared(*_: object) -> System:
    """Stands in for systems that were not requested before measuring started."""
    raise RuntimeError(
        "an evaluator asks for another system that it does not declare; list it in the class "
        f"attribute `needs`, which takes {', '.join(NEEDS)}"
    )


def _bare(
    plan: Plan, trained: Fit, store: Store, progress: Progress, memory: Memory | None = None
) -> System:
    """The trained replicates before any deployment."""
    averaged = averaged_by(plan.retraining, plan.arm.control)
    forward = forward_of(plan.engine, trained.params, averaged, plan.streams)
    axes = len(plan.problem.shape)
    return System(
        problem=plan.problem,
        forward=forward,
        parameters=(
            None if averaged else chain_of(plan.engine.module, trained.params, forward, axes)
        ),
        replicates=len(plan.arm.models),
        device=plan.device,
        streams=dataclasses.replace(plan.streams, salt=0, first=0, model=plan.arm.only or 0),
        membership=plan.membership,
        calibration=calibration_rows(
            plan.problem, plan.arm.protocol, plan.streams, plan.arm.models
        ),
        facts={
            **plan.facts(),
            **_trained_on(plan, trained),
            **guarantees.without_claims(trained.facts),
        },
        baseline=_baseline(plan, store, progress),
        draw=plan.arm.salt,
        reseeded=_twins(plan, store, progress, memory),
    )


def _trained_on(plan: Plan, trained: Fit) -> dict[str, Fact]:
    """Where the replicates were trained, if another device deploys them."""
    return {} if trained.device == plan.device.type else {"trained_on": trained.device}


def forward_of(
    engine: Engine, params: Params, averaged: Intervention | None, streams: Streams
) -> Forward:
    """The replicates' logits, averaged over fixed draws if hidden factors stay active."""
    if averaged is None:

        def forward(X: torch.Tensor) -> torch.Tensor:
            return engine.forward(params, X)

        return forward
    count = len(next(iter(params.values())))
    generators = [streams.torch("hidden", r, "deployed") for r in range(count)]
    return Averaged.over(engine, params, averaged.hidden, averaged.draws(), generators)


def averaged_by(retraining: Iterable[Intervention], control: str) -> Intervention | None:
    """The method whose hidden factors stay active in deployment; None without one.

    A matched control deploys the baseline's network, which was trained without factors.
    """
    if control == "matched":
        return None
    # at most one: the `hidden` hook is exclusive
    return next((i for i in retraining if i.draws()), None)


def _baseline(plan: Plan, store: Store, progress: Progress) -> Callable[[], System] | None:
    """The baseline arm's system, trained only if a `deploy` hook takes it."""
    baseline = plan.baseline()
    if baseline.arm_id == plan.arm_id:
        return None

    @cache
    def system() -> System:
        # a hook may ask inside `no_grad`
        with torch.enable_grad(), _named("the baseline"):
            return deployed(baseline, store, renamed(progress, "train the baseline"))

    return system


def _twins(
    plan: Plan, store: Store, progress: Progress, memory: Memory | None
) -> Callable[[int], System]:
    """The arm's other draws, bare, trained only if a `deploy` hook takes them."""
    told = renamed(progress, "train another copy")

    @cache
    def system(k: int) -> System:
        with torch.enable_grad(), _named("another draw of the arm"):
            twin = plan.reseeded(k)
            trained = fit(twin, store, told)
            if memory is not None:
                memory.values[TWIN.format(k)] = Learnt(trained.params)
            return _bare(twin, trained, store, told)

    return system


@contextmanager
def _named(whose: str) -> Iterator[None]:
    """Names the training that diverged, since nothing can be compared with it."""
    try:
        yield
    except TrainingDiverged as error:
        raise Unsupported(f"needs {whose}, of which {error}") from error
