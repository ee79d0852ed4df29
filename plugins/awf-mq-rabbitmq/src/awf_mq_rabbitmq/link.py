"""One connection on an I/O thread of its own, kept up: every loss is followed by a new one. Used by `consuming.py` and
`publishing.py`, each with a link of its own, since a broker under an alarm stops reading a connection that publishes.

Only `post` crosses into the I/O thread; everything of the client library happens there. Never retries what was sent.
"""

from __future__ import annotations

import logging
import random
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

import pika
from pika import exceptions as px
from pika.adapters.select_connection import IOLoop

from awf_core.errors import BrokerError, BrokerMisconfigured
from awf_core.units import format_duration
from awf_mq_rabbitmq import odd_values
from awf_mq_rabbitmq.failures import broker_error, closed_error, timeout_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from awf_mq_rabbitmq.parameters import Target

FIRST_WAIT_S = 0.05
LONGEST_WAIT_S = 2.0
LONGEST_WAIT_REFUSED_S = 30.0
"""Wrong credentials may be a rotation under way: asked again, but seldom."""
CLOSE_S = 3.0
SILENT_HEARTBEATS = 1.5
"""A broker that lives says so twice a heartbeat: by then it has missed three."""

odd_values.install()

# The library reports each failure at several levels, several times; all of it comes out as our errors.
_library_log = logging.getLogger("pika")
if _library_log.level == logging.NOTSET:
    _library_log.setLevel(logging.CRITICAL)


class Owner(Protocol):
    """Who uses a link. Called on its I/O thread."""

    def went_up(self, connection: Any) -> None:
        """The connection is open; call `link.is_ready_now()` once it can be used."""

    def went_down(self, error: BrokerError) -> None:
        """The connection, with every channel, is gone; also called once when the link is closed."""


