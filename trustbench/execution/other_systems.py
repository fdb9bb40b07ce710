"""The other systems that evaluators compare an arm with, trained or read before the first runs."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace

from trustbench.contracts import Need, System
from trustbench.errors import TrainingDiverged, Unsupported
from trustbench.execution.deploy import deployed, undeclared
from trustbench.execution.fit import Progress, renamed
from trustbench.execution.plan import Plan
from trustbench.store.records import Store

Found = System | Unsupported
"""Another system, or why it cannot be compared with."""
BASELINE = ("train reference (the baseline)", "the baseline")
BASELINE_RESEED = ("train reference (the baseline, another seed)", "another draw of the arm")
RESEED = ("train reference (another seed)", "another draw of the arm")
SHADOWS = ("train models that attack", "the models that attack")
"""The name of another system in progress messages while it trains, and in reasons."""


def with_other_systems(
    system: System, plan: Plan, needs: Collection[Need], store: Store, progress: Progress
) -> System:
    """The system with the others that `needs` lists, all trained or read.

    If the training of one diverged, an evaluator that requests it gets the reason as Unsupported.
    """
    others = _OtherSystems(store, progress)
    own: dict[int, Found] = {}
    if "reseed" in needs:
        own |= others.draws(plan, {1}, *RESEED)
    shadows = plan.shadows()
    if "shadows" in needs and shadows is not None:
        system = replace(system, shadows=_given(others.deployed(shadows, *SHADOWS)))
    baseline = plan.baseline()
    if baseline.arm_id == plan.arm_id:
        if "baseline_reseed" in needs:
            own |= others.draws(plan, {1}, *RESEED)
    elif {"baseline", "baseline_reseed"} & set(needs):
        found = others.deployed(baseline, *BASELINE)
        if isinstance(found, System) and "baseline_reseed" in needs:
            # the arm's own draw may be one of the baseline's: the next one belongs to neither
            draws = others.draws(baseline, {1, plan.arm.salt + 1}, *BASELINE_RESEED)
            draws = {k: _on_its_rows(each, system, plan) for k, each in draws.items()}
            found = replace(found, reseeded=_draw(draws))
        system = replace(system, baseline=_given(_on_its_rows(found, system, plan)))
    return replace(system, reseeded=_draw(own))


@dataclass
class _OtherSystems:
    """The systems trained or read so far: an arm may need one of them for several reasons."""

    store: Store
    progress: Progress
    found: dict[str, Found] = field(default_factory=dict)

    def deployed(self, plan: Plan, stage: str, name: str) -> Found:
        """The deployed system of a plan."""
        key = f"{plan.arm_id} {plan.arm.part}"
        if key not in self.found:
            try:
                self.found[key] = deployed(plan, self.store, renamed(self.progress, stage))
            except TrainingDiverged as error:
                self.found[key] = Unsupported(f"needs {name}, of which {error}")
            except Unsupported as error:
                self.found[key] = error
        return self.found[key]

    def draws(self, plan: Plan, which: Collection[int], stage: str, name: str) -> dict[int, Found]:
        """Other draws of a plan, by their number."""
        return {k: self.deployed(plan.reseeded(k), stage, name) for k in sorted(which)}


def _on_its_rows(found: Found, system: System, plan: Plan) -> Found:
    """Another system on the test rows of the arm, which its methods may have replaced."""
    if isinstance(found, Unsupported) or system.problem is plan.problem:
        return found
    return replace(found, problem=system.problem)


def _given(found: Found) -> Callable[[], System]:
    def system() -> System:
        if isinstance(found, Unsupported):
            raise found
        return found

    return system


def _draw(draws: Mapping[int, Found]) -> Callable[[int], System]:
    def system(k: int) -> System:
        return _given(draws[k])() if k in draws else undeclared(k)

    return system
