"""Turn a log record into one line, JSON or text, with secrets masked. The formatters of log.py.

Values come from untrusted producers: control characters are escaped, so no value can forge a line or drive a terminal.
"""

from __future__ import annotations

import json
import logging
import re
import traceback
from collections.abc import Mapping
from typing import Any

from pydantic_core import to_json

from awf_core.clock import Clock, iso_utc
from awf_core.config.secrets import MASK, is_secret
from awf_core.errors import redact_url
from awf_core.observe import events
from awf_core.visible_text import visible, visible_json, visible_lines

Fields = dict[str, Any]
_LEVELS = {10: "debug", 20: "info", 30: "warning", 40: "error", 50: "critical"}
_BARE = re.compile(r"[^\s\"'=\\]+")
_KNOWN_KEYS: dict[str, bool] = {}
_MAX_KNOWN_KEYS = 1000
MAX_TEXT_CHARS = 4096
"""How much of a text goes into a line: names, ids and errors may quote what an untrusted producer sent."""
MAX_TRACE_CHARS = 16384


class JsonLines(logging.Formatter):
    """One JSON object a line: `timestamp`, `level`, `event`, `logger`, then the fields."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def format(self, record: logging.LogRecord) -> str:
        """The line of `record`."""
        line: Fields = {"timestamp": iso_utc(self._clock.now()), "level": _level(record), "event": _event(record)}
        for key, value in _fields(record).items():
            line[key] = _safe(key, value)
        trace = _traceback(record)
        if trace is not None:
            line["exception"] = redact_url(trace)
        return visible_json(_to_json(line))


class TextLines(logging.Formatter):
    """`2026-01-02T03:04:05.678Z info    message.settled  id=m-1 settlement=ack`, a traceback indented below.

    For people: nulls and the name of the module are left to the JSON form.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def format(self, record: logging.LogRecord) -> str:
        """The line of `record`."""
        fields = " ".join(
            [
                f"{visible(key)}={_quoted(_safe(key, value))}"
                for key, value in _fields(record).items()
                if value is not None and key != "logger"
            ]
        )
        stamp = iso_utc(self._clock.now())
        line = f"{stamp} {_level(record):<8}{visible(redact_url(_event(record)))}  {fields}".rstrip()
        trace = _traceback(record)
        return line if trace is None else f"{line}\n{_indented(trace)}"


def _event(record: logging.LogRecord) -> str:
    return str(record.msg) if hasattr(record, "fields") else events.LIBRARY


def _fields(record: logging.LogRecord) -> Fields:
    """The fields of a line of ours; of a library's line, who logged what."""
    fields: Fields | None = getattr(record, "fields", None)
    return {"logger": record.name, "message": record.getMessage()} if fields is None else fields


def _traceback(record: logging.LogRecord) -> str | None:
    caught = record.exc_info[1] if record.exc_info else None
    return None if caught is None else _end_of("".join(traceback.format_exception(caught)).rstrip())


def _level(record: logging.LogRecord) -> str:
    return _LEVELS.get(record.levelno) or record.levelname.lower()


def _to_json(line: Fields) -> str:
    try:
        return to_json(line, fallback=_plain).decode()
    except ValueError:
        # A lone surrogate, which UTF-8 has no form for: the slower encoder escapes it.
        return json.dumps(line, separators=(",", ":"), default=_plain)


def _safe(key: str, value: object) -> object:
    """`value` without secrets. Fast for a short text or a number under a known, harmless key."""
    secret = _KNOWN_KEYS.get(key)
    if secret is None:
        secret = is_secret(key)
        if len(_KNOWN_KEYS) < _MAX_KNOWN_KEYS:
            _KNOWN_KEYS[key] = secret
    if secret and value is not None:
        return MASK
    if isinstance(value, str):
        if len(value) > MAX_TEXT_CHARS:
            return _beginning_of(value)
        return redact_url(value) if "://" in value else value
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, Mapping):
        return {str(name): _safe(str(name), part) for name, part in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_safe(key, part) for part in value]
    return _plain(value)


def _plain(value: object) -> str:
    return _beginning_of(str(value))


def _beginning_of(text: str) -> str:
    """`text` without passwords, as much of it as goes into a line."""
    if len(text) <= MAX_TEXT_CHARS:
        return redact_url(text)
    # The cut may have gone through a password, and left its URL without the `@` it is known by.
    kept = redact_url(text[:MAX_TEXT_CHARS] + "@").removesuffix("@")
    return f"{kept}… ({len(text)} characters)"


def _end_of(trace: str) -> str:
    """The last part of a traceback, which says what was raised; cut between lines, for words are what is redacted."""
    if len(trace) <= MAX_TRACE_CHARS:
        return trace
    return "…\n" + trace[-MAX_TRACE_CHARS:].partition("\n")[2]


def _quoted(value: object) -> str:
    if isinstance(value, list) and all(isinstance(part, (str, int)) for part in value):
        value = ",".join(map(str, value))
    elif isinstance(value, (dict, list)):
        value = json.dumps(value, ensure_ascii=False, default=_plain)
    elif value is None or isinstance(value, bool):
        value = {None: "null", True: "true", False: "false"}[value]
    text = visible(str(value))
    return text if _BARE.fullmatch(text) else '"' + text.replace('"', '\\"') + '"'


def _indented(trace: object) -> str:
    text = visible_lines(redact_url(str(trace)))
    return "\n".join("    " + line for line in text.split("\n"))
