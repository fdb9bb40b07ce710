"""Checks of `trustbench doctor` that need no server: the installation and the store."""

import platform
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import requires, version
from importlib.util import find_spec

from trustbench import __version__
from trustbench.store.audits import audits
from trustbench.store.records import Store

ROOM = 2**30
"""Free bytes below which a run may fill the disk: one large arm takes some 100 MB."""
LAUNCHERS = {"ray": "ray", "slurm": "submitit"}
"""Launchers that are extras, with the module that each needs."""


@dataclass(frozen=True)
class HealthFinding:
    """One line of the doctor; `wrong` ones need attention."""

    text: str
    wrong: bool = False


class _Held(Exception):
    """Another process has the arm's lock."""


def installation() -> Iterator[HealthFinding]:
    """Versions, devices and launchers."""
    yield HealthFinding(
        f"trustbench {__version__}, Python {platform.python_version()}, {platform.platform()}"
    )
    yield torch_pair(version("torch"), version("torchvision"), requires("torchvision") or [])
    yield HealthFinding(_devices())
    names = ("opacus", "mlflow", "hydra-core", "numpy", "scikit-learn")
    yield HealthFinding(", ".join(f"{n} {version(n)}" for n in names))
    extra = {name: find_spec(module) is not None for name, module in LAUNCHERS.items()}
    there = ", ".join(["basic", "joblib", "pool", *(n for n, found in extra.items() if found)])
    absent = [f"{n} (pip install 'trustbench[{n}]')" for n, found in extra.items() if not found]
    missing = f"; not installed: {', '.join(absent)}" if absent else ""
    yield HealthFinding(f"launchers: {there}{missing}")


def torch_pair(torch: str, torchvision: str, required: list[str]) -> HealthFinding:
    """Whether torch is the build for which torchvision was made."""
    pinned = [r.split("==")[1].split(";")[0].strip() for r in required if r.startswith("torch==")]
    builds = {v.split("+")[1] for v in (torch, torchvision) if "+" in v}
    said = f"torch {torch}, torchvision {torchvision}"
    if (pinned and torch.split("+")[0] != pinned[0].split("+")[0]) or len(builds) > 1:
        wanted = f"torch {pinned[0]}" if pinned else "torch of the same build"
        return HealthFinding(
            f"{said}: it is made for {wanted}; install both anew together", wrong=True
        )
    return HealthFinding(f"{said} match")


def store_lines(store: Store, warnings: list[str]) -> Iterator[HealthFinding]:
    """The store's folder, space and records; `warnings` receives the store's warnings."""
    if not store.root.is_dir():
        yield HealthFinding(f"store {store.root}: not there yet; the first run makes it")
        return
    free = shutil.disk_usage(store.root).free
    yield HealthFinding(f"store {store.root}: {free / 2**30:z.1f} GB free", wrong=free < ROOM)
    try:
        tempfile.TemporaryFile(dir=store.root).close()
    except OSError as error:
        yield HealthFinding(f"store: cannot be written to ({error.strerror})", wrong=True)
    records = list(store.records())
    audits(store.root, store.warn)  # for its warnings
    counts = Counter(r.status for r in records)
    found = ", ".join(f"{n} {status}" for status, n in sorted(counts.items())) or "none"
    yield HealthFinding(f"records: {found}")
    for warning in warnings:
        yield HealthFinding(f"record: {warning}", wrong=True)
    warnings.clear()
    started = [r.id for r in records if r.status == "started"]
    held = sum(_held(store, arm) for arm in started)
    if held:
        yield HealthFinding(f"records: {held} started ones are being computed now")
    if len(started) > held:
        yield HealthFinding(
            f"records: {len(started) - held} started ones were left by runs that died; the same "
            "command continues them"
        )


def _held(store: Store, arm: str) -> bool:
    def held() -> None:
        raise _Held

    try:
        with store.exclusive(arm, held):
            return False
    except _Held:
        return True


def _devices() -> str:
    import torch

    names = [torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())]
    return f"CUDA {torch.version.cuda or 'not built in'}: {', '.join(names) or 'no device'}"
