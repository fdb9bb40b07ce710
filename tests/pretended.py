"""A pretended CUDA device: CPU tensors that say they are on a GPU and refuse to be mixed.

Storages are marked as lying on the device. A mode for torch's functions answers `.device`, honours
`device=` and refuses what only the CPU can do; a mode for its operators passes marks on, refuses
operators that mix devices, and counts. The arithmetic is the CPU's, so results are its bits.
"""

from collections import Counter
from contextlib import contextmanager
from typing import ClassVar

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

DEVICE = torch.device("cuda")
_HERE = torch.device("cuda", 0)  # what a tensor on it says
_CPU = torch.device("cpu")
_functorch, _quietly = torch._C._functorch, torch._C.DisableTorchFunction
_aten = torch.ops.aten

# Operators after which the host waits for the device.
WAITING = {
    _aten._local_scalar_dense, _aten.nonzero, _aten.masked_select, _aten.equal, _aten.bincount,
    _aten._unique2, _aten.unique_dim, _aten.unique_consecutive, _aten.repeat_interleave,
}  # fmt: skip
# Operators that no GPU repeats to the bit, as torch.use_deterministic_algorithms lists them.
UNREPEATABLE = {
    getattr(_aten, name)
    for name in (
        "_adaptive_avg_pool2d_backward", "_adaptive_avg_pool3d_backward", "_ctc_loss_backward",
        "adaptive_max_pool2d_backward", "avg_pool3d_backward", "fractional_max_pool2d_backward",
        "fractional_max_pool3d_backward", "grid_sampler_2d_backward", "grid_sampler_3d_backward",
        "histc", "max_unpool2d", "max_unpool3d", "nll_loss2d_forward", "put_",
        "reflection_pad1d_backward", "reflection_pad2d_backward", "reflection_pad3d_backward",
        "upsample_bicubic2d_backward", "upsample_bilinear2d_backward", "upsample_linear1d_backward",
        "upsample_trilinear3d_backward",
    )
}  # fmt: skip
# Operators that take indices of the CPU, or copy between devices.
_INDEXING = {_aten.index, _aten.index_put, _aten.index_put_, _aten._index_put_impl_}
_GET = {name: getattr(torch.Tensor, name).__get__ for name in ("device", "is_cuda", "is_cpu")}


class MixedDevices(RuntimeError):
    """What torch would refuse on a GPU."""


class Pretended:
    """Which storages lie on the device, and what has been done there."""

    marks: ClassVar = {}  # of the process, as tensors outlive the context

    def __init__(self):
        self.limit = 100_000
        self.inside = (
            False  # whether a function of torch runs that was given a tensor of the device
        )
        self.reset()

    def reset(self):
        """Counts from here."""
        self.operators, self.waits, self.bytes_in, self.copies_in = Counter(), Counter(), 0, 0

    def holds(self, tensor):
        """Whether a tensor lies on the device."""
        return _storage(tensor)._cdata in self.marks

    def put(self, tensor):
        """Marks a tensor."""
        storage = _storage(tensor)
        self.marks[storage._cdata] = StorageWeakRef(storage)
        if len(self.marks) > self.limit:
            for key in [k for k, r in self.marks.items() if r.expired()]:
                del self.marks[key]
            self.limit = max(100_000, 2 * len(self.marks))

    def any(self, values):
        """Whether one of the tensors in a structure lies on the device."""
        return any(self.holds(t) for t in tree_leaves(values) if isinstance(t, torch.Tensor))

    def moved(self, tensor, source, device):
        """The result of a copy of `source` to a device."""
        on = device.type == "cuda"
        if self.holds(source) == on:
            return tensor
        if _storage(tensor)._cdata == _storage(source)._cdata or self.holds(tensor):
            tensor = _unmarked(self, tensor)
        if on:
            self.bytes_in += tensor.numel() * tensor.element_size()
            self.copies_in += 1
            self.put(tensor)
        else:
            self.waits["copy to the host"] += 1
        return tensor


def _unmarked(device, tensor):
    """A copy that lies on the CPU."""
    tensor = tensor.clone()
    device.marks.pop(_storage(tensor)._cdata, None)
    return tensor


def _storage(tensor):
    with _quietly():
        while _functorch.is_functorch_wrapped_tensor(tensor):
            tensor = _functorch.get_unwrapped(tensor)
        return tensor.untyped_storage()


