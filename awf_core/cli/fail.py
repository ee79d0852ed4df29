"""Show an error: one line and a hint on stderr, and the exit code. A traceback only with --debug."""

from __future__ import annotations

import os
import sys
import traceback

import click

from awf_core.errors import AwfError, redact_url

INTERRUPTED = 130
UNEXPECTED = 4
CONFIGURATION = 2
"""Exit code of a wrong option of `awf worker`. For every other command that is a user error, 1."""


def exit_code_of(error: Exception) -> int:
    """The process's exit code for `error`."""
    if isinstance(error, AwfError):
        return error.exit_code
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, click.exceptions.Abort):
        return INTERRUPTED
    if isinstance(error, click.UsageError):
        return CONFIGURATION if error.ctx is not None and error.ctx.info_name == "worker" else 1
    if isinstance(error, click.ClickException):
        return 1
    return UNEXPECTED


def show(error: Exception, *, is_debug: bool) -> None:
    """Write `error` to stderr. Never raises; prints no password."""
    if isinstance(error, click.exceptions.Exit):
        return
    if is_debug or os.environ.get("AWF_DEBUG"):
        traceback.print_exception(error)
    # One write: other threads still log to this stream, and print() writes a line and its end separately.
    sys.stderr.write("".join(f"{redact_url(line)}\n" for line in lines_of(error)))


def lines_of(error: Exception) -> list[str]:
    """The message of `error`, and its hint where it has one."""
    if isinstance(error, AwfError):
        return [f"Error: {error.message}", *([f"Hint: {error.hint}"] if error.hint else [])]
    if isinstance(error, click.exceptions.Abort):
        return ["Interrupted."]
    if isinstance(error, click.ClickException):
        context = error.ctx if isinstance(error, click.UsageError) else None
        return [
            f"Error: {error.format_message()}",
            *([f"Hint: see `{context.command_path} --help`"] if context else []),
        ]
    return [
        f"Error: {type(error).__name__}: {error}",
        "Hint: this is an internal error of awf; run again with `awf --debug …` and report the output",
    ]
