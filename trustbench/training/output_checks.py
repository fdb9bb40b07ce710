"""Checks a model before training: float32, and one finite logit per class.

Of the user's own code also that its gradients are there, and that its start depends on the seed.
"""

import torch
from torch import Tensor, nn
from torch.func import functional_call

from trustbench.contracts import Problem
from trustbench.errors import FAILURES, ConfigError, first_sentence
from trustbench.training.module_copies import shared_copy

ROWS = 2
DRAWS = 3  # of parameters at which gradients are looked for: a ReLU may be dead at one


def refuse_wrong_outputs(name: str, module: nn.Module, problem: Problem) -> None:
    """Raises ConfigError unless an untrained module returns one finite logit per row and class."""
    _refuse_wrong_parameters(name, module)
    X = torch.as_tensor(problem.X[problem.splits["train"][:ROWS]])
    evaluated = shared_copy(module).eval()
    with torch.no_grad():
        found = outputs(name, evaluated, X)
    if not isinstance(found, Tensor):
        raise ConfigError(
            f"model {name}: its forward returns a {type(found).__name__}; return one tensor of "
            "logits [n, classes]."
        )
    shape, wanted = tuple(found.shape), (len(X), len(problem.classes))
    if shape != wanted:
        raise ConfigError(
            f"model {name}: its output has shape {shape} for {len(X)} rows of the "
            f"{wanted[1]} classes of {problem.name}; let its last layer have "
            f"{wanted[1]} outputs, len(problem.classes)."
        )
    if found.dtype != torch.float32:
        raise ConfigError(
            f"model {name}: its output is {found.dtype}; return logits in torch.float32, without "
            "a conversion or an argmax in forward."
        )
    if not found.isfinite().all():
        raise ConfigError(
            f"model {name}: its output is not finite on rows of {problem.name} before any "
            "training; look at its initial parameters and divisions."
        )


def refuse_other_start(name: str, module: nn.Module, again: nn.Module) -> None:
    """Raises ConfigError unless two modules built from one random stream start as the same one."""
    held = zip(_tensors(module).items(), _tensors(again).items(), strict=False)
    same = len(_tensors(module)) == len(_tensors(again))
    if not same or any(n != m or not _equal(a, b) for (n, a), (m, b) in held):
        raise ConfigError(
            f"model {name}: built twice from one random stream it starts with other parameters or "
            "buffers, so two runs of one arm would differ; draw them with torch's global generator "
            "(torch.randn, nn.init), not with numpy or random."
        )


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def _equal(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and bool(torch.allclose(a, b, equal_nan=True))


def outputs(name: str, module: nn.Module, X: Tensor) -> object:
    """What a module returns for X, which it may not change.

    Raises:
        ConfigError: its forward fails, or changes its inputs in place.
    """
    given = X.clone()
    try:
        found: object = module(given)
    except FAILURES as error:
        raise ConfigError(
            f"model {name}: its forward fails on a batch of shape {tuple(X.shape)} and type "
            f"{X.dtype}: {first_sentence(error)}; let it take the inputs of this data set."
        ) from error
    if not torch.equal(given.detach().nan_to_num(), X.detach().nan_to_num()):
        raise ConfigError(
            f"model {name}: its forward changes its inputs in place, and with them the data; let "
            "it work on a copy (x = x.clone())."
        )
    return found


def refuse_no_gradient(name: str, module: nn.Module, problem: Problem) -> None:
    """Raises ConfigError if inputs or free parameters have no gradient, or logits no free range."""
    module = shared_copy(module).eval()
    X = torch.as_tensor(problem.X[problem.splits["train"][:ROWS]])
    free = {n: p for n, p in module.named_parameters() if p.requires_grad}
    largest = 0.0
    for draw in range(DRAWS):
        generator = torch.Generator().manual_seed(draw)
        # away from initial values such as a head of zeros, which pass no gradient on
        noisy = {n: _noisy(p, generator).requires_grad_() for n, p in free.items()}
        x = X.clone().requires_grad_()
        try:
            logits = functional_call(module, noisy, (x * 1,))
        except FAILURES as error:
            raise ConfigError(
                f"model {name}: its forward fails where gradients are taken "
                f"({first_sentence(error)}); use torch operations only, and none in place on "
                "tensors that are read again."
            ) from error
        _refuse_probabilities(name, logits)
        largest = max(largest, _input_gradient(name, logits, x, noisy))
        if largest > 0:
            return
    raise ConfigError(_NO_INPUT_GRADIENT.format(name, "zero"))


def _noisy(p: Tensor, generator: torch.Generator) -> Tensor:
    return p.detach() + 0.1 * torch.randn(p.shape, generator=generator)


_NO_INPUT_GRADIENT = (
    "model {}: the gradient of its logits with respect to the inputs is {}, so that attacks and "
    "explanations would find nothing; keep rounding, comparisons, .detach(), .long() and "
    "torch.no_grad() out of forward."
)


def _input_gradient(name: str, logits: Tensor, x: Tensor, free: dict[str, Tensor]) -> float:
    """The largest entry of the logits' gradient with respect to the inputs."""
    weights = torch.arange(1.0, logits.shape[1] + 1)
    none = [None] * (len(free) + 1)
    found = (
        torch.autograd.grad((logits * weights).sum(), [x, *free.values()], allow_unused=True)
        if logits.requires_grad
        else none
    )
    unused = [n for n, g in zip(free, found[1:], strict=True) if g is None]
    if unused:
        raise ConfigError(
            f"model {name}: its parameter {unused[0]} takes no part in the logits, so it has no "
            "gradient; use it in forward, remove it, or freeze it (requires_grad=False)."
        )
    if found[0] is None:
        raise ConfigError(_NO_INPUT_GRADIENT.format(name, "missing"))
    return float(found[0].abs().max())


# Views between the last operation of a module and its output.
_VIEWS = ("View", "Squeeze", "Unsqueeze", "Reshape", "Select", "Alias", "Clone", "T", "Permute")
_PROBABILITIES = {"Softmax": "a softmax", "Sigmoid": "a sigmoid"}


def last_operation(output: Tensor) -> str:
    """The name of the operation that made an output, without views: `Softmax`, `Addmm`."""
    node = output.grad_fn
    while node is not None:
        kind = node.name().rstrip("0123456789").removesuffix("Backward")
        if kind.lstrip("_").removeprefix("Unsafe") not in _VIEWS:
            return kind
        node = node.next_functions[0][0]
    return ""


def _refuse_probabilities(name: str, logits: Tensor) -> None:
    last = _PROBABILITIES.get(last_operation(logits))
    if last is not None:
        raise ConfigError(
            f"model {name}: its forward ends in {last}, so it returns probabilities, and the loss "
            "would take their softmax again; return the logits before it."
        )


def _refuse_wrong_parameters(name: str, module: nn.Module) -> None:
    found = dict(module.named_parameters())
    if not found:
        raise ConfigError(f"model {name}: it has no parameters, so there is nothing to train.")
    if not any(p.requires_grad for p in found.values()):
        raise ConfigError(
            f"model {name}: all its parameters are frozen (requires_grad=False), so there is "
            "nothing to train; leave one of them free."
        )
    for parameter, value in found.items():
        if value.dtype != torch.float32:
            raise ConfigError(
                f"model {name}: its parameter {parameter} is {value.dtype}, and inputs are "
                "torch.float32; build the model in single precision (module.float())."
            )
