"""What `awf run` shows of a run: log and summary on stderr, step output according to `--output` on stdout."""

from __future__ import annotations

import os
import sys

from awf_core.cli.options import OutputMode
from awf_core.cli.output import note
from awf_core.engine.run.events import NoEvents
from awf_core.extensions.deadline import Cancel
from awf_core.extensions.results import Run
from awf_core.units import format_duration


class RunReport(NoEvents):
    """Writes the events of one run.

    silent      no step output
    streaming   both streams at once
    buffered    both streams of a step when the step has ended

    A reader that closes the pipe (`awf run … | head`) cancels the run.
    """

    def __init__(self, mode: OutputMode, cancel: Cancel) -> None:
        self._cancel = cancel
        self.watches_output = mode != "silent"
        self._is_buffered = mode == "buffered"
        self._buffered: dict[str, list[tuple[str, bytes]]] = {}

    def step_output(self, run_id: str, state: str, stream: str, data: bytes) -> None:  # noqa: ARG002
        """Write a piece of output, or buffer it."""
        if self._is_buffered:
            self._buffered.setdefault(state, []).append((stream, data))
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
        """Write the buffered output of this step."""
        for stream, data in self._buffered.pop(state, ()):
            self._write(stream, data)

    def run_logged(self, run_id: str, workflow: str, level: str, text: str) -> None:  # noqa: ARG002
        """Write a line of the run's log."""
        note(f"{level}: {_printable(text)}")

    def _write(self, stream: str, data: bytes) -> None:
        target = sys.stdout if stream == "stdout" else sys.stderr
        try:
            target.flush()
            target.buffer.write(data)
            target.buffer.flush()
        except BrokenPipeError:
            # Python flushes this stream at exit, and would fail again if it still led to the closed pipe.
            os.dup2(os.open(os.devnull, os.O_WRONLY), target.fileno())
            self._cancel.request(f"{stream} closed")


def summary(run: Run) -> str:
    """One line, two with an error: status, final state, duration, run id."""
    took = format_duration(round(run.duration_ms / 1000, 3))
    place = f" at '{run.final_state}'" if run.final_state else ""
    head = f"{run.workflow}: {run.status}{place} after {took} (run {run.run_id})"
    if run.error is None:
        return head
    return f"{head}\nError: {_printable(run.error.message.rstrip())}"


def _printable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
