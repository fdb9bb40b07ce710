"""A concrete arm before training: data, engine, halves, ids."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations

import torch

from trustbench.config.arms import Arm
from trustbench.config.identity import arm_id, fit_id, in_order, pilot_id
from trustbench.contracts import Array, Fact, GradientRule, Intervention, Problem, Schedule
from trustbench.contracts.guarantees import Guarantee
from trustbench.contracts.seeding import Streams
from trustbench.errors import ConfigError, Unsupported
from trustbench.execution import clashes, own_code
from trustbench.execution.problems import problem_of
from trustbench.methods.privacy import ledger
from trustbench.store.schema import Pilot
from trustbench.training import engines, replicates
from trustbench.training.engine_choice import choose
from trustbench.training.memory import EngineInParts

# Maximum memory for the matched control's snapshots of one baseline; large models keep fewer.
SNAPSHOT_BYTES = 3 * 2**29


@dataclass(frozen=True)
class Plan:
    """What will be trained and measured. Creating a plan trains nothing and writes nothing."""

    arm: Arm
    problem: Problem
    device: torch.device
    engine: engines.Engine
    membership: Array  # bool [R, n_pool]
    streams: Streams
    adapted: str | None = None  # how the outputs of the user's module were adapted

    @cached_property
    def arm_id(self) -> str:
        """The arm's content id."""
        return arm_id(self.arm, self.problem.fingerprint, self.engine.name)

    @cached_property
    def fit_id(self) -> str:
        """The content id of the trained replicates."""
        return fit_id(self.arm, self.problem.fingerprint, self.engine.name)

    @cached_property
    def pilot_id(self) -> str:
        """The content id of the pilot that chooses its learning rate if training.lr=auto."""
        return pilot_id(self.arm, self.problem.fingerprint, self.engine.name)

    @property
    def interventions(self) -> list[Intervention]:
        """All interventions, in canonical order."""
        return [i.plugin for i in in_order(self.arm.interventions)]

    @property
    def retraining(self) -> list[Intervention]:
        """The interventions that change the trained replicates."""
        return [i for i in self.interventions if i.retrains]

    @property
    def deployments(self) -> list[Intervention]:
        """All interventions in the order in which they are deployed."""
        return in_layers(self.interventions)

    @property
    def members(self) -> int:
        """The number of rows in the smallest half, for which privacy is accounted."""
        return int(self.membership.sum(1).min())

    @property
    def schedule(self) -> Schedule:
        """The training config for these members and methods; a gradient rule may bring its own."""
        return self._under_methods(self.arm.schedule(self.members))

    def _under_methods(self, schedule: Schedule) -> Schedule:
        for intervention in self.retraining:
            schedule = intervention.schedule(schedule)
        return schedule

    def rule(self, schedule: Schedule | None = None) -> GradientRule | None:
        """A fresh gradient rule, or None for plain descent."""
        for intervention in self.retraining:
            made = intervention.gradient(schedule or self.schedule, self.members)
            if made is not None:
                return made
        return None

    @property
    def piloted(self) -> bool:
        """Whether the replicates train at the rate of a pilot: a rule may bring its own."""
        if self.arm.pilot is None:
            return False
        if self.arm.control == "matched":  # it deploys models of the baseline
            return True
        configured = self.arm.schedule(self.members)
        doubled = self._under_methods(replace(configured, lr=2 * configured.lr))
        rule, other = self.rule(), self.rule(doubled)
        if rule is None or other is None:
            return self.schedule.lr != doubled.lr
        return rule.schedule.lr != other.schedule.lr

    @property
    def recorded_pilot(self) -> Pilot | None:
        """The record's entry on the pilot: its choice, and whether the arm trains at it."""
        pilot = self.arm.pilot
        return pilot and pilot.model_copy(update={"unused": not self.piloted})

    @cached_property
    def entries(self) -> list[ledger.Entry]:
        """What every plugin of the arm declares to the privacy ledger."""
        data, model = self.arm.dataset, self.arm.model
        found = [
            ledger.Entry(data.name, data.plugin.declares()),
            ledger.Entry(model.name, model.plugin.reads_rows),
        ]
        for chosen in in_order(self.arm.interventions):
            plugin = chosen.plugin
            reads = plugin.declares(self.problem, self.schedule, self.members)
            reads = reads if plugin.accounted else None
            copies, first = plugin.trained_copies(), plugin.first_fit
            found.append(ledger.Entry(chosen.name, reads, copies, first))
        if not any(map(ledger.protects_training, found)):
            found.append(ledger.PLAIN)
        if self.piloted:
            found.append(ledger.PILOT)
        return found

    @property
    def setting(self) -> ledger.Setting:
        """The properties of the arm that decide how reads count."""
        return ledger.Setting(
            inclusion=self.arm.protocol.inclusion,
            regime=self.arm.training.regime,
            own_training=self.arm.control != "matched",
        )

    @cached_property
    def guarantees(self) -> tuple[Guarantee, ...]:
        """The privacy claims of the arm, from what its plugins declare."""
        return self.claims()

    def claims(self, observed: Sequence[str] = ()) -> tuple[Guarantee, ...]:
        """The same, with sentences on plugins that were seen to violate their declarations."""
        return ledger.guarantees(self.entries, self.setting, observed)

    def whole(self) -> "Plan":
        """The plan of all replicates of this one."""
        return plan(replace(self.arm, only=None))

    def baseline(self) -> "Plan":
        """The baseline arm: the same problem, model, training and halves, no intervention."""
        return plan(replace(self.arm, interventions=(), control="none", reseeds=1))

    def first(self) -> "Plan | None":
        """The first fit: this arm without the methods that need one; None if none does."""
        chosen = self.arm.interventions
        kept = tuple(i for i in chosen if not i.plugin.first_fit)
        return None if len(kept) == len(chosen) else plan(replace(self.arm, interventions=kept))

    def stopped(self) -> tuple["Plan", "Plan"]:
        """For a matched control: the baseline that is stopped early, and the arm it is matched to.

        The control's own twin is matched among the twins of both.
        """
        salt = self.arm.salt
        drawn = replace(self.arm, control="reseed" if salt else "none", reseeds=max(salt, 1))
        return plan(replace(drawn, interventions=())), plan(drawn)

    def reseeded(self, k: int) -> "Plan":
        """This arm with its k-th other initialisation and batch order, on the same halves."""
        if self.arm.control == "matched":
            return plan(replace(self.arm, reseeds=self.arm.reseeds + k))
        return plan(replace(self.arm, control="reseed", reseeds=self.arm.salt + k))

    def shadows(self) -> "Plan | None":
        """The models of the same recipe used only by attacks; None if the protocol has none.

        They themselves have none.
        """
        if self.arm.part == "shadows" or not self.arm.protocol.shadows:
            return None
        return plan(replace(self.arm, part="shadows"))

    def snapshots(self) -> int:
        """The number of states to keep: only a baseline is ever stopped early for another arm."""
        if self.retraining or self.arm.control == "matched":
            return 0
        with self.streams.global_torch("initialisation"):
            module = self.arm.model.plugin.build(self.problem)
        size = 4 * sum(p.numel() for p in module.parameters())
        room = SNAPSHOT_BYTES // (size * len(self.arm.models))
        return max(2, min(self.arm.training.snapshots, room))

    def facts(self) -> dict[str, Fact]:
        """What is known before training."""
        known: dict[str, Fact] = {
            "engine": self.engine.name,
            "engine_why": self.engine.why,
            "device": self.device.type,
            "members": self.members,
            "features": self.problem.n_features,
            "classes": len(self.problem.classes),
        }
        return known if self.adapted is None else {**known, "model_adapted": self.adapted}


