"""The commit that a checkout of trustbench is at."""

import subprocess
from functools import lru_cache
from pathlib import Path


@lru_cache(maxsize=1)
def git_tags() -> dict[str, str]:
    """Tags of the commit that ran; nothing for an installed wheel."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return {}
    try:
        commit = _git(root, "rev-parse", "HEAD")
        dirty = bool(_git(root, "status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.SubprocessError):
        return {}  # no git on this machine: the tag is absent, which says so
    return {
        "mlflow.source.git.commit": commit,
        "trustbench.git_commit": commit,
        "trustbench.git_dirty": str(dirty).lower(),
    }


def _git(root: Path, *args: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(root), *args], capture_output=True, text=True, check=True, timeout=10
    )
    return done.stdout.strip()
