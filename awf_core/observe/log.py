"""The log: `configure_logging` once at start, `get_logger(__name__)` where something is to be said.

One event a line, a constant name from events.py plus fields; bodies and secrets never.
A logger may be made, and even used, before `configure_logging`: it follows whatever is configured last.
Thread-safe.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TextIO

from awf_core.clock import Clock, SystemClock
from awf_core.errors import ConfigError
from awf_core.observe import events
from awf_core.observe.render import EventDict, json_renderer, text_renderer
from awf_core.observe.sink import Sink

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


def _import_structlog() -> Any:
    # structlog's console helpers import rich where it is installed: 50 ms of start-up for something only
    # `awf_core.cli` may use. A None in sys.modules is Python's own way to say "not installed".
    hidden = "rich" not in sys.modules
    if hidden:
        sys.modules["rich"] = None  # type: ignore[assignment]
    try:
        import structlog
    finally:
        if hidden:
            del sys.modules["rich"]
    return structlog


structlog = _import_structlog()
BoundLoggerBase: Any = structlog.BoundLoggerBase

Format = Literal["text", "json"]
LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
"""The levels a user can choose, by name."""

_SINK = Sink()
# One list for all loggers, changed in place: loggers made before configure_logging see the change.
_PROCESSORS: list[Any] = [text_renderer(SystemClock())]


class Logger(BoundLoggerBase):  # type: ignore[misc]
    """A logger with fields bound to it (`bind(message=...)` gives a new one);
    below the level a call does nothing.
    """

    threshold: ClassVar[int] = LEVELS["info"]

    def debug(self, event: str, **fields: object) -> None:
        """What helps to follow the program."""
        if self.threshold <= 10:
            self._proxy_to_logger("debug", event, **fields)

    def info(self, event: str, **fields: object) -> None:
        """The story of a message, in three lines at most."""
        if self.threshold <= 20:
            self._proxy_to_logger("info", event, **fields)

    def warning(self, event: str, **fields: object) -> None:
        """Somebody may want to act. `exc_info=exc` adds a traceback."""
        if self.threshold <= 30:
            self._proxy_to_logger("warning", event, **fields)

    def error(self, event: str, **fields: object) -> None:
        """Somebody has to act. `exc_info=exc` adds a traceback."""
        self._proxy_to_logger("error", event, **fields)

    def exception(self, event: str, **fields: object) -> None:
        """`error` with the traceback of the exception being handled."""
        self._proxy_to_logger("error", event, **{"exc_info": True, **fields})

    def is_enabled_for(self, level: str) -> bool:
        """Whether a line at `level` would be written."""
        return self.threshold <= LEVELS[level]


def get_logger(name: str, **fields: object) -> Logger:
    """A logger that puts `logger=name` and `fields` on every line. Cheap; make one a module."""
    return Logger(_SINK, _PROCESSORS, {"logger": name.removeprefix("awf_core."), **fields})


def lines_together() -> AbstractContextManager[None]:
    """What the calling thread logs inside goes out in one piece: for the many lines of one batch."""
    return _SINK.together()


def configure_logging(
    format: Format | None,  # noqa: A002 - the option's name, everywhere
    level: str,
    stream: TextIO | None = None,
    *,
    clock: Clock | None = None,
) -> None:
    """Say how and where lines are written. `format=None`: text on a terminal, JSON elsewhere; `stream=None`:
    stderr.

    Takes the place of an earlier call. Also routes structlog's and the standard
    library's loggers here (the latter from warning up), so that no library writes a
    password past the masking. Raises ConfigError for an unknown level or format.
    """
    threshold = _threshold(level)
    out = stream if stream is not None else sys.stderr
    chosen = _chosen(format, out)
    renderer = json_renderer if chosen == "json" else text_renderer
    _PROCESSORS[:] = [renderer(clock or SystemClock())]
    _SINK.stream = stream
    Logger.threshold = threshold
    structlog.configure(
        processors=_PROCESSORS,
        wrapper_class=Logger,
        logger_factory=lambda *_: _SINK,
        cache_logger_on_first_use=True,
    )
    _route_standard_library(threshold)


def _threshold(level: str) -> int:
    if level.lower() not in LEVELS:
        raise ConfigError(f"log level {level!r} is not allowed (allowed: {', '.join(LEVELS)})")
    return LEVELS[level.lower()]


def _chosen(format: str | None, stream: TextIO) -> str:  # noqa: A002
    if format not in (None, "text", "json"):
        raise ConfigError(f"log format {format!r} is not allowed (allowed: text, json)")
    return format or ("text" if stream.isatty() else "json")


class _Bridge(logging.Handler):
    """Writes what libraries log as an event of ours."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line: EventDict = {"event": events.LIBRARY, "logger": record.name, "message": record.getMessage()}
            if record.exc_info:
                line["exc_info"] = record.exc_info
            level = {50: "critical", 40: "error", 30: "warning"}.get(record.levelno, record.levelname.lower())
            _SINK.write(_PROCESSORS[-1](None, level, line))
        except Exception:  # noqa: BLE001 - a library's bad log call must not break its caller
            self.handleError(record)


_BRIDGE = _Bridge(level=logging.WARNING)


def _route_standard_library(threshold: int) -> None:
    _BRIDGE.setLevel(max(threshold, logging.WARNING))
    root = logging.getLogger()
    if _BRIDGE not in root.handlers:
        root.addHandler(_BRIDGE)
