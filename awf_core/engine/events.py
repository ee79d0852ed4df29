"""Who wants to know how runs go: the worker's observers, the command line.

Called by the runner on the run's thread.
"""

from __future__ import annotations

from typing import Protocol


class Events(Protocol):
    """What happens in runs.

    Thread-safe; methods return quickly and do not raise. Durations are in seconds.
    """

    watches_output: bool
    """Whether `step_output` is wanted; a step's output is only handed on while it runs if so."""

    def step_started(self, run_id: str, workflow: str, state: str, step_type: str) -> None:
        """A state is about to run; its time limit has begun."""

    def step_finished(self, run_id: str, workflow: str, state: str, status: str, duration_s: float) -> None:
        """A state has run; `status` is `completed` or `failed`."""

    def step_output(self, run_id: str, state: str, stream: str, data: bytes) -> None:
        """A running step wrote `data`, secrets masked, to `stream`: `stdout` or `stderr`."""

    def run_logged(self, run_id: str, workflow: str, level: str, text: str) -> None:
        """A line for the run's log, from a hook or about one; `level` is `info` or `warn`."""

    def run_finished(self, run_id: str, workflow: str, status: str, exit_code: int, duration_s: float) -> None:
        """A run ended: `completed`, `failed` or `cancelled`."""


class NoEvents:
    """Nobody wants to know."""

    watches_output = False

    def step_started(self, run_id: str, workflow: str, state: str, step_type: str) -> None:
        """Do nothing."""

    def step_finished(self, run_id: str, workflow: str, state: str, status: str, duration_s: float) -> None:
        """Do nothing."""

    def step_output(self, run_id: str, state: str, stream: str, data: bytes) -> None:
        """Do nothing."""

    def run_logged(self, run_id: str, workflow: str, level: str, text: str) -> None:
        """Do nothing."""

    def run_finished(self, run_id: str, workflow: str, status: str, exit_code: int, duration_s: float) -> None:
        """Do nothing."""
