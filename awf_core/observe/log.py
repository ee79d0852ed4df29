"""The log: `configure_logging` once at start, `get_logger(__name__)` where a module logs.

One event a line: a constant name from events.py plus fields, never a body or a secret. It is the standard library's
`logging`, with a logger per module under `awf_core`, one handler and the formatters of render.py. A worker's lines are
written by a thread of their own (log_writer.py), so that no thread of the worker waits for stderr.
Thread-safe. A logger may be made, and used, before `configure_logging`: it follows the latest configuration.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, TextIO

from awf_core.clock import Clock, SystemClock
from awf_core.errors import ConfigError
from awf_core.observe import events
from awf_core.observe.log_writer import LogWriter
from awf_core.observe.render import JsonLines, TextLines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

PARENT = "awf_core"
Format = Literal["text", "json"]
LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
"""The levels a user can choose, by name."""
FLUSH_S = 2.0
"""How long the end of a process waits for its log to be read."""


class Logger:
    """Logs events with fields. Below the configured level a call does nothing."""

    __slots__ = ("_fields", "_logger")

    def __init__(self, logger: logging.Logger, fields: dict[str, object]) -> None:
        self._logger = logger
        self._fields = fields

    def bind(self, **fields: object) -> Logger:
        """A logger that puts `fields` on every line as well."""
        return Logger(self._logger, {**self._fields, **fields})

    def debug(self, event: str, **fields: object) -> None:
        """What helps to follow the program."""
        if self._logger.isEnabledFor(logging.DEBUG):
            self._write(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: object) -> None:
        """The course of a message, in three lines at most."""
        if self._logger.isEnabledFor(logging.INFO):
            self._write(logging.INFO, event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """The operator may want to act. `exc_info=exc` adds a traceback."""
        if self._logger.isEnabledFor(logging.WARNING):
            self._write(logging.WARNING, event, fields)

    def error(self, event: str, **fields: object) -> None:
        """The operator has to act. `exc_info=exc` adds a traceback."""
        self._write(logging.ERROR, event, fields)

    def exception(self, event: str, **fields: object) -> None:
        """`error` with the traceback of the exception being handled."""
        self._write(logging.ERROR, event, {"exc_info": sys.exc_info()[1], **fields})

    def is_enabled_for(self, level: str) -> bool:
        """Whether a line at `level` would be written."""
        return self._logger.isEnabledFor(LEVELS[level])

    def _write(self, level: int, event: str, fields: dict[str, object]) -> None:
        caught = fields.pop("exc_info", None)
        info = (type(caught), caught, caught.__traceback__) if isinstance(caught, BaseException) else None
        # Not `Logger.log`: it walks the stack for the caller's file and line, which no line of ours shows.
        record = logging.LogRecord(self._logger.name, level, "", 0, event, None, info)
        record.fields = {**self._fields, **fields}
        self._logger.handle(record)


def get_logger(name: str, **fields: object) -> Logger:
    """A logger that puts `logger=name` (without `awf_core.`) and `fields` on every line. Cheap; make one a module."""
    short = name.removeprefix(f"{PARENT}.")
    return Logger(logging.getLogger(f"{PARENT}.{short}"), {"logger": short, **fields})


def lines_together() -> AbstractContextManager[None]:
    """What the calling thread logs inside goes out in one piece: for the many lines of one batch."""
    return _HANDLER.together()


def configure_logging(
    format: Format | None,  # noqa: A002 - the option's name, everywhere
    level: str,
    stream: TextIO | None = None,
    *,
    clock: Clock | None = None,
    in_background: bool = False,
) -> None:
    """Say how and where lines are written. `format=None`: text on a terminal, else JSON; `stream=None`: stderr.

    `in_background`: by a thread of its own that drops lines rather than let a caller wait; else by the caller, whole.
    Replaces an earlier call. Also routes the loggers of libraries here, from warning up, so that no library writes a
    password past the masking. Raises ConfigError for an unknown level or format.
    """
    if level.lower() not in LEVELS:
        raise ConfigError(f"log level {level!r} is not allowed (allowed: {', '.join(LEVELS)})")
    if format not in (None, "text", "json"):
        raise ConfigError(f"log format {format!r} is not allowed (allowed: text, json)")
    out = stream if stream is not None else sys.stderr
    is_text = format == "text" or (format is None and out.isatty())
    _HANDLER.flush()
    _HANDLER.setFormatter((TextLines if is_text else JsonLines)(clock or SystemClock()))
    _HANDLER.setLevel(LEVELS[level.lower()])
    _HANDLER.stream = stream
    _HANDLER.write_in_background(is_on=in_background)
    _PARENT.setLevel(LEVELS[level.lower()])
    root = logging.getLogger()
    if _HANDLER not in root.handlers:
        root.addHandler(_HANDLER)


def flush_log() -> None:
    """Wait until all lines so far are written, FLUSH_S at most. For a process that ends without Python's own exit."""
    _HANDLER.flush()


