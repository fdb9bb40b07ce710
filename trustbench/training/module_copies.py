"""Copies of a module that can change, and switch mode, without changing the module."""

import copy
from itertools import chain

from torch import nn


def shared_copy(module: nn.Module) -> nn.Module:
    """Returns a copy with its own submodules that shares the module's parameters and buffers."""
    held = chain(module.parameters(), module.buffers())
    return copy.deepcopy(module, {id(tensor): tensor for tensor in held})
