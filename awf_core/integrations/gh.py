"""Run GitHub's command line tool `gh` for the `github.*` operations, and read their inputs. Called by them only.

`gh` finds its login itself: its own, or the token of the environment, which no error shows. Everything here raises
OperationFailed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from awf_core.engine.process.program import ProgramMissing, run_program, text_of
from awf_core.engine.secrets import mask
from awf_core.extensions.deadline import CANCELLED_TEXT, DEADLINE_TEXT
from awf_core.extensions.operations import OperationFailed
from awf_core.extensions.outward import OutwardContext

TOKEN_VARIABLES = ("GITHUB_TOKEN", "GH_TOKEN")
_NOT_LOGGED_IN = 4
_REMOTE = re.compile(r"github\.com[:/](?P<repo>[^\s]+?)(?:\.git)?/?$")


def run_gh(arguments: Sequence[str], context: OutwardContext) -> str:
    """The output of `gh <arguments>`. Raises OperationFailed with its standard error, secrets masked."""
    code, output, error_text = _run(["gh", *arguments], context)
    if code:
        tokens = tuple(context.env[name] for name in TOKEN_VARIABLES if context.env.get(name))
        hint = " (run `gh auth login`, or set GITHUB_TOKEN)" if code == _NOT_LOGGED_IN else ""
        raise OperationFailed(f"gh {' '.join(arguments[:2])}: {mask(error_text.strip(), tokens)}{hint}")
    return output


def repository(given: object, context: OutwardContext) -> list[str]:
    """The arguments that name the repository: `given`, else that of the git remote `origin`, else none."""
    named = given.strip() if isinstance(given, str) else ""
    repo = named or _origin(context)
    return ["--repo", repo] if repo else []


def json_outputs(text: str) -> dict[str, Any]:
    """The object `gh --json` wrote; `raw` with the text when it is none."""
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"raw": text}


def _origin(context: OutwardContext) -> str:
    try:
        code, output, _ = _run(["git", "remote", "get-url", "origin"], context)
    except OperationFailed:
        return ""
    found = _REMOTE.search(output.strip()) if code == 0 else None
    return found["repo"] if found else ""


def _run(argv: Sequence[str], context: OutwardContext) -> tuple[int, str, str]:
    """Exit code, output, error text. Raises OperationFailed when the program is missing or was stopped."""
    try:
        finished = run_program(argv, context)
    except ProgramMissing as problem:
        raise OperationFailed(f"{argv[0]}: {problem}") from problem
    if finished.end in ("timeout", "cancelled"):
        reason = DEADLINE_TEXT if finished.end == "timeout" else CANCELLED_TEXT
        raise OperationFailed(f"{' '.join(argv[:3])}: {reason}")
    error_text = text_of(finished.stderr) or finished.problem
    return finished.exit_code or int(finished.failure is not None), text_of(finished.stdout), error_text


def text(inputs: Mapping[str, Any], name: str) -> str:
    """A text without the space around it; empty for anything else."""
    value = inputs.get(name)
    return value.strip() if isinstance(value, str) else ""


def need(inputs: Mapping[str, Any], *names: str) -> list[str]:
    """The texts of `names`, none of which may be empty."""
    found = [text(inputs, name) for name in names]
    if all(found):
        return found
    if len(names) == 1:
        raise OperationFailed(f"{names[0]} is required")
    raise OperationFailed(f"{', '.join(names[:-1])}, and {names[-1]} are required")


def number(inputs: Mapping[str, Any]) -> str:
    """The number of an issue or pull request, given as a number or a text."""
    value = inputs.get("number")
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(int(value))
    if isinstance(value, str) and value:
        if value.startswith("-"):
            raise OperationFailed(f"number {value!r} is none")
        return value
    raise OperationFailed("number is required")


def texts(inputs: Mapping[str, Any], name: str) -> list[str]:
    """The texts of a list; what is no text in it is left out."""
    value = inputs.get(name)
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
