"""One AMQP connection on an I/O thread of its own. It is replaced whenever it is lost. Consuming, publishing and reply
probes have one each: under an alarm the broker stops reading a connection that publishes.

Only `post` crosses into the I/O thread; the client library is used there alone. Never repeats what was sent.
"""

from __future__ import annotations

import logging
import struct
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

import pika
from pika import exceptions as px
from pika import frame, spec
from pika.adapters.select_connection import IOLoop

from awf_core.backoff import Backoff
from awf_core.errors import BrokerError, BrokerMisconfigured
from awf_core.units import format_duration
from awf_mq_rabbitmq.failures import broker_error, closed_error, timeout_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from awf_mq_rabbitmq.settings import Target

FIRST_WAIT_S = 0.05
LONGEST_WAIT_S = 2.0
LONGEST_WAIT_REFUSED_S = 30.0
"""Wrong credentials may be a rotation under way: such a broker is tried again, but seldom."""
CLOSE_S = 3.0
SILENT_HEARTBEATS = 1.5
"""A live broker sends twice a heartbeat: by then three are missing."""
FRAME_START_BYTES, CONTENT_START_BYTES = 7, 12

# The library reports each failure at several levels, several times. All of it comes out as errors of this package.
_library_log = logging.getLogger("pika")
if _library_log.level == logging.NOTSET:
    _library_log.setLevel(logging.CRITICAL)


class RawPropertiesConnection(pika.SelectConnection):  # type: ignore[misc]  # the library is not typed
    """The library's connection, but it leaves a message's properties as bytes; `properties.decode` reads them.

    What the library can't decode raises while it reads frames, and costs the connection.
    """

    def _read_frame(self) -> tuple[int, Any]:
        buffer = self._frame_buffer
        if buffer[:1] != bytes([spec.FRAME_HEADER]) or len(buffer) < FRAME_START_BYTES + CONTENT_START_BYTES:
            found: tuple[int, Any] = super()._read_frame()
            return found
        channel_number, size = struct.unpack_from(">HI", buffer, 1)
        start, end = FRAME_START_BYTES + CONTENT_START_BYTES, FRAME_START_BYTES + size
        if end >= len(buffer):
            return 0, None
        if buffer[end] != spec.FRAME_END:
            raise px.InvalidFrameError("a content header without end marker")
        (body_size,) = struct.unpack_from(">Q", buffer, FRAME_START_BYTES + 4)
        return end + 1, frame.Header(channel_number, body_size, buffer[start:end])


class Owner(Protocol):
    """The user of a connection. Called on its I/O thread."""

    def connection_opened(self, amqp: Any) -> None:
        """The library's connection is open; call `mark_ready()` once it can be used."""

    def connection_lost(self, error: BrokerError) -> None:
        """The connection, with every channel, is gone; also called once when it is closed."""


