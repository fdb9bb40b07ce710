"""Changes one thing at a time in the core modules, and says which changes no test notices.

    python scripts/mutants.py                      every core module, in hours
    python scripts/mutants.py sampling --most 40   one module, a seeded sample of its mutants

Cosmic Ray makes the mutants; each runs the tests of its module in a process of its own, forked
from one that has imported the libraries. Results are kept in `scripts/mutants.json`, the reasons of
survivors in `scripts/mutants.yaml`, and `docs/mutants.md` is written from both.
"""

import argparse
import importlib.machinery
import importlib.util
import json
import os
import random
import signal
import sys
from pathlib import Path
from typing import NamedTuple

import yaml

ROOT = Path(__file__).resolve().parents[1]
RESULTS, REASONS, PAGE = (
    ROOT / name for name in ("scripts/mutants.json", "scripts/mutants.yaml", "docs/mutants.md")
)
LIMIT_S = 300
MARKS = "not slow and not gpu and not science and not network and not cluster"
# Module -> the tests that must notice a change in it.
CORE = {
    "trustbench/training/sampling.py": ["training/test_sampling.py"],
    "trustbench/training/clipping.py": [
        "interventions/privacy/test_dpsgd.py",
        "interventions/privacy/test_noise_sources.py",
    ],
    "trustbench/methods/privacy/accounting.py": ["methods/privacy/test_accounting.py"],
    "trustbench/methods/privacy/renyi.py": ["methods/privacy/test_accounting.py"],
    "trustbench/methods/privacy/composition.py": ["methods/privacy"],
    "trustbench/methods/conformal/quantiles.py": ["methods/test_conformal.py"],
    "trustbench/methods/conformal/private.py": ["methods", "interventions/privacy"],
    "trustbench/methods/groups.py": [
        "methods/test_groups.py",
        "methods/test_group_nulls.py",
        "evaluators/fairness/test_fairness.py",
    ],
    "trustbench/methods/group_nulls.py": ["methods/test_group_nulls.py"],
    "trustbench/summary/stats/series.py": ["summary/stats"],
    "trustbench/summary/stats/effects.py": ["summary/stats"],
    "trustbench/summary/stats/multiplicity.py": ["summary/stats/test_multiplicity.py"],
    "trustbench/summary/stats/verdicts.py": ["summary/stats"],
    "trustbench/summary/stats/nulls.py": ["summary/stats/test_nulls.py"],
    "trustbench/summary/table/risk.py": ["summary/table/test_risk.py"],
    "trustbench/summary/decide/decisions.py": ["summary/decide"],
    "trustbench/summary/decide/gate.py": ["summary/decide"],
}
# hypothesis is not among them: pytest wants to rewrite its assertions
LIBRARIES = ("matplotlib.figure", "numpy", "opacus", "pandas", "pydantic", "pytest", "scipy.stats",
             "sklearn.linear_model", "torch")  # fmt: skip
NAMES = {"min": "max", "max": "min", "any": "all", "all": "any", "floor": "ceil", "ceil": "floor"}
BINARY = {"Add_Sub", "Sub_Add", "Mul_Div", "Div_Mul", "FloorDiv_Div", "Pow_Mul", "BitAnd_BitOr"}
COMPARISON = {
    "Lt_LtE", "LtE_Lt", "Gt_GtE", "GtE_Gt", "Lt_GtE", "LtE_Gt", "Gt_LtE", "GtE_Lt", "Eq_NotEq",
    "NotEq_Eq", "Is_IsNot", "IsNot_Is", "In_NotIn", "NotIn_In",
}  # fmt: skip
OTHERS = {
    "NumberReplacer", "ReplaceTrueWithFalse", "ReplaceFalseWithTrue", "ReplaceAndWithOr",
    "ReplaceOrWithAnd", "AddNot", "ReplaceBreakWithContinue", "ReplaceContinueWithBreak",
    "ZeroIterationForLoop", "ExceptionReplacer", "ReplaceUnaryOperator_USub_UAdd",
    "ReplaceUnaryOperator_Delete_USub", "ReplaceUnaryOperator_Delete_Not",
}  # fmt: skip


class Mutant(NamedTuple):
    """A module with one change; `was` and `now` are the line that differs."""

    text: str
    was: str
    now: str

    @property
    def key(self) -> str:
        return f"{self.was} -> {self.now}"


def operators():
    """Cosmic Ray's operators that are used here, and one that swaps names such as min and max."""
    from cosmic_ray import plugins
    from cosmic_ray.operators.operator import Operator

    class SwapNames(Operator):
        def mutation_positions(self, node):
            if node.type == "name" and node.value in NAMES:
                yield node.start_pos, node.end_pos

        def mutate(self, node, index):
            node.value = NAMES[node.value]
            return node

        @classmethod
        def examples(cls):
            return ()

    yield SwapNames()
    wanted = {f"ReplaceBinaryOperator_{name}" for name in BINARY}
    wanted |= {f"ReplaceComparisonOperator_{name}" for name in COMPARISON} | OTHERS
    for name in sorted(plugins.operator_names()):
        if name.removeprefix("core/") in wanted:
            yield plugins.get_operator(name)()


