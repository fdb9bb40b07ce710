"""Which commands there are; each is a module beside this one. Imports no more than that."""

import importlib
from types import ModuleType

COMMANDS = {
    "run": "compose, train, measure, log; a sweep prints its table at the end",
    "cell": "what one cell of the table measures, its numbers here, and its references",
    "summarize": "the table of stored records, in any format",
    "report": "one self-contained HTML file: table, cells, curves, provenance",
    "gate": "whether a change keeps a policy: exit 0 pass, 3 violated, 4 inconclusive",
    "audit": "a given model on your rows, with intervals and a policy; trains nothing",
    "select": "which measured arm serves a policy best; Pareto front; what was traded",
    "export": "one model of a measured arm for use: a folder, an MLflow model, ONNX",
    "card": "the model card of a record, as Markdown with front matter",
    "datasheet": "the datasheet of a data set, as Markdown with front matter",
    "plan": "what a run would do, train nothing: done, to do, unsupported; known interactions",
    "list": "datasets, models, interventions, evaluators, metrics, experiments, tables, policies",
    "data": "list, download and check the files of the datasets",
    "check-plugin": "whether a plugin, your own too, keeps the contract of its kind",
    "sign": "sign the records and tables of a sweep with a key; --new-key makes one",
    "verify": "whether the records and tables of a sweep are those that were signed",
    "sync": "upload records that the tracking server does not have yet",
    "completion": "the script that lets bash, zsh or fish complete commands, options and arms",
    "doctor": "what this installation and store are, and what needs attention; --reap",
}
"""Every command, in the order of `trustbench --help`, and what it is about."""

MODULES = {
    "list": "listing",
    "check-plugin": "check_plugin",
}
"""Modules that cannot have their command's name: `list` would shadow the type in its own code."""


def module_of(command: str) -> ModuleType:
    """Imports the module of a command; its `main(args)` returns the exit code."""
    return importlib.import_module(f"trustbench.commands.{MODULES.get(command, command)}")