def _unformattable(record: logging.LogRecord, error: Exception) -> logging.LogRecord:
    """What is logged for a call whose arguments don't fit its text. Never the arguments: they may hold a password.

    In place of `Handler.handleError`, which prints them, and waits for stderr on the caller's thread.
    """
    text = "a log call failed: %s at %s:%s"
    where = (type(error).__name__, record.filename, record.lineno)
    return logging.LogRecord(record.name, record.levelno, record.pathname, record.lineno, text, where, None)


class LineHandler(logging.Handler):
    """Writes lines to a stream that threads share. `stream=None` is stderr. Never raises at a caller of the log.

    A log that can't be written (closed pipe, full disk) must not stop a worker.

    A thread that finds another one writing leaves its line to it and goes on: with a lock around each write, the
    threads of a busy worker spent their time waiting for one another. In the background no caller writes at all.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stream: TextIO | None = None
        self._lines: deque[str] = deque()
        self._writing = threading.Lock()
        self._batch = threading.local()
        self._background: LogWriter | None = None
        # A child that is forked while another thread writes would inherit a lock that no thread of its own releases.
        os.register_at_fork(after_in_child=self._start_afresh)

    def handle(self, record: logging.LogRecord) -> bool:
        """Write `record`, without the lock that `logging` would take around it. Libraries count from warning up."""
        if record.levelno >= logging.WARNING or hasattr(record, "fields"):
            self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record's line whole and flush it, or have the thread that is writing do it."""
        try:
            line = self.format(record) + "\n"
        except Exception as error:  # noqa: BLE001  (a library's bad log call must not break its caller)
            line = self.format(_unformattable(record, error)) + "\n"
        if self._background is not None:
            self._background.put(record.levelno, line)
            return
        self._lines.append(line)
        if not getattr(self._batch, "is_open", False):
            self._drain()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Lines this thread writes inside go out in one piece at the end."""
        self._batch.is_open = True
        try:
            yield
        finally:
            self._batch.is_open = False
            self._drain()

    def write_in_background(self, *, is_on: bool) -> None:
        """Have a thread of its own write from now on, or again the callers."""
        if not is_on:
            self._background = None
        elif self._background is None:
            self._background = LogWriter(self._stream_now, self._dropped_line)

    def flush(self) -> None:
        """Wait until all lines are written, FLUSH_S at most. `logging` calls it when the process ends."""
        if self._background is not None:
            self._background.flush(FLUSH_S)

    def _stream_now(self) -> TextIO:
        return self.stream if self.stream is not None else sys.stderr

    def _dropped_line(self, counts: dict[str, int]) -> str:
        record = logging.LogRecord(PARENT, logging.WARNING, "", 0, events.LOG_DROPPED, None, None)
        record.fields = {"logger": "observe.log", "lines": sum(counts.values()), **counts}
        return self.format(record) + "\n"

    def _drain(self) -> None:
        # Checked again after each piece: a thread that left a line while the lock was taken counts on it.
        while self._lines and self._writing.acquire(blocking=False):
            try:
                self._write_out()
            finally:
                self._writing.release()

    def _write_out(self) -> None:
        lines = [self._lines.popleft() for _ in range(len(self._lines))]
        stream = self._stream_now()
        try:
            stream.write("".join(lines))
            stream.flush()
        except (OSError, ValueError):
            return

    def _start_afresh(self) -> None:
        self._lines = deque()
        self._writing = threading.Lock()
        # The writing thread stayed with the parent. A child writes its few lines itself.
        self._background = None


_HANDLER = LineHandler()
_HANDLER.setFormatter(TextLines(SystemClock()))
_PARENT = logging.getLogger(PARENT)
_PARENT.setLevel(logging.INFO)
_PARENT.addHandler(_HANDLER)
# The root logger has the same handler, for libraries: each line is written once.
_PARENT.propagate = False
