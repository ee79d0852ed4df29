"""Run GitHub's command line tool `gh` for the `github.*` operations. Called by them only.

`gh` finds its login itself: its own, or the token of the environment, which no error shows.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from awf_core.engine.allowance import CANCELLED_TEXT, DEADLINE_TEXT
from awf_core.engine.operations import OperationFailed
from awf_core.engine.outward.program import ProgramMissing, run_program, text_of
from awf_core.engine.secrets import mask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from awf_core.engine.outward.context import OutwardContext

TOKEN_VARIABLES = ("GITHUB_TOKEN", "GH_TOKEN")
_NOT_LOGGED_IN = 4
_REMOTE = re.compile(r"github\.com[:/](?P<repo>[^\s]+?)(?:\.git)?/?$")


def run_gh(arguments: Sequence[str], context: OutwardContext) -> str:
    """What `gh <arguments>` writes. Raises OperationFailed with what it complains of, secrets masked."""
    code, output, complaint = _run(["gh", *arguments], context)
    if code:
        tokens = tuple(context.env[name] for name in TOKEN_VARIABLES if context.env.get(name))
        advice = " (run `gh auth login`, or set GITHUB_TOKEN)" if code == _NOT_LOGGED_IN else ""
        raise OperationFailed(f"gh {' '.join(arguments[:2])}: {mask(complaint.strip(), tokens)}{advice}")
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
    """Exit code, output, complaint. Raises OperationFailed when the program is missing or was stopped."""
    try:
        finished = run_program(argv, context)
    except ProgramMissing as problem:
        raise OperationFailed(f"{argv[0]}: {problem}") from problem
    if finished.end in ("timeout", "cancelled"):
        reason = DEADLINE_TEXT if finished.end == "timeout" else CANCELLED_TEXT
        raise OperationFailed(f"{' '.join(argv[:3])}: {reason}")
    complaint = text_of(finished.stderr) or finished.problem
    return finished.exit_code or int(finished.failure is not None), text_of(finished.stdout), complaint
