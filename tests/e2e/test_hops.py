"""How many calls lead from the command line to the training loop; docs/architecture.md lists them.

A hop is a call from one function of trustbench, or of its Hydra plugins, to the next that is on the
stack when `training/loop.py: train` runs, from `cli.main` on. Functions of other packages are not
counted, nor are decorators, context managers, lambdas and comprehensions. A sweep's arm runs in a
process of its own: its hops are those down to the start of the process, the start itself, and
those in the process.
"""

import json
import re
from pathlib import Path

import pytest

from trustbench.commands import cli
from trustbench.launching.server import ForkServer

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "architecture.md"

PLUGIN = '''
"""Notes the stack from inside the training loop."""
import json, os, sys
from dataclasses import dataclass
from trustbench.contracts import Intervention
from trustbench.contracts.aspects import Aspect

def stack(frame):
    found = []
    while frame is not None:
        module, code = frame.f_globals["__name__"], frame.f_code
        ours = module.split(".")[0] in ("trustbench", "hydra_plugins")
        if ours and not code.co_name.startswith("<"):
            found.append(f"{module}:{code.co_qualname}")
        frame = frame.f_back
    return found[::-1]

@dataclass(frozen=True)
class NotesStack(Intervention):
    aspect = Aspect.FAIRNESS

    def weights(self, problem, members):
        found = stack(sys._getframe())
        with open(os.environ["TRUSTBENCH_STACK"], "w") as out:
            json.dump(found[: found.index("trustbench.training.loop:train") + 1], out)
        return None
'''
RUN = (
    *("dataset=digits", "training.epochs=1", "training.max_members=100", "protocol.replicates=2"),
    *(
        "device=cpu",
        "evaluator=utility",
        "intervention=notes_stack",
        "plugins=[notes_stack_plugin]",
    ),
)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs the command line in this process; the stack of `loop.train` in the arm's process."""
    folder = tmp_path / "options" / "intervention"
    folder.mkdir(parents=True)
    (tmp_path / "notes_stack_plugin.py").write_text(PLUGIN)
    (folder / "notes_stack.yaml").write_text(
        "# notes the stack\nnotes_stack:\n  _target_: notes_stack_plugin.NotesStack\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{ROOT}")
    monkeypatch.setenv("TRUSTBENCH_STACK", str(tmp_path / "stack.json"))

    def run(*args):
        given = [*args, *RUN, f"output_dir={tmp_path / 'out'}", "--config-dir", str(folder.parent)]
        assert cli.main(["run", *given]) == 0
        return json.loads((tmp_path / "stack.json").read_text())

    return run


def listed(heading):
    """The functions that the page lists under a heading, in order."""
    part = PAGE.read_text().split(f"### {heading}\n", 1)[1].split("\n#", 1)[0]
    return re.findall(r"^\d+\. `([^`]+)`", part, re.MULTILINE)


def test_one_arm_is_at_most_ten_hops_from_the_command_line(run):
    functions = run()
    assert functions[0] == "trustbench.commands.cli:main"
    assert len(functions) - 1 <= 10, functions
    assert listed("One arm") == functions


def test_an_arm_of_a_sweep_is_at_most_fifteen(run, monkeypatch):
    parent = []
    original = ForkServer.process

    def process(self, target, *args):
        import notes_stack_plugin

        found = notes_stack_plugin.stack(notes_stack_plugin.sys._getframe(1))
        parent[:] = [*found, "trustbench.launching.server:Server.process"]
        return original(self, target, *args)

    monkeypatch.setattr(ForkServer, "process", process)
    child = run("-m")
    assert parent[0] == "trustbench.commands.cli:main"
    assert child[0] == "trustbench.launching.child:main"
    functions = [*parent, *child]
    assert len(functions) - 1 <= 15, functions
    assert listed("An arm of a sweep") == functions
