"""Work in counts that no other process on the machine changes: calls, tensor operations, FLOPs."""

import sys
from pathlib import Path

from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

import trustbench

HOME = str(Path(trustbench.__file__).parent)


class _Operations(TorchDispatchMode):
    """Counts the tensor operations inside its block."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += 1
        return func(*args, **(kwargs or {}))


def counted(job):
    """The work of calling `job` once, after a first call has imported and cached what it needs."""
    job()
    calls = 0

    def watch(frame, event, _argument):
        nonlocal calls
        calls += event == "call" and frame.f_code.co_filename.startswith(HOME)

    flops, operations = FlopCounterMode(display=False), _Operations()
    before = sys.getprofile()
    with flops, operations:
        sys.setprofile(watch)
        try:
            job()
        finally:
            sys.setprofile(before)
    return {"calls": calls, "operations": operations.count, "flops": flops.get_total_flops()}
