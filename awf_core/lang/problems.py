"""What is wrong with a workflow file: the problem, and the error that carries all of them.

Made by the loader and the linter, read by the CLI and the worker. It never decides whether a problem is fatal; the
place that found it does. Texts are the original tool's, so that what people search for still finds an answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from awf_core.errors import WorkflowError

YAML_SYNTAX = "WORKFLOW.PARSE.YAML_SYNTAX"
MISSING_STATE = "WORKFLOW.VALIDATION.MISSING_STATE"

MAX_SHOWN = 50
"""Problems spelled out in one message; the rest is counted, because messages end up in results and logs."""

MISSING_FIELD = "required field missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One finding. `line` is 1-based, 0 = the whole file; `field` is a path such as `states.a.timeout`, or empty."""

    message: str
    line: int = 0
    field: str = ""
    code: str = YAML_SYNTAX
    hint: str | None = None
    severity: Literal["error", "warning"] = "error"

    def located(self, source: Path) -> str:
        """`source:line: field: message`, leaving out what is not known."""
        place = f"{source}:{self.line}" if self.line else str(source)
        return f"{place}: {self.field}: {self.message}" if self.field else f"{place}: {self.message}"


class StepProblem(Exception):
    """Raised by a step parser: this state can't be used. The loader adds step, file and line.

    `key` names the offending key, for its line; `code` is a structured code of the language.
    """

    def __init__(self, text: str, *, key: str = "", code: str = YAML_SYNTAX, hint: str | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.key = key
        self.code = code
        self.hint = hint


class FieldProblem(StepProblem):
    """A field whose value has the wrong shape. Raised by `Fields`, so parsers rarely need it.

    `line` and `field` are known already; the loader only adds which state it was.
    """

    def __init__(self, text: str, *, line: int, field: str = "") -> None:
        super().__init__(text)
        self.line = line
        self.field = field


class LoadError(WorkflowError):
    """A workflow file that does not load, with everything that is wrong with it.

    `message` locates each problem, one a line, by line number; `text` has the bare texts, sorted, as the original
    tool reports them. `code` is MISSING_STATE when one of the problems is. `later` are problems that would show only
    when these are fixed; they are for `awf validate`, and in none of the texts.
    """

    def __init__(self, source: Path, problems: Sequence[Problem], *, later: Sequence[Problem] = ()) -> None:
        ordered = sorted(problems, key=lambda problem: (problem.line, problem.message))
        codes = [problem.code for problem in ordered]
        shown = [problem.located(source) for problem in ordered[:MAX_SHOWN]]
        if len(ordered) > MAX_SHOWN:
            shown.append(f"{source}: and {len(ordered) - MAX_SHOWN} more problems")
        super().__init__(
            "\n".join(shown),
            hint=next((problem.hint for problem in ordered if problem.hint), None),
            code=next((code for code in codes if code != YAML_SYNTAX), YAML_SYNTAX),
        )
        self.source = source
        self.problems = tuple(ordered)
        self.later = tuple(later)
        self.text = "\n".join(sorted(problem.message for problem in ordered))
