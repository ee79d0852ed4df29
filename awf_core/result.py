"""What is published to `reply_to`: how a message ended, and the JSON of it. Pure.

`format_result` is the core's own answer to the `awf_format_result` hook; a plugin may give another.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from pydantic_core import to_json

from awf_core.clock import iso_utc
from awf_core.contract import RESULT_TYPE, Formatted
from awf_core.json_text import finite

if TYPE_CHECKING:
    from collections.abc import Mapping

    from awf_core.contract import Delivery
    from awf_core.message import Message

# For texts that the fast encoder refuses.
_slow_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=str).encode

SHORT_BYTES = 500
"""How much is left of each text in a result that is shortened."""

Status = Literal["completed", "failed", "cancelled", "rejected"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultError:
    """Why a message did not complete. `state` is the state that failed, None where nothing ran."""

    code: str | None
    message: str
    state: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a message ended. `rejected` = nothing ran. Times are epoch seconds; `id` is the result's own."""

    id: str
    message_id: str
    workflow: str | None
    status: Status
    exit_code: int
    output: str = ""
    outputs: Mapping[str, Any] = field(default_factory=dict)
    error: ResultError | None = None
    attempt: int
    dead_lettered: bool = False
    run_id: str | None = None
    started_at: float
    finished_at: float
    worker: str
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def duration_ms(self) -> int:
        """Whole milliseconds from start to finish, never negative."""
        return max(0, round((self.finished_at - self.started_at) * 1000))


def format_result(delivery: Delivery, message: Message | None, outcome: Outcome) -> Formatted:  # noqa: ARG001
    """The result as compact UTF-8 JSON. Lone surrogates, which no UTF-8 has, become `?`; NaN and infinities, null."""
    document = as_document(outcome)
    try:
        return Formatted(body=to_json(document, fallback=str, inf_nan_mode="null"))
    except ValueError:
        return Formatted(body=_slow_json(finite(document)).encode("utf-8", "replace"))


def as_document(outcome: Outcome) -> dict[str, object]:
    """The result's object, keys in the order readers are shown them."""
    error = outcome.error
    return {
        "type": RESULT_TYPE,
        "id": outcome.id,
        "message_id": outcome.message_id,
        "workflow": outcome.workflow,
        "status": outcome.status,
        "exit_code": outcome.exit_code,
        "output": outcome.output,
        "outputs": outcome.outputs,
        "error": error and {"code": error.code, "message": error.message, "state": error.state},
        "attempt": outcome.attempt,
        "dead_lettered": outcome.dead_lettered,
        "run_id": outcome.run_id,
        "started_at": iso_utc(outcome.started_at),
        "finished_at": iso_utc(outcome.finished_at),
        "duration_ms": outcome.duration_ms,
        "worker": outcome.worker,
        "metadata": outcome.metadata,
    }


def cut(text: str, max_bytes: int) -> str:
    """`text` if it fits `max_bytes` of UTF-8, else its beginning and its end, half of `max_bytes` each.

    A line between them says how many bytes were left out. No character is cut in two.
    """
    if len(text) * 4 <= max_bytes:
        return text
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= max_bytes:
        return text
    head_bytes = max_bytes // 2
    head = encoded[:head_bytes].decode("utf-8", "ignore")
    tail = encoded[len(encoded) - (max_bytes - head_bytes) :].decode("utf-8", "ignore")
    left_out = len(encoded) - len(head.encode()) - len(tail.encode())
    return f"{head}\n[cut by awf: {left_out} of {len(encoded)} bytes left out]\n{tail}"


def first_line(text: str) -> str:
    """The first line of `text`, 200 characters of it at most: for a log line."""
    line = text.partition("\n")[0]
    return line if len(line) <= 200 else line[:197] + "..."


def shortened(body: bytes) -> bytes:
    """A result with only how its message ended: for a queue that is too small for all of it.

    Texts are cut to SHORT_BYTES, `outputs` and `metadata` left out. A body of another form is cut to SHORT_BYTES.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        return cut(body.decode("utf-8", "replace"), SHORT_BYTES).encode()
    error = document.get("error")
    if isinstance(error, dict):
        document["error"] = {key: cut_value(value, SHORT_BYTES) for key, value in error.items()}
    shown = {key: cut_value(value, SHORT_BYTES) if key != "error" else value for key, value in document.items()}
    return _slow_json(shown | {"outputs": {}, "metadata": {}}).encode("utf-8", "replace")


def cut_value(value: object, max_bytes: int) -> object:
    """A value of `outputs`, cut: texts as `cut` does; anything larger than `max_bytes` as JSON becomes a cut text."""
    if isinstance(value, str):
        return cut(value, max_bytes)
    if value is None or isinstance(value, (bool, int, float)):
        return value
    text = json.dumps(finite(value), ensure_ascii=False, default=str)
    return value if len(text.encode("utf-8", "replace")) <= max_bytes else cut(text, max_bytes)
