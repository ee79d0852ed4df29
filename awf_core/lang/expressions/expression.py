"""Compiled expressions: the interface of this package.

`when`, `while` and `break_when` are mode "bool", arithmetic `max_iterations` is mode "int". Compiling is done once,
when a workflow is loaded; an Expression is immutable and can be evaluated by any number of threads at once. Texts of
errors follow the original engine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from awf_core.lang.expressions import environment
from awf_core.lang.expressions.checker import check
from awf_core.lang.expressions.emit import emit
from awf_core.lang.expressions.errors import ExpressionError, ExpressionEvalError, Fault, locate
from awf_core.lang.expressions.evaluation import Code, Frame
from awf_core.lang.expressions.fold import fold
from awf_core.lang.expressions.parser import parse
from awf_core.lang.expressions.values import plain, type_name
from awf_core.lang.go.numbers import truncated
from awf_core.lang.go.quoting import quoted
from awf_core.lang.go.text import SPACES, Uint8
from awf_core.lang.scope import Scope

Mode = Literal["bool", "int", "any"]

_COMPILING = {
    "bool": "evaluate bool expression: compile expression: ",
    "int": "compile expression: ",
    "any": "compile: ",
}
_RUNNING = {
    "bool": "evaluate bool expression: evaluate expression: ",
    "int": "evaluate expression: ",
    "any": "evaluate: ",
}
_CONTAINS = "contains("
_NEEDLE_SPACES = "\t\n\f\r "
_TOO_DEEP = "the expression nests too deeply to be evaluated here"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Expression:
    """An expression ready to run. `text` is as written; `source` is what was compiled, and what errors show."""

    text: str
    mode: Mode
    source: str
    code: Code

    def evaluate_bool(self, scope: Scope) -> bool:
        """The truth of the expression; nil is false.

        Two failures are false as well: an operator whose left side is nil, where the line mentions `inputs.` or
        `env.`, and reading from nil, where it mentions `states.`. All others raise ExpressionEvalError.
        """
        try:
            value = self.code(Frame(scope))
        except Fault as fault:
            return self._false_or_raise(fault)
        except RecursionError:
            return self._false_or_raise(Fault(_TOO_DEEP))
        if value is True or value is False:
            return value
        if value is None:
            return False
        if type(value) is int:
            raise ExpressionEvalError("expression did not return boolean, got numeric value", hint=self._hint())
        return self._false_or_raise(Fault(f"invalid operation: bool({type_name(value)})", 0))

    def evaluate_int(self, scope: Scope) -> int:
        """The value as a 64-bit integer; floats are cut. Raises ExpressionEvalError for infinities and other types."""
        value = self._run(scope)
        if isinstance(value, bool):
            raise self._unusable("expression returned boolean, expected numeric value")
        if isinstance(value, float):
            if value in {float("inf"), float("-inf")}:
                raise self._unusable("division by zero")
            if value != value:
                raise self._unusable("invalid arithmetic operation")
            return truncated(value)
        if isinstance(value, int) and not isinstance(value, Uint8):
            return truncated(value)
        raise self._unusable(f"expression did not return numeric value, got {type_name(value)}")

    def evaluate(self, scope: Scope) -> object:
        """The value, in plain Python types. Raises ExpressionEvalError."""
        return plain(self._run(scope))

    def _run(self, scope: Scope) -> object:
        try:
            return self.code(Frame(scope))
        except Fault as fault:
            raise self._failure(fault) from None
        except RecursionError:
            raise self._failure(Fault(_TOO_DEEP)) from None

    def _false_or_raise(self, fault: Fault) -> bool:
        shown = locate(self.source, fault)
        if "invalid operation: <nil>" in shown and ("inputs." in shown or "env." in shown):
            return False
        if "cannot fetch" in shown and "states." in shown:
            return False
        raise self._failure(fault)

    def _failure(self, fault: Fault) -> ExpressionEvalError:
        return ExpressionEvalError(_RUNNING[self.mode] + locate(self.source, fault), hint=self._hint())

    def _unusable(self, message: str) -> ExpressionEvalError:
        return ExpressionEvalError(message, hint=self._hint())

    def _hint(self) -> str:
        return f"the expression is {quoted(self.text)}"


def compile_expression(text: str, *, mode: Mode = "bool") -> Expression:
    """`text`, compiled. Raises ExpressionError naming line and column, the line itself and the place in it."""
    hint = f"the expression is {quoted(text)}"
    if not text and mode != "any":
        where = "evaluate bool expression: " if mode == "bool" else ""
        raise ExpressionError(f"{where}empty expression", hint=hint)
    if mode == "int":
        _refuse_operators(text, hint)
    source = rewritten(text) if mode == "bool" else text
    try:
        return Expression(text=text, mode=mode, source=source, code=_compiled(source, mode))
    except Fault as fault:
        raise ExpressionError(_COMPILING[mode] + _shown(source, fault), hint=hint) from None
    except RecursionError:
        raise ExpressionError(_COMPILING[mode] + _TOO_DEEP, hint=hint) from None


def compile_late(text: str, *, mode: Mode = "bool") -> Expression:
    """Like compile_expression, but a text that does not compile fails when it is evaluated, as ExpressionEvalError.

    For expressions that are evaluated only when they are reached: `while`, `break_when`, and whatever of `when` the
    load-time check lets pass.
    """
    try:
        return compile_expression(text, mode=mode)
    except ExpressionError as error:
        message, hint = error.message, error.hint

    def fail(_: Frame) -> object:
        raise ExpressionEvalError(message, hint=hint)

    return Expression(text=text, mode=mode, source=text, code=fail)


def check_when(text: str) -> str | None:
    """What is wrong with `text` as a `when`, before anything is known of the values; None = accepted.

    Types of variables are not known here, so more passes than compiles in the end. Builtins are accepted, and so is
    `contains(a, b)`. An empty text is accepted too.
    """
    if not text.strip(SPACES):
        return None
    problem = _problem(text)
    if problem is None or _problem(rewritten(text)) is None:
        return None
    return "expression compilation failed: " + problem


def rewritten(text: str) -> str:
    """`text` with every `contains(X,Y)` replaced by `X contains Y`, in the text, as the original does it.

    Being textual, it reaches into literals too. X goes up to the first comma, Y from there to the next closing
    parenthesis; neither may be empty.
    """
    parts, position = [], 0
    while (start := text.find(_CONTAINS, position)) >= 0:
        first = start + len(_CONTAINS)
        comma = text.find(",", first)
        closing = text.find(")", comma + 1) if comma >= 0 else -1
        if closing < 0:
            break
        written = text[comma + 1 : closing]
        # Of nothing but spaces, the last one remains: something has to.
        needle = written.lstrip(_NEEDLE_SPACES) or written[-1:]
        if comma == first or not needle:
            parts.append(text[position:first])
            position = first
            continue
        parts.append(f"{text[position:start]}{text[first:comma]} contains {needle}")
        position = closing + 1
    return "".join(parts) + text[position:]


def _problem(source: str) -> str | None:
    try:
        tree = parse(source)
        check(tree, {}, {})
        fold(tree)
    except Fault as fault:
        return _shown(source, fault)
    except RecursionError:
        return _TOO_DEEP
    return None


def _compiled(source: str, mode: Mode) -> Code:
    tree = parse(source)
    functions = environment.FUNCTIONS if mode != "int" else {}
    nature = check(tree, environment.NAMES, functions)
    if mode == "bool" and nature.kind != "bool" and not nature.unknown:
        raise Fault(f"expected bool, but got {nature.text}")
    return emit(fold(tree))


def _shown(source: str, fault: Fault) -> str:
    return fault.message if fault.at is None else locate(source, fault)


def _refuse_operators(text: str, hint: str) -> None:
    for operator in ("++", "**"):
        if operator in text:
            raise ExpressionError(f"compile expression: invalid operator {operator}", hint=hint)
