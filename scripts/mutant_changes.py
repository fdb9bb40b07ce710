"""The mutants of a module: Cosmic Ray's operators, and one that swaps names such as min and max."""

import ast
from typing import NamedTuple

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
    """A module with one change."""

    text: str
    key: str  # "function: old line -> new line"
    lines: frozenset[int]  # of the statement that changes, as the original numbers them


def operators():
    """The operators that are used here."""
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

    found, places = {}, Places(text)
    for operator in operators():
        occurrence = 0
        while (changed := mutate_code(text, operator, occurrence)) is not None:
            occurrence += 1
            if changed not in found and _compiles(changed):
                found[changed] = places.mutant(changed)
    return [mutant for mutant in found.values() if mutant is not None]


class Places:
    """Names the place of a change in a module."""

    def __init__(self, text):
        self.lines = text.splitlines()
        nodes = [n for n in ast.walk(ast.parse(text)) if hasattr(n, "lineno")]
        self.statements = [n for n in nodes if isinstance(n, ast.stmt)]

    def mutant(self, changed):
        """The mutant with this text; None if no line differs."""
        pairs = enumerate(zip(self.lines, changed.splitlines(), strict=False), 1)
        line, was, now = next(((k, a, b) for k, (a, b) in pairs if a != b), (0, "", ""))
        if not line:
            return None
        around = [n for n in self.statements if n.lineno <= line <= n.end_lineno]
        kinds = (ast.FunctionDef, ast.ClassDef)
        owners = ".".join(n.name for n in around if isinstance(n, kinds)) or "module"
        key = f"{owners}: {was.strip()} -> {now.strip()}"
        return Mutant(changed, key, frozenset(_own_lines(around, line)))


def _own_lines(around, line):
    """The lines of the innermost statement; of one with a body, those of its head."""
    if not around:
        return [line]
    inner = max(around, key=lambda n: (n.lineno, -n.end_lineno))
    body = getattr(inner, "body", None)
    last = max(line, body[0].lineno - 1) if body else inner.end_lineno
    return range(inner.lineno, last + 1)


def _compiles(text):
    try:
        compile(text, "mutant", "exec")
    except SyntaxError:
        return False
    return True
