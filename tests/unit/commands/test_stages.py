"""What a command is doing: the first line at once, then each stage; one live line on a terminal."""

import io
import subprocess
import sys

from trustbench.commands import stages
from trustbench.execution.audit.stages import begin


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_file_gets_one_line_for_each_stage_with_the_seconds():
    out = io.StringIO()
    begin("nobody watches", "nothing happens")
    with stages.shown("audit", out):
        begin("measuring fairness")
        for done in range(50):
            begin("intervals over redrawn rows", f"{done} of 50 draws\x1b[2J, fairness")
    begin("nobody watches again")
    first, second, third = out.getvalue().splitlines()
    assert first == "[audit]    0.0 s  loading"
    assert second.endswith(" s  measuring fairness")
    assert "intervals over redrawn rows: 0 of 50 draws" in third
    assert "\x1b" not in out.getvalue()


def test_a_stage_that_takes_long_gets_another_line(monkeypatch):
    monkeypatch.setattr(stages, "REPEAT_S", 0.0)
    out = io.StringIO()
    with stages.shown("audit", out):
        begin("intervals", "1 of 2")
        begin("intervals", "2 of 2")
    assert [line[-6:] for line in out.getvalue().splitlines()[1:]] == ["1 of 2", "2 of 2"]


def test_a_terminal_has_one_line_that_counts_and_is_gone_at_the_end(monkeypatch):
    monkeypatch.setattr(stages, "REFRESH_S", 0.01)
    out = Terminal()
    with stages.shown("audit", out):
        begin("measuring fairness")
        while out.getvalue().count("measuring fairness") < 3:  # the clock writes it again
            pass
    assert "\n" not in out.getvalue()
    assert out.getvalue().endswith("\r\x1b[K")


def test_the_first_line_comes_before_anything_heavy_is_loaded():
    code = "import sys, trustbench.commands.audit; print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "False\n"
