"""How commands show the messages of a queue. Pure."""

from __future__ import annotations

import base64
import json
from typing import Any

from awf_core.cli.output import SHOWN_CHARS, shortened
from awf_core.clock import iso_utc
from awf_core.contract import QueueItem

LAST_MOMENT_S = 253_402_300_799.0
"""The end of the year 9999. Any client may have written a later time."""


def body_fields(body: bytes) -> dict[str, str]:
    """`body` as text where it is UTF-8, else as base64, so that no byte is lost."""
    try:
        return {"body": body.decode("utf-8")}
    except UnicodeDecodeError:
        return {"body_base64": base64.b64encode(body).decode()}


def document_of(body: bytes) -> dict[str, Any]:
    """The JSON object in `body`; {} where there is none."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def workflow_of(item: QueueItem) -> str | None:
    """The workflow that a message names; None where that can't be read."""
    workflow = document_of(item.body).get("workflow")
    return workflow if isinstance(workflow, str) else None


def message_id_of(item: QueueItem) -> str | None:
    """The id in the body, else the broker's message id."""
    message_id = document_of(item.body).get("id")
    return message_id if isinstance(message_id, str) and message_id else item.message_id


def dead_message_as_json(item: QueueItem) -> dict[str, Any]:
    """A dead-lettered message as `awf dlq list --format json` prints it."""
    return {
        "id": item.id,
        "message_id": message_id_of(item),
        "queue": item.source,
        "workflow": workflow_of(item),
        "reason": item.reason,
        "error": item.error,
        "attempts": item.attempt,
        "dead_at": moment(item.dead_at),
        **body_fields(item.body),
    }


def item_as_json(item: QueueItem) -> dict[str, Any]:
    """A message as `awf queue browse --format json` prints it."""
    return {
        "id": item.id,
        "message_id": message_id_of(item),
        "state": item.state,
        "attempt": item.attempt,
        "deliveries": item.deliveries,
        "enqueued_at": moment(item.enqueued_at),
        "due_at": moment(item.due_at),
        "reply_to": item.reply_to,
        "correlation_id": item.correlation_id,
        "headers": dict(item.headers),
        **body_fields(item.body),
    }


def moment(epoch_s: float | None) -> str | None:
    """UTC time in ISO 8601; None where it isn't known. A time outside the calendar is shown as its nearest end."""
    return None if epoch_s is None else iso_utc(min(max(epoch_s, 0.0), LAST_MOMENT_S))


def first_line(text: str | None) -> str:
    """The first line of `text`, the beginning of it."""
    return shortened((text or "-").partition("\n")[0])


def body_preview(body: bytes) -> str:
    """The beginning of the first line of a body."""
    return first_line(body[: SHOWN_CHARS * 4].decode("utf-8", "replace"))
