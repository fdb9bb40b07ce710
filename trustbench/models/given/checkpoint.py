"""A torch module with trained parameters: from a file and the module's code, or from Python."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import override

from trustbench.contracts import Array, Fact
from trustbench.contracts.given import Adapter, GivenChannel, GivenModel, ModelSource
from trustbench.errors import UserError
from trustbench.models import heads, own_module, targets
from trustbench.models.given.columns import Rows
from trustbench.models.given.files import digest
from trustbench.models.given.module_inputs import RowInputs, inputs_of
from trustbench.models.given.state_dicts import SUFFIXES, fill, read
from trustbench.training.output_checks import outputs

BATCH = 4096
PROBED = 4


@dataclass(frozen=True)
class GivenModule:
    """A torch module in evaluation mode that maps inputs to logits, with its preprocessing."""

    name: str
    module: nn.Module = field(repr=False)
    classes: tuple[str, ...]
    inputs: RowInputs
    facts: Mapping[str, Fact]

    channels: ClassVar[frozenset[GivenChannel]] = frozenset(
        {"probabilities", "queries", "gradients", "parameters"}
    )

    def predict_proba(self, rows: Rows) -> Array:
        """The softmax of the logits, float64 [n, C]."""
        X = torch.as_tensor(np.array(self.inputs(rows)))
        with torch.no_grad():
            parts = [self._logits(x) for x in X.split(BATCH)]
        empty = torch.zeros(0, len(self.classes), dtype=torch.float64)
        return torch.cat([p.double().softmax(-1) for p in parts] or [empty]).numpy()

    def describe(self) -> dict[str, Fact]:
        """The class, the digest of the file, the preprocessing and the classes in order."""
        order = ", ".join(f"{k}={name}" for k, name in enumerate(self.classes))
        adapted = heads.adapted(self.module)
        return {
            "kind": f"torch {type(self.module).__name__}",
            "signature": self.inputs.signature(),
            "outputs": order if adapted is None else f"{order}; {adapted}",
            "parameters": sum(p.numel() for p in self.module.parameters()),
            **self.facts,
        }

    def _logits(self, X: Tensor) -> Tensor:
        found = outputs(self.name, self.module, X)
        wanted = (len(X), len(self.classes))
        if not isinstance(found, Tensor) or tuple(found.shape) != wanted:
            shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise UserError(
                f"model {self.name}: its output is {shape} for {len(X)} rows of {wanted[1]} "
                f"classes; let forward return one tensor of logits {wanted}."
            )
        return found


class CheckpointAdapter(Adapter):
    """Opens a file of parameters, with the module's code.

    Options: `module` names the code, FILE:Net, and `args` its arguments. `encoder` (a file) or
    `transform` (a function, FILE:name) turns rows into inputs; without either, columns of numbers
    are taken as they are. `classes` names the classes in the order of the outputs.
    """

    kind: ClassVar[str] = "the parameters of a torch module"
    example: ClassVar[str] = "net.safetensors with --option module=net.py:Net"

    @override
    def accepts(self, source: ModelSource) -> bool:
        return source.path is not None and source.path.suffix.lower() in SUFFIXES

    @override
    def open(self, source: ModelSource) -> GivenModel:
        path = source.path
        assert path is not None
        state = read(path)
        code = source.options.get("module")
        if not code:
            raise UserError(
                f"model {path.name} holds the parameters of a torch module and not its code; name "
                "the class or the function that builds it (--option module=net.py:Net)."
            )
        target = targets.load(str(code), "module")
        inputs, classes = inputs_of(source), _classes(source)
        rows = _probe(source, inputs)
        known = own_module.offered(tuple(rows.shape[1:]), len(classes)) if len(rows) else {}
        module = targets.construct(target, _arguments(source), known, "args")
        if len(rows):
            own_module.prepare(f"{path.name} ({target.name})", module, rows)
        fill(module, state, path.name, target.name)
        kinds = sorted({str(t.dtype).removeprefix("torch.") for t in state.values()})
        facts = {"digest": digest(path), "module": str(code), "precision": ", ".join(kinds)}
        return _given(path.name, module, classes, inputs, rows, facts)


class ModuleAdapter(Adapter):
    """Takes a trained module from Python; the options are those of a checkpoint."""

    kind: ClassVar[str] = "a trained torch module from Python"
    example: ClassVar[str] = (
        "trustbench.audit(net, ..., options={'transform': 'prepare.py:encode'})"
    )

    @override
    def accepts(self, source: ModelSource) -> bool:
        return isinstance(source.given, nn.Module)

    @override
    def open(self, source: ModelSource) -> GivenModel:
        inputs = inputs_of(source)
        module = copy.deepcopy(source.given)
        return _given(source.name, module, _classes(source), inputs, _probe(source, inputs), {})


def _given(
    name: str,
    module: nn.Module,
    classes: tuple[str, ...],
    inputs: RowInputs,
    rows: Tensor,
    facts: Mapping[str, Fact],
) -> GivenModel:
    """A trained module as a given model: in evaluation mode, with one logit for each class."""
    module.eval().float().requires_grad_(False)
    if len(rows):
        own_module.prepare(name, module, rows)
        heads.adapt_one_logit(name, module, rows, classes)
        heads.adapt_softmax(name, module, rows)
    return GivenModule(name, module, classes, inputs, facts)


def _arguments(source: ModelSource) -> Mapping[str, Any]:
    """The option `args`: keyword arguments."""
    found: Any = source.options.get("args") or {}
    if not isinstance(found, Mapping):
        raise UserError(f"args is {found!r}; give keyword arguments, {{width: 16}}.")
    return found


def _classes(source: ModelSource) -> tuple[str, ...]:
    """The classes in the order of the outputs: as the user names them, else the target's in order.

    That order is the one in which encoders of labels count, whichever class is favourable.
    """
    named: Any = source.options.get("classes")
    if named is not None:
        return tuple(
            map(str.strip, named.split(",") if isinstance(named, str) else map(str, named))
        )
    if source.classes is None:
        raise UserError(
            f"model {source.name} does not say which classes it answers; name them in the order "
            "of its outputs (--option classes=no,yes)."
        )
    return source.classes


def _probe(source: ModelSource, inputs: RowInputs) -> Tensor:
    """The inputs of a few rows of the audited table; no rows without a table."""
    if source.table is None:
        return torch.zeros(0)
    return torch.as_tensor(np.array(inputs(source.table.head(PROBED))))