class _Functions(TorchFunctionMode):
    """Functions and attributes of torch, as Python calls them."""

    def __init__(self, device):
        super().__init__()
        self.device = device

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        for name, get in _GET.items():
            if func == get:
                on = self.device.holds(args[0])
                return {"device": _HERE if on else _CPU, "is_cuda": on, "is_cpu": not on}[name]
        special = _SPECIAL.get(func)
        if special is not None:
            return special(self, func, args, kwargs)
        target = kwargs.get("device")
        if target is None:
            return self._run(func, args, kwargs)
        return self._made(func, args, kwargs, torch.device(target))

    def _pinned(self, func, args, kwargs):
        return args[0]

    def _shared(self, func, args, kwargs):
        """What numpy sees of a tensor's memory."""
        if self.device.holds(args[0]):
            raise MixedDevices(f"{func.__name__} of a tensor on the device; copy it with .cpu()")
        return self._run(func, args, kwargs)

    def _listed(self, func, args, kwargs):
        if self.device.holds(args[0]):
            self.device.waits["copy to the host"] += 1
        return self._run(func, args, kwargs)

    def _on_host(self, func, args, kwargs):
        return self.device.moved(self._run(func, args, kwargs), args[0], _CPU)

    def _run(self, func, args, kwargs):
        before, self.device.inside = self.device.inside, self.device.any((args, kwargs))
        try:
            return func(*args, **kwargs)
        finally:
            self.device.inside = before

    def _to(self, func, args, kwargs):
        source, *rest = args
        target = kwargs.pop("device", None)
        for k, value in enumerate(rest):
            if isinstance(value, torch.Tensor):
                target = _HERE if self.device.holds(value) else _CPU
                rest[k] = value.dtype
            elif isinstance(value, str | torch.device):
                target, rest[k] = value, _CPU
        rest = [v for v in rest if v is not _CPU]
        out = self._run(func, (source, *rest), kwargs) if rest or kwargs else source
        return out if target is None else self.device.moved(out, source, torch.device(target))

    def _made(self, func, args, kwargs, target):
        """A tensor that is made on a device, or brought there (`as_tensor`)."""
        generator = kwargs.get("generator")
        if generator is not None and generator.device.type != target.type:
            raise MixedDevices(f"{func.__name__}: generator of {generator.device} for {target}")
        out = func(*args, **{**kwargs, "device": _CPU})
        source = args[0] if args and isinstance(args[0], torch.Tensor) else None
        if source is not None and func == torch.as_tensor:
            return self.device.moved(out, source, target)
        if target.type == "cuda":
            if func == torch.as_tensor:  # it may share the memory of a numpy array
                out = self.device.moved(out, out, target)
            self.device.put(out)
        else:
            self.device.marks.pop(_storage(out)._cdata, None)
        return out


_SPECIAL = {
    torch.Tensor.pin_memory: _Functions._pinned,
    torch.Tensor.numpy: _Functions._shared,
    torch.Tensor.__array__: _Functions._shared,
    torch.Tensor.tolist: _Functions._listed,
    torch.Tensor.cpu: _Functions._on_host,
    torch.Tensor.to: _Functions._to,
}


class _Operators(TorchDispatchMode):
    """Operators, as kernels see them: below autograd and vmap."""

    def __init__(self, device):
        super().__init__()
        self.device = device

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        device = self.device
        with _quietly():
            tensors = [t for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)]
            on = [device.holds(t) for t in tensors]
            made = not tensors and device.inside
            packet = func.overloadpacket
            if any(on):
                self._watch(packet, func, args, tensors, on)
            out = func(*args, **kwargs)
            if packet is _aten.copy_:
                return out
            if any(on) or made:
                for t in tree_leaves(out):
                    if isinstance(t, torch.Tensor):
                        device.put(t)
        return out

    def _watch(self, packet, func, args, tensors, on):
        """Refuses what mixes devices, and counts."""
        device = self.device
        if packet is _aten.copy_:
            self._copied(tensors, on)
        elif packet not in _INDEXING or not on[0]:
            mixed = [tuple(t.shape) for t, o in zip(tensors, on, strict=True) if not o and t.ndim]
            if mixed:
                raise MixedDevices(f"{func} of the device is given CPU tensors of shape {mixed}")
        if packet in UNREPEATABLE or func in (_aten.median.dim, _aten.nanmedian.dim):
            raise RuntimeError(f"{func} does not have a deterministic implementation")
        if packet in WAITING:
            device.waits[packet.__name__] += 1
        if packet in _INDEXING and any(i is not None and i.dtype == torch.bool for i in args[1]):
            device.waits["mask"] += 1
        self._count(packet, func)

    def _count(self, packet, func):
        if not any(r.alias_info and not r.alias_info.is_write for r in func._schema.returns):
            self.device.operators[packet.__name__] += 1

    def _copied(self, tensors, on):
        """A copy into a tensor, which may cross devices."""
        if on == [True, False]:
            self.device.bytes_in += tensors[1].numel() * tensors[1].element_size()
            self.device.copies_in += 1
        elif on == [False, True]:
            self.device.waits["copy to the host"] += 1


@contextmanager
def pretended():
    """Inside, `cuda` is the pretended device."""
    device = Pretended()
    with _Operators(device), _Functions(device):
        yield device
