"""Runs the tests of a module on each of its mutants, in forks of one process that has all imported.

A first fork runs every test and notes which lines of the module it reaches. A mutant that changes
the body of a function is planted into the running functions, all others into a new import of the
package; then the tests that reach the changed line run, the quickest first, until one fails.
"""

import functools
import gc
import importlib.machinery
import importlib.util
import json
import os
import resource
import sys
import tempfile
import time
import traceback
import types
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MARKS = "not gpu and not science and not network and not cluster and not browser"
QUICK = f"{MARKS} and not slow"
LIMIT_BYTES = 12 * 2**30
KILLED, SURVIVED, NEW_IMPORT = "killed", "survived", "new import"
LOUD = "MUTANTS_LOUD" in os.environ


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


def fates(module, tests, mutants, marks=QUICK):
    """What becomes of each mutant of a module under its tests: killed or survived."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "found.json"
        _forked(lambda: _pytest(tests, marks, Session(module, mutants, path)))
        if not path.exists():
            raise SystemExit(f"the tests of {module} fail without any mutant; make them pass first")
        found = json.loads(path.read_text(encoding="utf-8"))
        return [
            _planted(module, mutant, tests, marks, found["reach"], Path(folder) / "fate")
            if fate == NEW_IMPORT
            else fate
            for mutant, fate in zip(mutants, found["fates"], strict=True)
        ]


def _planted(module, mutant, tests, marks, reach, path):
    """The fate of a mutant that needs a new import."""

    def child():
        sys.meta_path.insert(0, Planted(module, mutant.text))
        # all tests: a constant is read without any line of its module being run
        seconds = {k: v["seconds"] for k, v in reach.items()}
        _limit(sum(seconds.values()) + 30)
        _pytest(tests, marks, Once(seconds, path))

    path.unlink(missing_ok=True)
    _forked(child)
    return SURVIVED if path.exists() else KILLED


def _pytest(tests, marks, plugin):
    paths = [str(ROOT / name) for name in tests]
    # plain: to rewrite assertions pytest would load the module from its file, without the mutant
    options = ["-q", "-n0", "--assert=plain", "--timeout=3600", "-p", "no:cacheprovider"]
    pytest.main([*options, "-m", marks, *paths], plugins=[plugin, FirstFailure()])


def _forked(work):
    """The exit status of `work` in a fork that says nothing; a signal is a negative number."""
    child = os.fork()
    if child == 0:
        try:
            if not LOUD:
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, 1)
                os.dup2(nowhere, 2)
            work()
        finally:
            if LOUD:
                traceback.print_exc()
            os._exit(1)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def _limit(seconds):
    """A mutant that never ends, or takes all memory, is noticed."""
    used = time.process_time()
    resource.setrlimit(resource.RLIMIT_CPU, (int(used + 5 * seconds + 10),) * 2)
    resource.setrlimit(resource.RLIMIT_DATA, (LIMIT_BYTES, LIMIT_BYTES))


def _run(items):
    """Runs tests in order."""
    for item, later in zip(items, [*items[1:], None], strict=True):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=later)


class FirstFailure:
    """Ends the process at the first test that fails."""

    def pytest_runtest_logreport(self, report):
        if report.failed:
            if LOUD:
                print(report.longrepr, flush=True)
            os._exit(1)


class Once:
    """Runs the chosen tests, the quickest first, and leaves a file if all pass."""

    def __init__(self, seconds, path):
        self.seconds, self.path = seconds, path

    def pytest_runtestloop(self, session):
        chosen = [i for i in session.items if i.nodeid in self.seconds]
        _run(sorted(chosen, key=lambda i: self.seconds[i.nodeid]))
        self.path.touch()
        os._exit(0)


class Session:
    """Tries the mutants of function bodies on the tests that pytest has collected."""

    def __init__(self, module, mutants, path):
        self.module, self.mutants, self.path = module, mutants, path
        self.text = (ROOT / module).read_text(encoding="utf-8")

    def pytest_runtestloop(self, session):
        self.items, self.package = session.items, Package()
        reach_path = self.path.with_name("reach.json")
        gc.freeze()  # forks share what is there
        _forked(lambda: Scout(self.module, session.items, self.package).write(reach_path))
        self.reach = json.loads(reach_path.read_text(encoding="utf-8"))
        seconds = sum(r["seconds"] for r in self.reach.values())
        print(f"  {len(session.items)} tests, {seconds:.0f} s", file=sys.__stderr__, flush=True)
        original = compile(self.text, str(ROOT / self.module), "exec")
        fates = [self.fate(m, original) for m in self.mutants]
        self.path.write_text(json.dumps({"reach": self.reach, "fates": fates}), encoding="utf-8")
        os._exit(0)

    def fate(self, mutant, original):
        changed = compile(mutant.text, original.co_filename, "exec")
        changes, functions = list(differences(original, changed)), self.package.functions
        swaps = [(f, new) for old, new in changes for f in functions.get(_key(old), ())]
        if not swaps or any(old is original for old, _ in changes):
            return NEW_IMPORT
        chosen = [i for i in self.items if mutant.lines & set(self.reach[i.nodeid]["lines"])]
        chosen.sort(key=lambda i: self.reach[i.nodeid]["seconds"])

        def child():
            for function, new in swaps:
                function.__code__ = new
            _limit(sum(self.reach[i.nodeid]["seconds"] for i in chosen))
            self.package.forget()
            _run(chosen)
            os._exit(0)

        return SURVIVED if not chosen or _forked(child) == 0 else KILLED


class Package:
    """The functions of trustbench in this process, and their caches."""

    def __init__(self):
        self.functions, self.caches = {}, []
        for x in gc.get_objects():
            kind = type(x)  # isinstance asks proxies, and some of them answer with warnings
            if kind is types.FunctionType and x.__code__.co_filename.startswith(str(ROOT)):
                self.functions.setdefault(_key(x.__code__), []).append(x)
            elif kind is functools._lru_cache_wrapper and str(x.__module__)[:10] == "trustbench":
                self.caches.append(x)

    def forget(self):
        """Empties the caches, so that every test computes for itself."""
        for cached in self.caches:
            cached.cache_clear()


def _key(code):
    return code.co_filename, code.co_qualname, code.co_firstlineno


def differences(old, new):
    """The code objects of functions that differ, and (old, new) itself if its own code does."""
    mine, theirs = ([c for c in x.co_consts if isinstance(c, types.CodeType)] for x in (old, new))
    if len(mine) != len(theirs) or _own(old) != _own(new):
        yield old, new
        return
    for a, b in zip(mine, theirs, strict=True):
        if _is_class(a):
            # a change of a class body needs a new import: it is reported as one of the module
            yield from ((old, new) if x is a else (x, y) for x, y in differences(a, b))
        elif not _same(a, b):
            yield a, b


def _own(code):
    """A code object's own part."""
    values = [repr(c) for c in code.co_consts if not isinstance(c, types.CodeType)]
    return code.co_code, values, code.co_names, code.co_varnames, code.co_exceptiontable


