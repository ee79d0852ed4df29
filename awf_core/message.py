"""A producer's message: from the bytes of a delivery to a checked value. Pure: no I/O, no clock.

Producers are untrusted. `decode` bounds the size and depth of a body before and after parsing. Of a malformed one it
says why, and what can still be read of it, so that it can be answered.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from awf_core.contract import RESULT_TYPE
from awf_core.ids import new_id
from awf_core.json_text import depth_of, strict_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from awf_core.contract import Delivery

MAX_ID_CHARS = 255
RESERVED_KEYS = frozenset({"schema", "not_before", "expires_at", "priority"})
SCHEMA_VERSION = 1
_REPLACEMENT = "\ufffd"
_NOT_TRANSFERRED = "the body was too large to be transferred"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a message may be: bytes of its body, and levels of nesting in its JSON (1 = a flat object)."""

    max_body_bytes: int = 1_048_576
    max_depth: int = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message that can be planned. `id` is the body's, else the broker's stable id, else made for this delivery.

    `id` and a `correlation_id` from the metadata have at most MAX_ID_CHARS: brokers have small fields for them.
    `expires_in_s` (seconds from the delivery) and `priority` are the broker's; a body's own keys are reserved.
    """

    id: str
    workflow: str
    inputs: Mapping[str, Any] = field(default_factory=dict)
    reply_to: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    correlation_id: str
    expires_in_s: float | None = None
    priority: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Malformed:
    """A body that is no message: why, and what can still be read of it."""

    reason: str
    id: str
    reply_to: str | None = None
    workflow: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    correlation_id: str


def decode(delivery: Delivery, limits: Limits) -> Message | Malformed:
    """Read a delivery's body. Never raises: a body that is no message, or is not here, comes back as Malformed."""
    reason, document = (_NOT_TRANSFERRED, None) if delivery.is_stub else _parse(delivery.body, limits)
    if reason is None:
        reason = _first_fault(document)
    fields: Mapping[str, Any] = document if isinstance(document, dict) else {}
    is_result = is_a_result(fields)
    own_id = _text_or_none(fields.get("id"), MAX_ID_CHARS)
    given_id = _text_or_none(delivery.message_id, MAX_ID_CHARS) or _text_or_none(delivery.id, MAX_ID_CHARS)
    message_id = own_id or given_id or f"gen-{new_id()}"
    metadata = _metadata(fields.get("metadata"), delivery.headers)
    # A result is never answered: two workers would answer each other for ever.
    reply_to = None if is_result else _text_or_none(fields.get("reply_to")) or delivery.reply_to
    correlation_id = (
        delivery.correlation_id or _text_or_none(metadata.get("correlation_id"), MAX_ID_CHARS) or message_id
    )
    if reason is not None:
        return Malformed(
            reason=reason,
            id=message_id,
            reply_to=reply_to,
            workflow=_text_or_none(fields.get("workflow")),
            metadata=metadata,
            correlation_id=correlation_id,
        )
    return Message(
        id=message_id,
        workflow=fields["workflow"],
        inputs=fields.get("inputs") or {},
        reply_to=reply_to,
        metadata=metadata,
        correlation_id=correlation_id,
        expires_in_s=delivery.expires_in_s,
        priority=delivery.priority,
    )


def is_a_result(document: Mapping[str, Any]) -> bool:
    """Whether the object is a result of AWF, of any version, and therefore never a message.

    A result names a workflow, too. If a worker accepted it, a `reply_to` would let a producer run workflows through the
    queue of another worker.
    """
    return document.get("type") == RESULT_TYPE or ("message_id" in document and "status" in document)


def _metadata(given: object, headers: Mapping[str, str]) -> Mapping[str, Any]:
    """The body's, or the broker's headers where the body has none: some clients put trace and tenant there."""
    if given is None:
        return {_sound(name): _sound(value) for name, value in headers.items()}
    return given if isinstance(given, dict) else {}


