"""Notify observers of what happened, one plain method an event. Called by the worker and its engine, on their threads.

Compiled once from the registered plugins: pluggy alone would let one failing observer silence the rest and reach the
worker. Here a failure is logged with plugin and hook, counted, and the worker goes on.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from awf_core.clock import Clock, SystemClock
from awf_core.observe import events
from awf_core.observe.log import get_logger
from awf_core.observe.throttle import Throttle
from awf_core.plugin.checks import EVENTS, PARAMETERS
from awf_core.plugin.trace import trace_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pluggy

    from awf_core.contract import Delivery
    from awf_core.plugin.manager import Plugins

log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Observer:
    """One implementation of one event. `positions` are the event's values it wants, in its own order."""

    plugin: str
    hook: str
    function: Any
    positions: tuple[int, ...]


class Observers:
    """The events of `hookspecs.EventSpecs`, and those the engine of a worker reports. Thread-safe; never raises.

    An event without an observer costs the call and one test; `active` is False when no event is observed at all.
    `failures` counts by (plugin, hook).
    """

    watches_output = False

    def __init__(self, plugins: Plugins, *, clock: Clock | None = None) -> None:
        chains = {hook: _compile(plugins.implementations(hook), hook) for hook in EVENTS}
        self._trace = plugins.trace
        self._lock = threading.Lock()
        self._failures: dict[tuple[str, str], int] = {}
        self._throttle = Throttle(clock or SystemClock())
        self._worker_started = chains["awf_worker_started"]
        self._message_received = chains["awf_message_received"]
        self._step_started = chains["awf_step_started"]
        self._step_finished = chains["awf_step_finished"]
        self._run_finished = chains["awf_run_finished"]
        self._message_settled = chains["awf_message_settled"]
        self._worker_stopping = chains["awf_worker_stopping"]
        self.active = any(chains.values())

    @property
    def failures(self) -> Mapping[tuple[str, str], int]:
        """How often observers raised, by (plugin, hook)."""
        with self._lock:
            return dict(self._failures)

    def worker_started(self, worker: str, queues: Sequence[str], concurrency: int) -> None:
        """See `awf_worker_started`."""
        if self._worker_started:
            self._notify(self._worker_started, (worker, queues, concurrency))

    def message_received(self, delivery: Delivery) -> None:
        """See `awf_message_received`."""
        if self._message_received:
            self._notify(self._message_received, (delivery,))

    def step_started(self, run_id: str, workflow: str, state: str, step_type: str) -> None:
        """See `awf_step_started`. Also logged, at debug."""
        log.debug(events.STEP_STARTED, run_id=run_id, workflow=workflow, state=state, step_type=step_type)
        if self._step_started:
            self._notify(self._step_started, (run_id, workflow, state, step_type))

    def step_finished(self, run_id: str, workflow: str, state: str, status: str, duration_s: float) -> None:
        """See `awf_step_finished`. Also logged, at debug."""
        log.debug(events.STEP_FINISHED, run_id=run_id, workflow=workflow, state=state, status=status)
        if self._step_finished:
            self._notify(self._step_finished, (run_id, workflow, state, status, duration_s))

    def step_output(self, run_id: str, state: str, stream: str, data: bytes) -> None:
        """Not watched: output goes into the result, never into the log."""

    def run_logged(self, run_id: str, workflow: str, level: str, text: str) -> None:
        """What a workflow's own `log:` hooks say goes to the log."""
        write = log.warning if level == "warn" else log.info
        write(events.WORKFLOW_LOG, run_id=run_id, workflow=workflow, text=text)

    def run_finished(self, run_id: str, workflow: str, status: str, exit_code: int, duration_s: float) -> None:
        """See `awf_run_finished`. The pipeline writes the log line, with the message's id."""
        if self._run_finished:
            self._notify(self._run_finished, (run_id, workflow, status, exit_code, duration_s))

    def message_settled(self, delivery: Delivery, settlement: str, reason: str, duration_s: float) -> None:
        """See `awf_message_settled`."""
        if self._message_settled:
            self._notify(self._message_settled, (delivery, settlement, reason, duration_s))

    def worker_stopping(self, worker: str, reason: str) -> None:
        """See `awf_worker_stopping`."""
        if self._worker_stopping:
            self._notify(self._worker_stopping, (worker, reason))

    def _notify(self, chain: tuple[_Observer, ...], values: tuple[Any, ...]) -> None:
        if self._trace:
            hook = chain[0].hook
            trace_line(hook, [each.plugin for each in chain], dict(zip(PARAMETERS[hook], values, strict=True)))
        for observer in chain:
            try:
                observer.function(*[values[position] for position in observer.positions])
            # Whatever an observer does, sys.exit included, the message is processed.
            except (Exception, SystemExit) as exc:  # noqa: BLE001
                self._failed(observer, exc)

    def _failed(self, observer: _Observer, exc: BaseException) -> None:
        key = (observer.plugin, observer.hook)
        with self._lock:
            self._failures[key] = count = self._failures.get(key, 0) + 1
        if self._throttle.take(key) is not None:
            log.warning(events.PLUGIN_FAILED, plugin=observer.plugin, hook=observer.hook, failures=count, exc_info=exc)


def _compile(implementations: Sequence[pluggy.HookImpl], hook: str) -> tuple[_Observer, ...]:
    """The chain of `hook` in pluggy's order: the plugin registered last is notified first."""
    parameters = PARAMETERS[hook]
    return tuple(
        _Observer(
            plugin=each.plugin_name,
            hook=hook,
            function=each.function,
            positions=tuple(parameters.index(name) for name in _wanted(each, parameters)),
        )
        for each in reversed(implementations)
    )


def _wanted(implementation: pluggy.HookImpl, parameters: tuple[str, ...]) -> list[str]:
    """The parameters to fill by position; one with a default is filled as far as the event has it."""
    wanted = list(implementation.argnames)
    for name in implementation.kwargnames:
        if name not in parameters:
            break
        wanted.append(name)
    return wanted