class Link:
    """A connection that comes back. Thread-safe but for what says otherwise; once closed, it stays closed.

    `server_version` is what the broker last connected to says it is, "" before.
    """

    def __init__(self, target: Target, purpose: str, owner: Owner) -> None:
        self._target = target
        self._purpose = purpose
        self._owner = owner
        self._changed = threading.Condition()
        self._posted: deque[Callable[[], None]] = deque()
        self._thread: threading.Thread | None = None
        self._loop: Any = None
        self._connection: Any = None
        self._pending: Any = None
        self._timer: Any = None
        self._node = 0
        self._refusals: list[BrokerError] = []
        self._failures = 0
        self._rounds = 0
        self._error: BrokerError | None = None
        self._is_ready = False
        self._is_closing = False
        self._is_closed = False
        self.is_blocked = False
        self.server_version = ""

    @property
    def where(self) -> str:
        """The broker's address, for errors."""
        return self._target.where

    @property
    def is_up(self) -> bool:
        """Whether the connection can be used now."""
        return self._is_ready

    @property
    def connection(self) -> Any:
        """The library's connection while it is open, else None. For the I/O thread."""
        return self._connection

    def ensure_up(self) -> None:
        """Return once the connection can be used: at once, or after one more attempt on every host.

        Raises the contract's error when that attempt fails.
        """
        if self._is_ready:
            return
        with self._changed:
            self._start()
            rounds = self._rounds
            self.post(self._hurry)
            wait_s = self._target.settings.connect_timeout_s * (len(self._target.nodes) + 1) + 1.0
            self._changed.wait_for(lambda: self._is_ready or self._is_closed or self._rounds > rounds, wait_s)
        self._raise_unless_up(wait_s)

    def _raise_unless_up(self, waited_s: float) -> None:
        if self._is_ready:
            return
        if self._is_closed:
            raise closed_error(self.where, "connect")
        raise self._error or timeout_error(self.where, "connect", waited_s)

    def down_error(self) -> BrokerError:
        """Why it can't be used now."""
        return self._error or closed_error(self.where, "go on")

    def post(self, act: Callable[[], None]) -> bool:
        """Have the I/O thread call `act`, in order; False when the link is closed. `act` must not raise or block."""
        with self._changed:
            if self._is_closed or self._loop is None:
                return False
            self._posted.append(act)
            is_first = len(self._posted) == 1
        if is_first:
            self._loop.add_callback_threadsafe(self._run_posted)
        return True

    def abort(self, error: BrokerError) -> None:
        """Give the connection up without a word: whoever answers no more would not answer a close either."""
        self.post(lambda: self._terminate(str(error)))

    def close(self) -> None:
        """End connection and thread; waits a few seconds for the broker to have read everything. Idempotent."""
        self.post(self._shut)
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(2 * CLOSE_S)
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def is_ready_now(self) -> None:
        """Called by the owner, on the I/O thread, when it has set up what it needs."""
        with self._changed:
            self._is_ready = True
            self._failures = 0
            self._error = None
            self._changed.notify_all()

    def call_later(self, wait_s: float, act: Callable[[], None]) -> None:
        """Call `act` on the I/O thread in `wait_s` seconds. For the I/O thread."""
        self._loop.call_later(wait_s, act)

    def _start(self) -> None:
        if self._thread is None and not self._is_closed:
            self._loop = IOLoop()
            self._thread = threading.Thread(target=self._run, name=f"awf-rabbitmq-{self._purpose}", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        self._connect()
        while True:
            try:
                self._loop.start()
                break
            except Exception as error:  # noqa: BLE001 - the thread's boundary: a defect of the library costs a connection
                self._went_down(error)
                self._loop.add_callback_threadsafe(self._run_posted)
        with self._changed:
            self._is_closed = True
            self._is_ready = False
        self._owner.went_down(closed_error(self.where, "go on"))
        self._run_posted()
        self._loop.close()
        with self._changed:
            self._changed.notify_all()

    def _run_posted(self) -> None:
        while True:
            with self._changed:
                if not self._posted:
                    return
                act = self._posted[0]
            try:
                act()
            finally:
                with self._changed:
                    self._posted.popleft()

    def _hurry(self) -> None:
        """Somebody waits: try now what would have been tried later."""
        if self._timer is not None:
            self._connect()

    def _connect(self) -> None:
        self._drop_timer()
        self._refusals = []
        self._try_node()

    def _try_node(self) -> None:
        nodes = self._target.nodes
        node = nodes[(self._node + len(self._refusals)) % len(nodes)]
        try:
            parameters = self._target.parameters(node, self._purpose)
            self._pending = pika.SelectConnection(
                parameters,
                on_open_callback=self._opened,
                on_open_error_callback=self._refused,
                on_close_callback=lambda _, error: self._went_down(error),
                custom_ioloop=self._loop,
            )
        except (BrokerMisconfigured, px.AMQPError, OSError) as error:
            self._refused(None, error)

    def _opened(self, connection: Any) -> None:
        self._node = (self._node + len(self._refusals)) % len(self._target.nodes)
        self._pending, self._connection = None, connection
        self.server_version = str((connection.server_properties or {}).get("version", ""))
        connection.add_on_connection_blocked_callback(lambda *_: self._set_blocked(is_blocked=True))
        connection.add_on_connection_unblocked_callback(lambda *_: self._set_blocked(is_blocked=False))
        self._listen(connection, -1)
        self._owner.went_up(connection)

    def _listen(self, connection: Any, heard_bytes: int) -> None:
        """The library notices silence too, five seconds and up to a whole heartbeat later."""
        if connection is not self._connection:
            return
        now_bytes, heartbeat_s = connection.bytes_received, connection.params.heartbeat
        if now_bytes == heard_bytes:
            self._terminate(f"nothing was heard for {format_duration(heartbeat_s * SILENT_HEARTBEATS)}")
        elif heartbeat_s:
            self._loop.call_later(heartbeat_s * SILENT_HEARTBEATS, lambda: self._listen(connection, now_bytes))

    def _refused(self, _connection: Any, error: BaseException) -> None:
        self._pending = None
        self._refusals.append(broker_error(error, where=self.where, doing="connect"))
        if len(self._refusals) < len(self._target.nodes) and not self._is_closing:
            self._try_node()
            return
        worst = next((e for e in self._refusals if isinstance(e, BrokerMisconfigured)), self._refusals[-1])
        self._retry_later(worst)

    def _went_down(self, error: BaseException) -> None:
        if self._connection is None and self._pending is None:
            return
        self._connection = self._pending = None
        mapped = broker_error(error, where=self.where, doing="go on", in_doubt=True)
        with self._changed:
            self._is_ready = self.is_blocked = False
        self._owner.went_down(mapped)
        self._retry_later(mapped)

    def _retry_later(self, error: BrokerError) -> None:
        if self._is_closing:
            self._loop.stop()
            return
        is_refused = isinstance(error, BrokerMisconfigured)
        longest_s = LONGEST_WAIT_REFUSED_S if is_refused else LONGEST_WAIT_S
        wait_s = min(longest_s, FIRST_WAIT_S * 2.0 ** min(self._failures, 20)) * random.random()  # noqa: S311
        self._drop_timer()
        self._timer = self._loop.call_later(wait_s, self._connect)
        with self._changed:
            self._failures += 1
            self._rounds += 1
            self._error = error
            self._changed.notify_all()

    def _shut(self) -> None:
        self._is_closing = True
        self._drop_timer()
        self._loop.call_later(CLOSE_S, self._loop.stop)
        open_or_opening = self._connection or self._pending
        if open_or_opening is None:
            self._loop.stop()
            return
        try:
            open_or_opening.close()
        except px.AMQPError:
            self._loop.stop()

    def _terminate(self, why: str) -> None:
        connection = self._connection
        if connection is not None and not connection.is_closed:
            # What the library's own heartbeat does with a silent connection; close() would wait for an answer.
            connection._terminate_stream(px.AMQPHeartbeatTimeout(why))  # noqa: SLF001

    def _drop_timer(self) -> None:
        if self._timer is not None:
            self._loop.remove_timeout(self._timer)
            self._timer = None

    def _set_blocked(self, *, is_blocked: bool) -> None:
        with self._changed:
            self.is_blocked = is_blocked
            self._changed.notify_all()

    def wait_unblocked(self, wait_s: float) -> bool:
        """Wait until the broker takes what is published again; False when it still doesn't after `wait_s`."""
        with self._changed:
            return self._changed.wait_for(lambda: not self.is_blocked, wait_s)
