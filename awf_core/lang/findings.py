"""Problems collected while a workflow is read, by the stage in which the original tool would meet them.

Used by the loader only. The earliest stage with a problem is the one reported, as the original does; those of later
stages are kept beside it for `awf validate`.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from awf_core.lang.fields import Fields
from awf_core.lang.problems import FieldProblem, LoadError, Problem, StepProblem

T = TypeVar("T")


class Stage(enum.IntEnum):
    """When a problem shows: wrong types of values, missing keys, values without meaning, rules, rules between states.

    Whether states know each other is asked only of a workflow that has a beginning and an end.
    """

    SHAPE = 0
    REQUIRED = 1
    MAPPING = 2
    RULES = 3
    LINKS = 4


class Findings:
    """Collects problems and warnings of one file. Not thread-safe."""

    def __init__(self, source: Path) -> None:
        self._source = source
        self._problems: dict[Stage, list[Problem]] = {stage: [] for stage in Stage}
        self._warnings: list[str] = []

    def add(self, stage: Stage, problem: Problem) -> None:
        """Note a problem."""
        self._problems[stage].append(problem)

    def warn(self, text: str, *, line: int) -> None:
        """Note something that is ignored, with its place."""
        self._warnings.append(Problem(message=text, line=line).located(self._source))

    @property
    def warnings(self) -> tuple[str, ...]:
        """The warnings so far, in the order met."""
        return tuple(self._warnings)

    def attempt(self, read: Callable[[], T], stage: Stage, fields: Fields, *, prefix: str = "") -> T | None:
        """What `read` returns, or None and a problem when it raises one; a wrongly shaped value counts as SHAPE."""
        try:
            return read()
        except FieldProblem as raised:
            self.add(Stage.SHAPE, Problem(message=raised.text, line=raised.line, field=raised.field))
        except StepProblem as raised:
            line = fields.line_of(raised.key) if raised.key else fields.line
            field = "" if prefix else fields.path_of(raised.key)
            self.add(
                stage,
                Problem(message=f"{prefix}{raised.text}", line=line, field=field, code=raised.code, hint=raised.hint),
            )
        return None

    def raise_if_any(self) -> None:
        """Raise LoadError with the problems of the earliest stage that has some."""
        first, *later = [problems for problems in self._problems.values() if problems] or [[]]
        if first:
            raise LoadError(self._source, first, later=[problem for problems in later for problem in problems])
