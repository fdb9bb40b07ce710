"""Copies of a module that can be changed, and put into a mode, without changing the module."""

import copy
from itertools import chain

from torch import nn


def shared_copy(module: nn.Module) -> nn.Module:
    """A copy with submodules of its own, and the parameters and buffers of the module."""
    held = chain(module.parameters(), module.buffers())
    return copy.deepcopy(module, {id(tensor): tensor for tensor in held})
