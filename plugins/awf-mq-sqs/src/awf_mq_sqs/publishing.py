"""Send messages in batches, each entry with an answer of its own. Thread-safe.

A batch is refused as a whole where one entry breaks it, so what can be known of an entry is checked before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from awf_core.errors import BrokerError, BrokerMisconfigured, BrokerUnavailable, QueueMissing
from awf_mq_sqs.entries import Entry, batches, entry_of
from awf_mq_sqs.failures import entry_error, too_large
from awf_mq_sqs.names import is_fifo

if TYPE_CHECKING:
    from awf_core.contract import Outgoing
    from awf_mq_sqs.client import SqsClient
    from awf_mq_sqs.large import LargeBodies
    from awf_mq_sqs.queues import Queues

Answers = list[BrokerError | None]


class Publishing:
    """Sends to any queue of the endpoint."""

    def __init__(self, client: SqsClient, queues: Queues, large: LargeBodies | None) -> None:
        self._client = client
        self._queues = queues
        self._large = large

    def publish(self, messages: Sequence[Outgoing]) -> Answers:
        """Send the messages; an answer for each."""
        answers: Answers = [None] * len(messages)
        by_queue: dict[str, list[tuple[int, Entry]]] = {}
        for index, message in enumerate(messages):
            entry = self._entry(message)
            if isinstance(entry, BrokerError):
                answers[index] = entry
            else:
                by_queue.setdefault(message.queue, []).append((index, entry))
        for queue, entries in by_queue.items():
            for (index, _), answer in zip(entries, self.send(queue, [entry for _, entry in entries]), strict=True):
                answers[index] = answer
        return answers

    def send(self, queue: str, entries: Sequence[Entry]) -> Answers:
        """Send entries to one queue; an answer for each."""
        try:
            url = self._queues.url(queue)
        except BrokerError as error:
            return [error] * len(entries)
        answers: Answers = [None] * len(entries)
        fitting: list[tuple[int, Entry]] = []
        for index, entry in enumerate(entries):
            fit = self._fit(queue, entry)
            if isinstance(fit, BrokerError):
                answers[index] = fit
            else:
                fitting.append((index, fit))
        for batch in batches(fitting):
            for (index, _), answer in zip(batch, self._sent(queue, url, batch), strict=True):
                answers[index] = answer
        return answers

    def _sent(self, queue: str, url: str, batch: Sequence[tuple[int, Entry]]) -> Answers:
        doing = f"publish to {queue!r}"
        entries = [entry.request(number) for number, (_, entry) in enumerate(batch)]
        # SQS drops a repetition by its deduplication id.
        is_repeatable = all(entry.dedup_id for _, entry in batch)
        try:
            response = self._client.call(
                "send_message_batch", doing, queue=queue, is_repeatable=is_repeatable, QueueUrl=url, Entries=entries
            )
        except QueueMissing as error:
            self._queues.forget(queue)
            return [error] * len(batch)
        except BrokerUnavailable as error:
            return [error] * len(batch)
        except BrokerError as error:
            # One bad entry has the whole request refused, and SQS doesn't always say which.
            return [error] if len(batch) == 1 else [each for part in batch for each in self._sent(queue, url, [part])]
        failed: dict[str, Any] = {str(each["Id"]): each for each in response.get("Failed", ())}
        where = self._client.where
        return [
            entry_error(failed[entry["Id"]], where=where, doing=doing, queue=queue) if entry["Id"] in failed else None
            for entry in entries
        ]

    def _entry(self, message: Outgoing) -> Entry | BrokerError:
        fifo = is_fifo(message.queue)
        if fifo and message.delay_s > 0:
            return BrokerMisconfigured(
                f"{self._client.where}: delay_s {message.delay_s} for {message.queue!r}: SQS can't delay a message of "
                "a FIFO queue",
                hint="leave the delay out, or give the queue itself a DelaySeconds",
            )
        try:
            return entry_of(message, is_fifo=fifo)
        except ValueError as error:
            return BrokerMisconfigured(
                f"{self._client.where}: can't publish to {message.queue!r}: {error}",
                hint="send JSON, or other text; binary content in base64",
            )

    def _fit(self, queue: str, entry: Entry) -> Entry | BrokerError:
        """The entry, with its body in S3 where it is too large and may go there."""
        limit = self._queues.limit(queue)
        size = entry.bytes
        if size <= limit:
            return entry
        if self._large is None:
            return too_large(queue, size, limit, self._client.where)
        try:
            body, attribute = self._large.store(entry.body)
        except BrokerError as error:
            return error
        return replace(entry, body=body, attributes={**attribute, **entry.attributes})
