"""The language of conditions and loop bounds: `states.build.ExitCode == 0 && inputs.mode in ["dev", "test"]`.

Used by the workflow loader (`check_when`, `compile_*`) and the engine (`Expression.evaluate_*`). It is the subset of
expr-lang 1.17 that workflows use, with its rules for types, nil and numbers. Evaluating never has side effects.
"""

from __future__ import annotations

from awf_core.lang.expressions.errors import ExpressionError, ExpressionEvalError
from awf_core.lang.expressions.expression import (
    Expression,
    Mode,
    check_when,
    compile_expression,
    compile_late,
)

__all__ = [
    "Expression",
    "ExpressionError",
    "ExpressionEvalError",
    "Mode",
    "check_when",
    "compile_expression",
    "compile_late",
]
