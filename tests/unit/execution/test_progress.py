"""Progress: one line a stage where nobody watches, one live line where somebody does."""

import io
import multiprocessing

from trustbench.execution.progress import REPORTS, Lines, Live, arm_progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def _train(progress):
    for epoch in range(1, 4):
        progress("train", epoch, 3)
    progress("fairness", 0, 2)
    progress("privacy", 1, 2)
    progress("done", 2, 2)


def test_a_pipe_gets_one_line_per_stage():
    out = io.StringIO()
    with arm_progress("dpsgd epsilon=3", 16, out) as progress:
        assert isinstance(progress, Lines)
        _train(progress)
    lines = out.getvalue().splitlines()
    assert [line.split()[-1] for line in lines] == ["train", "fairness", "privacy", "done"]
    assert all(line.startswith("[dpsgd epsilon=3, 16 replicates]") for line in lines)


def test_a_terminal_gets_a_live_line_with_stage_and_count():
    out = Terminal()
    with arm_progress("none", 16, out) as progress:
        assert isinstance(progress, Live)
        _train(progress)
        task = progress.bar.tasks[0]
        assert (task.completed, task.total, task.fields["stage"]) == (2, 2, "done")
        progress.bar.refresh()
    assert "16 replicates" in out.getvalue()


def test_a_process_that_a_launcher_has_made_reports_there():
    reports = object()
    token = REPORTS.set(reports)
    with arm_progress("none", 2, Terminal()) as progress:
        assert progress is reports
    REPORTS.reset(token)


def test_a_worker_process_never_draws_over_the_others(monkeypatch):
    monkeypatch.setattr(multiprocessing.current_process(), "_name", "LokyProcess-1")
    with arm_progress("none", 2, Terminal()) as progress:
        assert isinstance(progress, Lines)