def _sound(text: str) -> str:
    """`text` with what UTF-8 can't encode replaced: it becomes part of a result."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def clean_text(text: str) -> str:
    """`text` without NUL and lone surrogates, which brokers can't store: reasons, errors and histories pass here."""
    if text.isascii():
        return text.replace("\0", _REPLACEMENT) if "\0" in text else text
    return text.encode("utf-8", "replace").decode().replace("\0", _REPLACEMENT)


def encode(
    workflow: str,
    *,
    message_id: str,
    inputs: Mapping[str, Any] | None = None,
    reply_to: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> bytes:
    """The body of a message, compact UTF-8 JSON without the keys that are not set.

    Raises ValueError for NaN and infinities, which JSON doesn't have.
    """
    document = {
        "id": message_id,
        "workflow": workflow,
        "inputs": dict(inputs or {}),
        "reply_to": reply_to,
        "metadata": dict(metadata or {}),
    }
    body = {key: value for key, value in document.items() if value not in (None, {})}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def _parse(body: bytes, limits: Limits) -> tuple[str | None, object]:
    """(why not, document). The document may be there although there is a reason against it."""
    if len(body) > limits.max_body_bytes:
        return f"body of {len(body)} bytes is over max_body_bytes ({limits.max_body_bytes})", None
    if not body.strip():
        return "body is empty", None
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as exc:
        return f"body is not UTF-8: byte {body[exc.start]:#04x} at offset {exc.start}", _lenient(body)
    if depth_of(text, limits.max_depth) > limits.max_depth:
        return f"JSON is nested deeper than max_depth ({limits.max_depth})", None
    try:
        document = strict_json(text)
    except json.JSONDecodeError as exc:
        return f"body is not JSON: {exc.msg} at line {exc.lineno}, column {exc.colno}", None
    except (ValueError, RecursionError) as exc:
        return f"body is not JSON: {exc}", None
    if not isinstance(document, dict):
        return f"body is a JSON {_json_type(document)}, not an object", None
    if _LONE_SURROGATE.search(text) and not _is_encodable(document):
        return "body holds an unpaired surrogate (\\ud800 to \\udfff), which no UTF-8 text can", None
    return None, document


_LONE_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def _is_encodable(document: object) -> bool:
    try:
        json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _lenient(body: bytes) -> object:
    """What a body with invalid bytes holds, read only to answer it: the invalid bytes become U+FFFD."""
    text = body.decode("utf-8", "replace")
    if depth_of(text, Limits().max_depth) > Limits().max_depth:
        return None
    try:
        return strict_json(text)
    except (ValueError, RecursionError):
        return None


def _first_fault(document: object) -> str | None:
    """Why the object is no message, or None."""
    assert isinstance(document, dict)
    if is_a_result(document):
        return "body is a result (it has 'message_id' and 'status'), and results are never run"
    workflow = document.get("workflow")
    if workflow is None:
        return "'workflow' is missing"
    if not isinstance(workflow, str) or not workflow.strip():
        return f"'workflow' must be a non-empty text, not {_shown(workflow)}"
    message_id = document.get("id")
    if message_id is not None and _text_or_none(message_id, MAX_ID_CHARS) is None:
        return f"'id' must be a text of 1 to {MAX_ID_CHARS} characters, not {_shown(message_id)}"
    for key in ("inputs", "metadata"):
        value = document.get(key)
        if value is not None and not isinstance(value, dict):
            return f"'{key}' must be an object, not {_shown(value)}"
    reply_to = document.get("reply_to")
    if reply_to is not None and not isinstance(reply_to, str):
        return f"'reply_to' must be a text, not {_shown(reply_to)}"
    return _reserved_fault(document)


def _reserved_fault(document: Mapping[str, Any]) -> str | None:
    schema = document.get("schema")
    if schema is not None and schema != SCHEMA_VERSION:
        return f"'schema' {_shown(schema)} is not known here; this version reads schema {SCHEMA_VERSION}"
    return None


def _text_or_none(value: object, limit: int | None = None) -> str | None:
    if isinstance(value, str) and value and (limit is None or len(value) <= limit):
        return value
    return None


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=True)
    return f"{_json_type(value)} {text if len(text) <= 60 else text[:57] + '...'}"


def _json_type(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    if isinstance(value, str):
        return "text"
    return "array" if isinstance(value, list) else "object"
