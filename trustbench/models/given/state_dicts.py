"""Trained parameters of a torch module, from a file that holds tensors only."""

from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from trustbench.contracts.shortening import listed
from trustbench.errors import FAILURES, UserError, did_you_mean, first_sentence

SUFFIXES = (".safetensors", ".pt", ".pth", ".ckpt")
# Where training scripts put the parameters among the epoch, the optimizer and so on.
INSIDE = ("state_dict", "model_state_dict", "model", "params")
# What wrappers put before every name: DataParallel, Lightning, torch.compile.
PREFIXES = ("module.", "model.", "_orig_mod.", "net.")


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, or of what torch.save wrote; runs no code of the file.

    Raises:
        UserError: the file is damaged, or holds anything but tensors.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, EOFError) as error:
        raise UserError(
            f"model {path.name} cannot be read ({first_sentence(error)[:120]}); save it again."
        ) from error
    except (UnpicklingError, *FAILURES) as error:
        raise UserError(
            f"model {path.name} holds more than tensors, or is not a file of torch.save "
            f"({first_sentence(error)[:120]}); save torch.save(model.state_dict(), {path.name!r})."
        ) from error
    return _tensors(path, found)


def _tensors(path: Path, found: Any) -> dict[str, Tensor]:
    """The state dict in what torch.load returned."""
    if not isinstance(found, Mapping):
        raise UserError(
            f"model {path.name} holds a {type(found).__name__} in place of a state dict; save "
            f"torch.save(model.state_dict(), {path.name!r})."
        )
    inner = [found[k] for k in INSIDE if isinstance(found.get(k), Mapping)]
    chosen = inner[0] if inner else found
    other = [str(k) for k, v in chosen.items() if not isinstance(v, Tensor)]
    if other or not chosen:
        what = f"holds {listed(other)} beside tensors" if other else "is empty"
        raise UserError(
            f"model {path.name} {what}; save the state dict alone, or under one of the keys "
            f"{', '.join(INSIDE)}."
        )
    return {str(k): v for k, v in chosen.items()}


def fill(module: nn.Module, state: Mapping[str, Tensor], file: str, name: str) -> None:
    """Copies the tensors of a state dict into a module; `name` is what sentences call the module.

    Raises:
        UserError: a tensor is missing, not expected, or of another shape.
    """
    own = module.state_dict()
    state = _without_prefix(state, own)
    lacking, more = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    if lacking:
        raise UserError(
            f"model {file} lacks {listed(lacking)} of {name}"
            + (f"; it holds {listed(more)} instead" if more else "")
            + "; name the module that it was trained with."
        )
    if more:
        raise UserError(
            f"model {file} holds {listed(more)}, which {name} does not have; "
            + did_you_mean(more[0], own)
        )
    for key, value in own.items():
        if value.shape != state[key].shape:
            raise UserError(
                f"model {file} holds {key} of shape {tuple(state[key].shape)}, but that of {name} "
                f"has {tuple(value.shape)}; give the arguments that it was trained with "
                "(--option 'args={width: 16}'), and the same inputs and classes."
            )
    module.load_state_dict(dict(state))


def _without_prefix(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Drops what a wrapper put before every name, unless the module has it as well."""
    for prefix in PREFIXES:
        all_have = all(key.startswith(prefix) for key in state)
        if all_have and not any(key.startswith(prefix) for key in own):
            return {key.removeprefix(prefix): value for key, value in state.items()}
    return dict(state)