def _same(a, b):
    return not any(True for _ in differences(a, b))


def _is_class(code):
    return not code.co_flags & 0x1  # CO_OPTIMIZED: functions only


class Scout:
    """Runs every test once and notes its time and the lines of a module that it reaches.

    What a shared fixture reaches counts for every test that uses the fixture.
    """

    def __init__(self, module, items, package):
        import coverage

        self.path, self.items, self.context = str(ROOT / module), items, [""]
        self.package = package
        self.coverage = coverage.Coverage(data_file=None, include=[self.path], config_file=False)

    @pytest.hookimpl(hookwrapper=True)
    def pytest_fixture_setup(self, fixturedef):
        if fixturedef.scope == "function":
            yield
        else:
            self._enter(f"shared {fixturedef.argname}")
            yield
            self.context.pop()
            self.coverage.switch_context(self.context[-1])

    def _enter(self, context):
        self.context.append(context)
        self.coverage.switch_context(context)

    def write(self, path):
        """Runs the tests and writes what each reaches."""
        self.items[0].config.pluginmanager.register(self)
        seconds = {}
        self.coverage.start()
        for item, later in zip(self.items, [*self.items[1:], None], strict=True):
            self.package.forget()
            start = time.process_time()
            self._enter(item.nodeid)
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=later)
            seconds[item.nodeid] = time.process_time() - start
        self.coverage.stop()
        found = self.coverage.get_data().contexts_by_lineno(self.path)
        reach = {}
        for item in self.items:
            names = {item.nodeid, *(f"shared {name}" for name in item.fixturenames)}
            lines = sorted(line for line, at in found.items() if names & set(at))
            reach[item.nodeid] = {"seconds": seconds[item.nodeid], "lines": lines}
        path.write_text(json.dumps(reach), encoding="utf-8")
        os._exit(0)
