"""Which exit code an error of a run ends the command with. Called by the engine and the command line. Pure.

The class is guessed from the error's text, standard error of a failed step included, because that is what the
workflow language promises; structured codes go first. Nothing else may be decided by it.
"""

from __future__ import annotations

_BY_CATEGORY = {"USER": 1, "WORKFLOW": 2, "EXECUTION": 3, "SYSTEM": 4}
_BY_TEXT = (("not found", 1), ("invalid", 2), ("timeout", 3), ("exit code", 3), ("permission", 4))
EXECUTION = 3


def exit_class(message: str, code: str | None = None) -> int:
    """1 user, 2 workflow, 3 execution, 4 system.

    `code` is a structured code such as `USER.INPUT.MISSING_FILE`.
    """
    if code is not None and (category := code.partition(".")[0]) in _BY_CATEGORY:
        return _BY_CATEGORY[category]
    return next((number for text, number in _BY_TEXT if text in message), EXECUTION)


def error_type(message: str) -> str:
    """What `error.Type` says in `workflow_error` hooks: workflow, user, system or execution."""
    text = message.lower()
    if "terminal failure" in text or "step not found" in text:
        return "workflow"
    if any(word in text for word in ("not found", "missing", "invalid input", "validation")):
        return "user"
    if any(word in text for word in ("permission", "access denied", "i/o")):
        return "system"
    return "execution"