def mutants(text):
    """Every mutant of a module that is Python, each once."""
    from cosmic_ray.mutating import mutate_code

    found = {}
    for operator in operators():
        occurrence = 0
        while (changed := mutate_code(text, operator, occurrence)) is not None:
            occurrence += 1
            pairs = zip(text.splitlines(), changed.splitlines(), strict=False)
            was, now = next(((a, b) for a, b in pairs if a != b), ("", ""))
            if was != now and _compiles(changed):
                found.setdefault(changed, Mutant(changed, was.strip(), now.strip()))
    return list(found.values())


def _compiles(text):
    try:
        compile(text, "mutant", "exec")
    except SyntaxError:
        return False
    return True


class Planted(importlib.machinery.SourceFileLoader):
    """Finds and loads one module from the text of a mutant, and leaves the file as it is."""

    def __init__(self, module, text):
        self.module, self.text = module, text
        super().__init__(module.removesuffix(".py").replace("/", "."), str(ROOT / module))

    def find_spec(self, fullname, path=None, target=None):
        if fullname == self.name:
            return importlib.util.spec_from_file_location(fullname, self.path, loader=self)
        return None

    def get_code(self, fullname):
        return compile(self.text, self.path, "exec")


def survives(module, text):
    """Whether the tests of a module pass with this text in its place."""
    child = os.fork()
    if child == 0:
        _run_tests(module, text)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == 0


def _run_tests(module, text):
    import pytest

    code = 1
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        signal.alarm(LIMIT_S)  # a mutant that hangs is noticed
        sys.meta_path.insert(0, Planted(module, text))
        tests = [str(ROOT / "tests" / "unit" / name) for name in CORE[module]]
        code = pytest.main(["-q", "-x", "-n0", "-p", "no:cacheprovider", "-m", MARKS, *tests])
    finally:
        os._exit(int(code))


def measure(module, most):
    """The result of a module: how many mutants ran, of how many, and which survived."""
    text = (ROOT / module).read_text(encoding="utf-8")
    if not survives(module, text):
        raise SystemExit(f"the tests of {module} fail without any mutant; make them pass first.")
    every = mutants(text)
    chosen = every if most is None else random.Random(0).sample(every, min(most, len(every)))
    survivors = []
    for i, mutant in enumerate(chosen, 1):
        if survives(module, mutant.text):
            survivors.append(mutant.key)
            print(f"  survived: {mutant.key}", flush=True)
        if i % 10 == 0:
            print(f"  {i} of {len(chosen)}", flush=True)
    return {"mutants": len(every), "ran": len(chosen), "survivors": sorted(survivors)}


def page():
    """The page of results."""
    found = json.loads(RESULTS.read_text(encoding="utf-8"))
    reasons = yaml.safe_load(REASONS.read_text(encoding="utf-8")) or {}
    lines = [
        HEAD,
        "| Module | Mutants | Run | Equivalent | Killed of the others |",
        "|---|--:|--:|--:|--:|",
    ]
    rest = []
    for module, result in sorted(found.items()):
        same = [k for k in result["survivors"] if _equivalent(reasons.get(module, {}).get(k))]
        others = result["ran"] - len(same)
        killed = others - (len(result["survivors"]) - len(same))
        lines.append(
            f"| `{module}` | {result['mutants']} | {result['ran']} | {len(same)} "
            f"| {killed} of {others} ({killed / others:.0%}) |"
        )
        for key in result["survivors"]:
            was, now = key.split(" -> ", 1)
            why = reasons.get(module, {}).get(key, "no test notices it yet")
            rest.append(f"- `{module}`: `{was}` becomes `{now}`: {why}.")
    return "\n".join([*lines, "", "## Survivors", "", *(rest or ["None."])]) + "\n"


def _equivalent(reason):
    return bool(reason) and reason.startswith("equivalent")


HEAD = """# Mutants

A test suite is as good as the mistakes that it notices. `make mutants` changes one thing at a time
in a core module (a comparison, a number, a sign, `min` to `max`) and runs the tests of that module.
A change that no test notices has survived. Equivalent ones change nothing that can be measured.
`scripts/mutants.py` writes this page.
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "modules", nargs="*", help="parts of the names of core modules; all if none"
    )
    parser.add_argument("--most", type=int, help="a seeded sample of this many mutants per module")
    parser.add_argument("--page", action="store_true", help="write the page and run nothing")
    given = parser.parse_args()
    chosen = [m for m in CORE if not given.modules or any(part in m for part in given.modules)]
    if not given.page:
        for name in LIBRARIES:
            importlib.import_module(name)
        for module in chosen:
            print(module, flush=True)
            found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
            found[module] = measure(module, given.most)
            RESULTS.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