class Connection:
    """A connection that is replaced when it is lost. Thread-safe but for what says otherwise; once closed, it stays so.

    amqp             the library's connection while it is open, else None; for the I/O thread
    is_ready         whether it can be used now
    is_blocked       whether the broker accepts nothing for now (memory or disk alarm)
    server_version   as the broker that was last connected says it, "" before
    """

    def __init__(self, target: Target, purpose: str, owner: Owner) -> None:
        self._target = target
        self._purpose = purpose
        self._owner = owner
        self._changed = threading.Condition()
        self._posted: deque[Callable[[], None]] = deque()
        self._thread: threading.Thread | None = None
        self._loop: Any = None
        self._opening: Any = None
        self._timer: Any = None
        self._node = 0
        self._refusals: list[BrokerError] = []
        self._away = Backoff(first_s=FIRST_WAIT_S, longest_s=LONGEST_WAIT_S, least=0.0)
        self._refused = Backoff(first_s=FIRST_WAIT_S, longest_s=LONGEST_WAIT_REFUSED_S, least=0.0)
        self._rounds = 0
        self._error: BrokerError | None = None
        self._is_closing = False
        self._is_closed = False
        self.amqp: Any = None
        self.is_ready = False
        self.is_blocked = False
        self.server_version = ""

    @property
    def where(self) -> str:
        """The broker's address, for errors."""
        return self._target.where

    def ensure_ready(self) -> None:
        """Return once the connection can be used: at once, or after one more attempt on every host.

        Raises the contract's error when that attempt fails.
        """
        if self.is_ready:
            return
        with self._changed:
            self._start()
            rounds = self._rounds
            self.post(self._connect_now)
            wait_s = self._target.settings.connect_timeout_s * (len(self._target.address.nodes) + 1) + 1.0
            self._changed.wait_for(lambda: self.is_ready or self._is_closed or self._rounds > rounds, wait_s)
        self._raise_unless_ready(wait_s)

    def _raise_unless_ready(self, waited_s: float) -> None:
        if self.is_ready:
            return
        if self._is_closed:
            raise closed_error(self.where, "connect")
        raise self._error or timeout_error(self.where, "connect", waited_s)

    def unready_error(self) -> BrokerError:
        """Why it can't be used now."""
        return self._error or closed_error(self.where, "go on")

    def post(self, act: Callable[[], None]) -> bool:
        """Have the I/O thread call `act`, in order; False when it is closed. `act` must not raise or block."""
        with self._changed:
            if self._is_closed or self._loop is None:
                return False
            self._posted.append(act)
            is_first = len(self._posted) == 1
        if is_first:
            self._loop.add_callback_threadsafe(self._run_posted)
        return True

    def abort(self, error: BrokerError) -> None:
        """Drop the connection without closing it: a broker that answers no more would not answer a close either."""
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

    def mark_ready(self) -> None:
        """The owner calls this on the I/O thread when it has set up what it needs."""
        with self._changed:
            self.is_ready = True
            self._away.reset()
            self._refused.reset()
            self._error = None
            self._changed.notify_all()

    def call_later(self, wait_s: float, act: Callable[[], None]) -> None:
        """Call `act` on the I/O thread in `wait_s` seconds. For the I/O thread."""
        self._loop.call_later(wait_s, act)

    def wait_unblocked(self, wait_s: float) -> bool:
        """Wait until the broker accepts messages; False when it still doesn't after `wait_s` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: not self.is_blocked, wait_s)

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
            except Exception as error:  # noqa: BLE001 - the thread's boundary: an error of the library costs a connection
                self._lost(error)
                self._loop.add_callback_threadsafe(self._run_posted)
        with self._changed:
            self._is_closed = True
            self.is_ready = False
        self._owner.connection_lost(closed_error(self.where, "go on"))
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

    def _connect_now(self) -> None:
        """A caller waits: don't wait for the timer."""
        if self._timer is not None:
            self._connect()

    def _connect(self) -> None:
        self._drop_timer()
        self._refusals = []
        self._try_node()

    def _try_node(self) -> None:
        nodes = self._target.address.nodes
        node = nodes[(self._node + len(self._refusals)) % len(nodes)]
        try:
            self._opening = RawPropertiesConnection(
                self._target.parameters(node, self._purpose),
                on_open_callback=self._opened,
                on_open_error_callback=self._was_refused,
                on_close_callback=lambda _, error: self._lost(error),
                custom_ioloop=self._loop,
            )
        except (BrokerMisconfigured, px.AMQPError, OSError) as error:
            self._was_refused(None, error)

    def _opened(self, amqp: Any) -> None:
        self._node = (self._node + len(self._refusals)) % len(self._target.address.nodes)
        self._opening, self.amqp = None, amqp
        self.server_version = str((amqp.server_properties or {}).get("version", ""))
        amqp.add_on_connection_blocked_callback(lambda *_: self._set_blocked(is_blocked=True))
        amqp.add_on_connection_unblocked_callback(lambda *_: self._set_blocked(is_blocked=False))
        self._check_silence(amqp, -1)
        self._owner.connection_opened(amqp)

    def _check_silence(self, amqp: Any, received_before: int) -> None:
        """The library notices silence too, five seconds and up to a whole heartbeat later."""
        if amqp is not self.amqp:
            return
        received, heartbeat_s = amqp.bytes_received, amqp.params.heartbeat
        if received == received_before:
            self._terminate(f"nothing was heard for {format_duration(heartbeat_s * SILENT_HEARTBEATS)}")
        elif heartbeat_s:
            self._loop.call_later(heartbeat_s * SILENT_HEARTBEATS, lambda: self._check_silence(amqp, received))

    def _was_refused(self, _amqp: Any, error: BaseException) -> None:
        self._opening = None
        self._refusals.append(broker_error(error, where=self.where, doing="connect"))
        if len(self._refusals) < len(self._target.address.nodes) and not self._is_closing:
            self._try_node()
            return
        worst = next((e for e in self._refusals if isinstance(e, BrokerMisconfigured)), self._refusals[-1])
        self._retry_later(worst)

    def _lost(self, error: BaseException) -> None:
        if self.amqp is None and self._opening is None:
            return
        self.amqp = self._opening = None
        mapped = broker_error(error, where=self.where, doing="go on", in_doubt=True)
        with self._changed:
            self.is_ready = self.is_blocked = False
        self._owner.connection_lost(mapped)
        self._retry_later(mapped)

    def _retry_later(self, error: BrokerError) -> None:
        if self._is_closing:
            self._loop.stop()
            return
        backoff = self._refused if isinstance(error, BrokerMisconfigured) else self._away
        self._drop_timer()
        self._timer = self._loop.call_later(backoff.next_s(), self._connect)
        with self._changed:
            self._rounds += 1
            self._error = error
            self._changed.notify_all()

    def _shut(self) -> None:
        self._is_closing = True
        self._drop_timer()
        self._loop.call_later(CLOSE_S, self._loop.stop)
        open_or_opening = self.amqp or self._opening
        if open_or_opening is None:
            self._loop.stop()
            return
        try:
            open_or_opening.close()
        except px.AMQPError:
            self._loop.stop()

    def _terminate(self, why: str) -> None:
        if self.amqp is not None and not self.amqp.is_closed:
            # As the library's own heartbeat does with a silent connection; close() would wait for an answer.
            self.amqp._terminate_stream(px.AMQPHeartbeatTimeout(why))  # noqa: SLF001

    def _drop_timer(self) -> None:
        if self._timer is not None:
            self._loop.remove_timeout(self._timer)
            self._timer = None

    def _set_blocked(self, *, is_blocked: bool) -> None:
        with self._changed:
            self.is_blocked = is_blocked
            self._changed.notify_all()
