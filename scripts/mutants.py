"""Changes one thing at a time in the core modules, and says which changes no test notices.

    python scripts/mutants.py                      every core module
    python scripts/mutants.py sampling --most 25   one module, a seeded sample of its mutants
    python scripts/mutants.py --again              only the mutants that survived the last time

Cosmic Ray makes the mutants (`mutant_changes.py`); each runs the tests of its module in a process
of its own, forked from one that has imported everything (`mutant_trials.py`). `mutants.yaml` lists
the modules, their tests and the reasons of survivors, `mutants.json` keeps the results, and
`docs/mutants.md` is written from both.
"""

import argparse
import importlib
import json
import platform
import random
from importlib.metadata import version
from pathlib import Path

import mutant_changes
import mutant_trials
import yaml
from scipy.stats import binomtest

ROOT = Path(__file__).resolve().parents[1]
RESULTS, SETTINGS, PAGE = (
    ROOT / name for name in ("scripts/mutants.json", "scripts/mutants.yaml", "docs/mutants.md")
)
# hypothesis is not among them: pytest wants to rewrite its assertions
LIBRARIES = ("coverage", "matplotlib.figure", "numpy", "opacus", "pandas", "pydantic", "pytest",
             "scipy.stats", "sklearn.linear_model", "torch")  # fmt: skip
VERSIONS = ("cosmic-ray", "pytest", "numpy", "torch")
EQUIVALENT = "equivalent"


def settings():
    """Module -> its tests and the reasons of its survivors."""
    return yaml.safe_load(SETTINGS.read_text(encoding="utf-8"))


def results():
    return json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}


def measure(module, most, again):
    """The result of a module: how many mutants ran, of how many, and which survived."""
    every = mutant_changes.mutants((ROOT / module).read_text(encoding="utf-8"))
    chosen = every if most is None else random.Random(0).sample(every, min(most, len(every)))
    ran = len(chosen)
    if again:
        before = results()[module]
        chosen, ran = [m for m in every if m.key in before["survivors"]], before["ran"]
    tests = settings()[module]["tests"]
    found = mutant_trials.fates(module, tests, chosen)
    survivors = sorted(
        m.key for m, f in zip(chosen, found, strict=True) if f == mutant_trials.SURVIVED
    )
    print(*(f"  survived: {key}" for key in survivors), sep="\n", flush=True)
    versions = {"python": platform.python_version(), **{name: version(name) for name in VERSIONS}}
    return {"mutants": len(every), "ran": ran, "survivors": survivors, "versions": versions}


def page():
    """The page of results."""
    found, known = results(), settings()
    rows, rest, total = [], [], [0, 0, 0, 0]
    for module, result in sorted(found.items()):
        reasons = known[module].get("survivors", {})
        same = sum(reasons.get(k, "").startswith(EQUIVALENT) for k in result["survivors"])
        others = result["ran"] - same
        killed = result["ran"] - len(result["survivors"])
        counts = result["mutants"], result["ran"], same, killed
        total = [a + b for a, b in zip(total, counts, strict=True)]
        rows.append(f"| `{module}` | {_counted(*counts, others)} |")
        rest += [_survivor(module, key, reasons.get(key)) for key in result["survivors"]]
    rows.append(f"| all | {_counted(*total, total[1] - total[2])} |")
    versions = sorted({_words(result.get("versions", {})) for result in found.values()})
    tests = [f"- `{m}`: {', '.join(f'`{t}`' for t in known[m]['tests'])}" for m in sorted(found)]
    return "\n".join(
        [HEAD, f"Versions: {'; '.join(versions)}.", "", *COLUMNS, *rows, "", "## Survivors", "",
         *(rest or ["None."]), "", "## The tests of each module", "", *tests, ""]
    )  # fmt: skip


def _counted(mutants, ran, same, killed, others):
    share = f"{killed} of {others} ({killed / others:.0%})"
    if ran < mutants:
        low, high = binomtest(killed, others).proportion_ci(method="exact")
        share += f", 95% interval {low:.0%} to {high:.0%}"
    return f"{mutants} | {ran} | {same} | {share}"


def _words(versions):
    return ", ".join(f"{name} {number}" for name, number in versions.items())


def _survivor(module, key, reason):
    place, change = key.split(": ", 1)
    was, now = change.split(" -> ", 1)
    why = reason or "no test notices it yet"
    return f"- `{module}`, `{place}`: `{was}` becomes `{now}`: {why}."


HEAD = """# Mutants

A test suite is as good as the mistakes that it notices. `make mutants` changes one thing at a time
in a core module (a comparison, a number, a sign, `min` to `max`) and runs the tests of that module
that reach the changed line, for at most five times their usual processor time. A change that no
test notices has survived. Equivalent ones change nothing that can be measured.
`scripts/mutants.py` runs them and writes this page; a module of which only some mutants ran is a
sample with seed 0.
"""
COLUMNS = (
    "| Module | Mutants | Run | Equivalent | Killed of the others |",
    "|---|--:|--:|--:|--:|",
)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="*", help="parts of names of core modules; all without")
    parser.add_argument("--most", type=int, help="a seeded sample of this many mutants per module")
    parser.add_argument("--again", action="store_true", help="only the mutants that survived")
    parser.add_argument("--page", action="store_true", help="write the page and run nothing")
    given = parser.parse_args()
    wanted = [m for part in given.modules or [""] for m in settings() if part in m]
    if not given.page:
        for name in LIBRARIES:
            importlib.import_module(name)
        for module in wanted:
            print(module, flush=True)
            found = results() | {module: measure(module, given.most, given.again)}
            RESULTS.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
