"""From trained replicates to the deployed system, and to the other systems it is compared with."""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

import torch

from trustbench.contracts import CHANNELS, Forward, Intervention, System, guarantees
from trustbench.errors import TrainingDiverged, Unsupported
from trustbench.execution.deploy_needs import Taken
from trustbench.execution.fit import Progress, fit
from trustbench.execution.plan import Plan
from trustbench.methods.privacy import ledger
from trustbench.store.records import Store
from trustbench.training.averaging import Averaged
from trustbench.training.engines import Params
from trustbench.training.replicates import calibration_rows

# In place of an epoch, in the streams of hidden factors: what is drawn for the deployed network.
DEPLOYED = -1


def deploy(plan: Plan, store: Store, progress: Progress) -> tuple[System, frozenset[str]]:
    """The system after every `deploy` hook, and which of its channels the hooks changed.

    A hook is shown a system whose twins are as bare as itself, so that it can average over them.
    """
    bare = system = _bare(plan, store, progress)
    observed: list[str] = []
    for intervention in plan.deployments:
        taken = Taken(bare)
        deployed = intervention.deploy(dataclasses.replace(system, **taken.watched))
        _refuse_replacement(intervention, bare, system, deployed)
        observed += taken.undeclared(intervention)
        system = deployed
    changed = frozenset(c for c in CHANNELS if getattr(system, c) is not getattr(bare, c))
    claims = plan.guarantees
    if observed:
        claims = ledger.guarantees(plan.entries, plan.setting, observed)
    whole = _twins(plan, lambda twin: deploy(twin, store, progress)[0])
    return dataclasses.replace(
        system,
        reseeded=whole,
        shadows=_shadows(plan, store, progress),
        baseline=bare.baseline,
        guarantees=claims,
        facts={**guarantees.refuse_claims(system.facts), **guarantees.facts(claims)},
    ), changed


def _refuse_replacement(
    intervention: Intervention, bare: System, before: System, after: System
) -> None:
    """Raises Unsupported when a method that opens a channel takes the place of another's.

    Of two explainers the second would win in silence. Methods that change what a channel says
    (`release`) are meant to take its place, and sets of different scores stand side by side.
    """
    if intervention.deploys != "channel":
        return
    name = type(intervention).__name__
    for channel in ("decider", "interface", "explainer"):
        first, second = getattr(before, channel), getattr(after, channel)
        if first is not getattr(bare, channel) and second is not first:
            raise Unsupported(
                f"{name} and another method of this arm both fill the `{channel}` channel, which "
                "has room for one; take one of them."
            )
    both = [s for s, p in before.set_predictors.items() if after.set_predictors.get(s) is not p]
    if both:
        raise Unsupported(
            f"{name} and another method of this arm both release {', '.join(both)} sets; take one "
            "of them, or give them different `scores`."
        )


def _bare(plan: Plan, store: Store, progress: Progress) -> System:
    """The trained replicates before anything is deployed."""
    trained = fit(plan, store, progress)
    return System(
        problem=plan.problem,
        forward=_forward(plan, trained.params),
        replicates=len(plan.arm.models),
        device=plan.device,
        streams=dataclasses.replace(plan.streams, salt=0, first=0),
        membership=plan.membership,
        calibration=calibration_rows(
            plan.problem, plan.arm.protocol, plan.streams, plan.arm.models
        ),
        facts={**plan.facts(), **guarantees.without_claims(trained.facts)},
        baseline=_baseline(plan, store, progress),
        draw=plan.arm.salt,
        reseeded=_twins(plan, lambda twin: _bare(twin, store, progress)),
    )


def _forward(plan: Plan, params: Params) -> Forward:
    """The replicates' logits, averaged over fixed draws where their hidden factors stay on.

    A matched control deploys the baseline's network, which was trained without factors.
    """
    for intervention in plan.retraining:  # one at most: the `hidden` hook is exclusive
        if intervention.draws() and plan.arm.control != "matched":
            streams = [
                plan.streams.torch("hidden", r, DEPLOYED, device=plan.device)
                for r in range(len(plan.arm.models))
            ]
            draws = intervention.draws()
            return Averaged.over(plan.engine, params, intervention.hidden, draws, streams)

    def forward(X: torch.Tensor) -> torch.Tensor:
        return plan.engine.forward(params, X)

    return forward


def _baseline(plan: Plan, store: Store, progress: Progress) -> Callable[[], System] | None:
    """The baseline arm's system, trained only if an evaluator asks for it."""
    baseline = plan.baseline()
    if baseline.arm_id == plan.arm_id:
        return None

    @cache
    def system() -> System:
        # an evaluator may ask inside `no_grad`
        with torch.enable_grad(), _named("the baseline"):
            return deploy(baseline, store, progress)[0]

    return system


def _shadows(plan: Plan, store: Store, progress: Progress) -> Callable[[], System] | None:
    """The arm's models that only attack, deployed alike; trained only if asked for."""
    shadows = plan.shadows() if plan.arm.part == "replicates" else None
    if shadows is None:
        return None

    @cache
    def system() -> System:
        with torch.enable_grad(), _named("the models that attack"):
            return deploy(shadows, store, progress)[0]

    return system


def _twins(plan: Plan, system_of: Callable[[Plan], System]) -> Callable[[int], System]:
    """The arm's other draws, trained only if asked for."""

    @cache
    def system(k: int) -> System:
        with torch.enable_grad(), _named("another draw of the arm"):
            return system_of(plan.reseeded(k))

    return system


@contextmanager
def _named(whose: str) -> Iterator[None]:
    """Says of a training that diverged whose it was: nothing can be compared with it."""
    try:
        yield
    except TrainingDiverged as error:
        raise Unsupported(f"needs {whose}, of which {error}") from error