def plan(arm: Arm) -> Plan:
    """The plan of an arm.

    Raises:
        UserError: the data or the configuration is wrong.
        Unsupported: the model cannot take the data; the message is the reason.
    """
    own_code.refuse_changed(arm)
    problem = problem_of(arm)
    _refuse_bad_control(arm)
    reason = arm.model.plugin.supports(problem)
    if reason:
        raise Unsupported(f"model {arm.model.name}: {reason}")
    # `reseed` is the same arm with other initialisations and batch orders, on the same halves.
    streams = Streams(arm.seed, salt=arm.salt, first=arm.models.start)
    device = resolve_device(arm.device)
    module = own_code.fresh_module(arm, problem, streams)
    return Plan(
        arm=arm,
        problem=problem,
        device=device,
        engine=EngineInParts(
            choose(arm.engine, module, problem, device, tried=bool(arm.model.marks))
        ),
        membership=replicates.membership(problem, arm.protocol, streams, arm.models),
        streams=streams,
        adapted=arm.model.plugin.adapted(module),
    )


def resolve_device(requested: str) -> torch.device:
    """The device that `auto`, `cpu` or `cuda` means here; ConfigError without a CUDA device."""
    if requested == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "device=cuda was requested, but torch sees no CUDA device here; use device=auto."
        )
    if requested == "auto":
        requested = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(requested)


def in_layers(interventions: Sequence[Intervention]) -> list[Intervention]:
    """Interventions, given in canonical order, in the order in which they are deployed."""
    layers = ("data", "outputs", "channel", "release")
    return sorted(interventions, key=lambda i: layers.index(i.deploys))


def _refuse_bad_control(arm: Arm) -> None:
    retrains = any(i.plugin.retrains for i in arm.interventions)
    if arm.control == "matched" and not retrains:
        names = ", ".join(i.name for i in arm.interventions) or "none"
        raise ConfigError(
            f"control=matched needs an intervention that retrains the model, but got {names}; "
            "name the treated arm's interventions beside it."
        )


def refuse_impossible(planned: Plan) -> None:
    """Raises Unsupported if the interventions do not fit the problem or each other."""
    arm, problem = planned.arm, planned.problem
    for chosen in arm.interventions:
        reason = chosen.plugin.supports(problem, planned.schedule)
        if reason:
            raise Unsupported(f"intervention {chosen.name}: {reason}")
        if chosen.plugin.fills("hidden") and not planned.engine.sites:
            raise Unsupported(
                f"intervention {chosen.name}: it acts on hidden activations, and model "
                f"{arm.model.name} has none; use a model with hidden layers (model=mlp)"
            )
    for a, b in combinations(in_order(arm.interventions), 2):
        reason = clashes.of_hooks(a, b) or clashes.of_bounds(a, b) or clashes.of_bounds(b, a)
        if reason:
            raise Unsupported(reason)
    rule = planned.rule()
    used = planned.schedule if rule is None else rule.schedule
    reason = clashes.of_schedules(arm.interventions, arm.schedule(planned.members), used)
    if reason:
        raise Unsupported(reason)
    reason = ledger.refusal(planned.entries, planned.setting)
    if reason:
        raise Unsupported(reason)
