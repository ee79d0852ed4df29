"""A message as an entry of `SendMessageBatch`, and how entries are split into requests. Pure."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from awf_mq_sqs.attributes import Attributes, fold, has_illegal, size_of, string
from awf_mq_sqs.settings import MAX_MESSAGE_BYTES, MAX_PUBLISH_DELAY_S

if TYPE_CHECKING:
    from awf_core.contract import Outgoing

MAX_ENTRIES = 10
MESSAGE_ID, CORRELATION_ID, REPLY_TO, CONTENT_TYPE = "message_id", "correlation_id", "reply_to", "content_type"
FIELDS = frozenset({MESSAGE_ID, CORRELATION_ID, REPLY_TO, CONTENT_TYPE})
"""Attributes that are fields of a delivery; the other ones are its headers."""

TRACE_HEADER = "AWSTraceHeader"
USUAL_CONTENT_TYPE = "application/json"
_GROUP = re.compile(r"[A-Za-z0-9!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]{1,128}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A message to send. `attributes` as they are before `fold`; `delay_s` in whole seconds."""

    body: str
    attributes: Attributes = field(default_factory=dict)
    delay_s: int = 0
    group: str | None = None
    dedup_id: str | None = None
    trace: str | None = None

    @property
    def bytes(self) -> int:
        """What it takes of the limit."""
        return len(self.body.encode("utf-8", "replace")) + size_of(fold(self.attributes))

    def request(self, number: int) -> dict[str, Any]:
        """The entry of a batch."""
        found: dict[str, Any] = {"Id": str(number), "MessageBody": self.body}
        if self.attributes:
            found["MessageAttributes"] = fold(self.attributes)
        if self.delay_s:
            found["DelaySeconds"] = self.delay_s
        if self.group:
            found["MessageGroupId"] = self.group
        if self.dedup_id:
            found["MessageDeduplicationId"] = self.dedup_id
        if self.trace:
            found["MessageSystemAttributes"] = {TRACE_HEADER: string(self.trace)}
        return found


def entry_of(message: Outgoing, *, is_fifo: bool) -> Entry:
    """`message` as an entry. Raises ValueError for a body that SQS can't store, saying why."""
    headers = dict(message.headers)
    trace = headers.pop(TRACE_HEADER, None)
    fields = {MESSAGE_ID: message.id, CORRELATION_ID: message.correlation_id, REPLY_TO: message.reply_to}
    attributes = {name: string(value) for name, value in fields.items() if value is not None}
    if message.content_type != USUAL_CONTENT_TYPE:
        attributes[CONTENT_TYPE] = string(message.content_type)
    attributes |= {name: string(value) for name, value in headers.items() if name not in FIELDS}
    body = body_text(message.body)
    group = storable_group(message.group)
    return Entry(
        body=body,
        attributes=attributes,
        # SQS has no delay of one message in a FIFO queue; `publishing.py` refuses one.
        delay_s=whole_seconds(message.delay_s),
        group=(group or fifo_group(message)) if is_fifo else group,
        dedup_id=dedup_id(message, body) if is_fifo else None,
        trace=trace if trace and not has_illegal(trace) else None,
    )


def body_text(body: bytes) -> str:
    """The body as SQS takes it. Raises ValueError."""
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"the body isn't UTF-8 (byte {error.start}), and SQS stores text only") from None
    if has_illegal(text):
        raise ValueError("the body has a control character or another one that SQS doesn't store")
    return text


def whole_seconds(seconds: float) -> int:
    """Seconds for SQS, rounded up, at most what one send can wait."""
    return min(math.ceil(seconds), int(MAX_PUBLISH_DELAY_S)) if seconds > 0 else 0


def storable_group(group: str | None) -> str | None:
    """A group's id as SQS takes it: one with other characters or a longer one is replaced by its hash."""
    if not group or _GROUP.fullmatch(group):
        return group or None
    return hashlib.sha256(group.encode("utf-8", "replace")).hexdigest()


def fifo_group(message: Outgoing) -> str:
    """A FIFO queue needs a group: one of its own for each message that names none, so that it holds up no other."""
    return storable_group(message.id) or hashlib.sha256(message.body).hexdigest()


def dedup_id(message: Outgoing, body: str) -> str:
    """What SQS drops repetitions by, for five minutes: the given one, else the message's id, else its content."""
    return storable_group(message.dedup_id or message.id) or hashlib.sha256(body.encode()).hexdigest()


def batches(entries: Sequence[tuple[int, Entry]]) -> Iterator[list[tuple[int, Entry]]]:
    """`entries` in groups that fit into one request each, by number and by bytes; the order is kept."""
    batch: list[tuple[int, Entry]] = []
    size = 0
    for index, entry in entries:
        own = entry.bytes
        if batch and (len(batch) == MAX_ENTRIES or size + own > MAX_MESSAGE_BYTES):
            yield batch
            batch, size = [], 0
        batch.append((index, entry))
        size += own
    if batch:
        yield batch
