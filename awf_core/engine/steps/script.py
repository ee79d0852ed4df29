"""Find and read the script and prompt files of steps, and execute a script. Called by command and agent steps.

A project's own scripts and prompts take precedence over the user's global ones. A script that begins with `#!` is
written to a temporary file and executed itself; any other is run by the shell.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path

from awf_core.extensions.environment import Environment
from awf_core.extensions.steps import StepAborted
from awf_core.lang.packs import pack_of
from awf_core.lang.templates import Template, compile_template

MAX_SCRIPT_BYTES = 1024 * 1024
_KINDS = ("scripts", "prompts")
_TAIL = r"(?P<tail>(?:/[^\s'\"`;|&<>()$]*)?)(?![\w.-])"


def prefer_local(text: str, *, awf: Mapping[str, str], workflow_file: Path, cwd: Path | None = None) -> str:
    """`text` with each global scripts or prompts path that the project has too replaced by the project's.

    The project's `scripts/x`, beside its workflow directory, replaces `<global scripts dir>/x`; a bare directory is
    replaced when the project has it. For a workflow of a pack, the project's files for that pack under `cwd` come
    before the pack's own.
    """
    pack = pack_of(workflow_file)
    for kind in _KINDS:
        global_dir = awf[f"{kind}_dir"]
        if global_dir in text:
            own = workflow_file.parent.parent / kind
            places = (own,) if pack is None or cwd is None else (cwd / ".awf" / kind / pack, own)
            text = _pattern(global_dir).sub(partial(_choose, places=places), text)
    return text


def _choose(found: re.Match[str], *, places: Sequence[Path]) -> str:
    tail = found["tail"]
    for place in places:
        if (place / tail.lstrip("/") if tail.strip("/") else place).exists():
            return f"{place}{tail}"
    return found[0]


@lru_cache(maxsize=16)
def _pattern(global_dir: str) -> re.Pattern[str]:
    return re.compile(re.escape(global_dir) + _TAIL)


def script_path(written: str, *, workflow_file: Path, home: str) -> Path:
    """Where `written` points: `~/` is the home directory, else the workflow's when nothing is there."""
    beside = workflow_file.parent
    if not written.startswith("~/"):
        return beside / written
    at_home = Path(home) / written[2:]
    return at_home if at_home.exists() else beside / written[2:]


def read_script(path: Path) -> str:
    """The text of a script. Raises StepAborted when it can't be read or is larger than 1 MiB."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_SCRIPT_BYTES + 1)
    except FileNotFoundError as problem:
        raise StepAborted(f"load script file: file not found: {path}") from problem
    except OSError as problem:
        reason = os.strerror(problem.errno).lower() if problem.errno else str(problem)
        raise StepAborted(f"load script file: read {path}: {reason}") from problem
    if len(content) > MAX_SCRIPT_BYTES:
        raise StepAborted(f"load script file: file exceeds 1MB limit: {path}")
    return content.decode("utf-8", "surrogateescape")


@lru_cache(maxsize=64)
def script_template(content: str) -> Template:
    """The text of a script as a template, compiled once."""
    return compile_template(content)


@contextlib.contextmanager
def script_command(content: str, environment: Environment) -> Iterator[Sequence[str]]:
    """The argument list that executes `content`; a temporary file it needs is removed afterwards.

    Raises StepAborted.
    """
    if not content.startswith("#!"):
        yield [environment.shell, "-c", content]
        return
    try:
        path = _write(content, environment.temp_dir)
    except OSError as problem:
        raise StepAborted(f"write script file: {problem}") from problem
    try:
        yield [path]
    finally:
        with contextlib.suppress(OSError):
            Path(path).unlink()


def _write(content: str, temp_dir: str) -> str:
    descriptor, path = tempfile.mkstemp(prefix="awf-script-", dir=temp_dir)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content.encode("utf-8", "surrogateescape"))
        os.fchmod(file.fileno(), 0o700)
    return path
