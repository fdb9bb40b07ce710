"""The user's own code in an arm: unchanged since the arm was composed, and checked before use."""

from typing import Any

from torch import nn

from trustbench.config import fingerprints
from trustbench.config.arms import Arm, Chosen
from trustbench.contracts import Problem
from trustbench.contracts.seeding import Streams
from trustbench.training.output_checks import (
    refuse_no_gradient,
    refuse_other_start,
    refuse_wrong_outputs,
)


def refuse_changed(arm: Arm) -> None:
    """Raises ConfigError if code or files of a plugin changed after the arm was composed."""
    parts: list[tuple[str, Chosen[Any]]] = [("dataset", arm.dataset), ("model", arm.model)]
    parts += [(f"intervention.{c.name}", c) for c in arm.interventions]
    parts += [(f"evaluator.{c.name}", c) for c in arm.evaluators]
    for key, chosen in parts:
        fingerprints.refuse_changed(chosen.plugin, key, chosen.marks)


def fresh_module(arm: Arm, problem: Problem, streams: Streams) -> nn.Module:
    """A freshly initialised module of the arm's model, with outputs that can be trained.

    Raises:
        ConfigError: it is built wrongly, or returns something other than logits.
    """
    build, name = arm.model.plugin.build, arm.model.name
    with streams.global_torch("initialisation"):
        module = build(problem)
    if arm.model.plugin.sources():
        name = f"{name} ({type(module).__name__})"
    refuse_wrong_outputs(name, module, problem)
    if arm.model.marks:
        refuse_no_gradient(name, module, problem)
        with streams.global_torch("initialisation"):
            refuse_other_start(name, module, build(problem))
    return module
