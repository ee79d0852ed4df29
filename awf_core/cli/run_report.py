"""What `awf run` shows of a run: its log and a line of summary on stderr, step output as asked on stdout."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import rich_click as click

from awf_core.cli.output import note
from awf_core.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Callable

    from awf_core.extensions.deadline import Cancel
    from awf_core.extensions.results import Run

OutputMode = Literal["silent", "streaming", "buffered"]
Command = TypeVar("Command", bound="Callable[..., Any]")


def output_option(command: Command) -> Command:
    """`--output`, handed to the command as `output`."""
    option = click.option(
        "--output",
        type=click.Choice(["silent", "streaming", "buffered"]),
        default="silent",
        show_default=True,
        help="Show what the steps write: not at all, as it comes, or step by step.",
    )
    return option(command)


class RunReport:
    """The events of one run, written out as they come.

    silent      no step output
    streaming   both streams as they come
    buffered    those of a step when it has ended

    A reader that goes away (`awf run … | head`) cancels the run.
    """

    def __init__(self, mode: OutputMode, cancel: Cancel) -> None:
        self._cancel = cancel
        self.watches_output = mode != "silent"
        self._is_buffered = mode == "buffered"
        self._kept: dict[str, list[tuple[str, bytes]]] = {}

    def step_started(self, run_id: str, workflow: str, state: str, step_type: str) -> None:
        """Nothing to show."""

    def step_output(self, run_id: str, state: str, stream: str, data: bytes) -> None:  # noqa: ARG002
        """Show or keep a piece of output."""
        if self._is_buffered:
            self._kept.setdefault(state, []).append((stream, data))
        else:
            self._write(stream, data)

    def step_finished(
        self,
        run_id: str,  # noqa: ARG002
        workflow: str,  # noqa: ARG002
        state: str,
        status: str,  # noqa: ARG002
        duration_s: float,  # noqa: ARG002
    ) -> None:
        """Show what was kept of this step."""
        for stream, data in self._kept.pop(state, ()):
            self._write(stream, data)

    def run_logged(self, run_id: str, workflow: str, level: str, text: str) -> None:  # noqa: ARG002
        """Show a line of the run's log."""
        note(f"{level}: {_printable(text)}")

    def run_finished(self, run_id: str, workflow: str, status: str, exit_code: int, duration_s: float) -> None:
        """Nothing to show: the summary is made from the Run."""

    def _write(self, stream: str, data: bytes) -> None:
        target = sys.stdout if stream == "stdout" else sys.stderr
        try:
            target.flush()
            target.buffer.write(data)
            target.buffer.flush()
        except BrokenPipeError:
            # What is still in the buffer has to go somewhere, or Python complains about it at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), target.fileno())
            self._cancel.request(f"{stream} closed")


def summary(run: Run) -> str:
    """One line, two with an error: how the run ended, where, after how long."""
    took = format_duration(round(run.duration_ms / 1000, 3))
    place = f" at '{run.final_state}'" if run.final_state else ""
    head = f"{run.workflow}: {run.status}{place} after {took} (run {run.run_id})"
    if run.error is None:
        return head
    return f"{head}\nError: {_printable(run.error.message.rstrip())}"


def _printable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
