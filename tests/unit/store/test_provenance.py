"""The commit in tags is that of the user's project, and not of trustbench."""

import subprocess

import pytest

from trustbench.store import provenance


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A project of one commit, which is the working directory; its commit."""
    monkeypatch.chdir(tmp_path)
    provenance._state.cache_clear()

    def git(*args):
        names = ["-c", "user.name=n", "-c", "user.email=e@e", "-c", "commit.gpgsign=false"]
        done = subprocess.run(
            ["git", *names, *args], check=True, capture_output=True, text=True, cwd=tmp_path
        )
        return done.stdout.strip()

    (tmp_path / "mine.py").write_text("a = 1\n")
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "first")
    yield git("rev-parse", "HEAD")
    provenance._state.cache_clear()


def test_the_commit_is_the_projects(repository, tmp_path):
    state = provenance.project()
    assert state == {"project_commit": repository, "project_dirty": False}
    tags = provenance.git_tags(state)
    assert tags["mlflow.source.git.commit"] == repository
    assert tags["trustbench.project_dirty"] == "false"
    assert tags.get("trustbench.git_commit") != repository
    (tmp_path / "mine.py").write_text("a = 2\n")
    provenance._state.cache_clear()
    assert provenance.project()["project_dirty"] is True


def test_a_folder_below_the_project_counts(repository, tmp_path, monkeypatch):
    (tmp_path / "conf").mkdir()
    monkeypatch.chdir(tmp_path / "conf")
    assert provenance.project()["project_commit"] == repository


def test_outside_of_a_repository_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    provenance._state.cache_clear()
    assert provenance.project() == {}
    assert "mlflow.source.git.commit" not in provenance.git_tags({})
