"""What the engine says of a run, passed on to observers and the log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from awf_core.engine.run.events import Events
from awf_core.observe import events
from awf_core.observe.log import get_logger

if TYPE_CHECKING:
    from awf_core.plugin.observers import Observers

log = get_logger(__name__)


class RunEvents(Events):
    """The engine's events in a worker. Thread-safe, never raises."""

    watches_output = False

    def __init__(self, observers: Observers) -> None:
        self._observers = observers

    def step_started(self, run_id: str, workflow: str, state: str, step_type: str) -> None:
        """To observers, and to the log at debug."""
        log.debug(events.STEP_STARTED, run_id=run_id, workflow=workflow, state=state, step_type=step_type)
        self._observers.step_started(run_id, workflow, state, step_type)

    def step_finished(self, run_id: str, workflow: str, state: str, status: str, duration_s: float) -> None:
        """To observers, and to the log at debug."""
        log.debug(events.STEP_FINISHED, run_id=run_id, workflow=workflow, state=state, status=status)
        self._observers.step_finished(run_id, workflow, state, status, duration_s)

    def step_output(self, run_id: str, state: str, stream: str, data: bytes) -> None:
        """Not watched: output goes into the result, never into the log."""

    def run_logged(self, run_id: str, workflow: str, level: str, text: str) -> None:
        """What a workflow's own `log:` hooks say."""
        write = log.warning if level == "warn" else log.info
        write(events.WORKFLOW_LOG, run_id=run_id, workflow=workflow, text=text)

    def run_finished(self, run_id: str, workflow: str, status: str, exit_code: int, duration_s: float) -> None:
        """To observers; the pipeline writes the log line, with the message's id."""
        self._observers.run_finished(run_id, workflow, status, exit_code, duration_s)
