"""The commits of a run's code: the user's project, and a checkout of trustbench."""

import subprocess
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

COMMIT, DIRTY = "project_commit", "project_dirty"
"""The key of the user's project in a record's environment."""


def project() -> dict[str, str | bool]:
    """The commit of the git repository of the working directory; empty outside of one."""
    state = _state(Path.cwd())
    return {} if state is None else {COMMIT: state[0], DIRTY: state[1]}


def git_tags(environment: Mapping[str, object]) -> dict[str, str]:
    """Tags for the project's commit, from a record's environment, and for trustbench's own."""
    tags = {}
    if COMMIT in environment:
        tags["mlflow.source.git.commit"] = str(environment[COMMIT])
        tags["trustbench.project_dirty"] = str(environment.get(DIRTY)).lower()
    root = Path(__file__).parents[2]
    own = _state(root) if (root / ".git").exists() else None
    if own is not None:  # an installed wheel has only its version
        tags["trustbench.git_commit"] = own[0]
        tags["trustbench.git_dirty"] = str(own[1]).lower()
    return tags


@lru_cache(maxsize=4)
def _state(folder: Path) -> tuple[str, bool] | None:
    """(commit, whether tracked files differ from it); None without git or without a commit."""
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        return commit, bool(_git(folder, "status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.SubprocessError):
        return None  # the tag is then absent


def _git(root: Path, *args: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(root), *args], capture_output=True, text=True, check=True, timeout=10
    )
    return done.stdout.strip()
