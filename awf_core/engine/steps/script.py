"""Read a step's script file and decide how it is executed. Called by command steps.

A script that begins with `#!` is written to a temporary file and executed itself; any other is handed to the
shell.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from awf_core.engine.steps.context import StepAborted
from awf_core.lang.templates import compile_template

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from awf_core.engine.surroundings import Surroundings
    from awf_core.lang.templates import Template

MAX_SCRIPT_BYTES = 1024 * 1024


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
    """The template a script's text is, compiled once."""
    return compile_template(content)


@contextlib.contextmanager
def script_command(content: str, surroundings: Surroundings) -> Iterator[Sequence[str]]:
    """The argument list that executes `content`; a temporary file it needs is gone afterwards.

    Raises StepAborted.
    """
    if not content.startswith("#!"):
        yield [surroundings.shell, "-c", content]
        return
    try:
        path = _write(content, surroundings.temp_dir)
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
