"""Change when messages are visible again, and delete them: ten a request, an answer for each. Thread-safe."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from awf_core.errors import BrokerError, LeaseLost
from awf_mq_sqs.entries import MAX_ENTRIES
from awf_mq_sqs.failures import entry_error, is_lost_handle
from awf_mq_sqs.settings import MAX_HOLD_S

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from awf_core.clock import Clock
    from awf_mq_sqs.claims import Claim
    from awf_mq_sqs.client import SqsClient

Answers = list[BrokerError | None]
SPARE_S = 5.0
"""Requests take time, and SQS refuses a timeout that goes over its limit by a second."""


class Visibility:
    """Changes the visibility of what this process has, and deletes it."""

    def __init__(self, client: SqsClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock

    def left_s(self, claim: Claim) -> float:
        """How long the message can stay invisible from now on, by SQS's limit of 12 hours."""
        return MAX_HOLD_S - SPARE_S - (self._clock.monotonic() - claim.received_at)

    def change(self, items: Sequence[tuple[Claim, float]]) -> Answers:
        """Make each message visible after its number of seconds, in whole ones, never later than SQS allows."""

        def entry(item: tuple[Claim, float]) -> dict[str, Any]:
            claim, seconds = item
            return {"VisibilityTimeout": max(0, min(math.ceil(seconds), int(self.left_s(claim))))}

        return self._each(
            "change_message_visibility_batch", "change the visibility in", items, lambda item: item[0], entry
        )

    def delete(self, claims: Sequence[Claim]) -> Answers:
        """Delete each message."""
        return self._each("delete_message_batch", "delete from", claims, lambda claim: claim, lambda _: {})

    def _each(
        self,
        action: str,
        verb: str,
        items: Sequence[Any],
        claim_of: Callable[[Any], Claim],
        more: Callable[[Any], dict[str, Any]],
    ) -> Answers:
        answers: Answers = [None] * len(items)
        by_queue: dict[tuple[str, str], list[int]] = {}
        for index, item in enumerate(items):
            claim = claim_of(item)
            by_queue.setdefault((claim.queue, claim.url), []).append(index)
        for (queue, url), indexes in by_queue.items():
            for start in range(0, len(indexes), MAX_ENTRIES):
                part = indexes[start : start + MAX_ENTRIES]
                entries = [
                    {"Id": str(index), "ReceiptHandle": claim_of(items[index]).receipt.handle, **more(items[index])}
                    for index in part
                ]
                for index, answer in zip(part, self._asked(action, verb, queue, url, entries), strict=True):
                    answers[index] = answer
        return answers

    def _asked(self, action: str, verb: str, queue: str, url: str, entries: Sequence[dict[str, Any]]) -> Answers:
        doing = f"{verb} {queue!r}"
        try:
            response = self._client.call(action, doing, queue=queue, QueueUrl=url, Entries=list(entries))
        except BrokerError as error:
            return [error] * len(entries)
        failed = {str(each["Id"]): each for each in response.get("Failed", ())}
        return [self._answer(failed.get(entry["Id"]), doing, queue) for entry in entries]

    def _answer(self, failed: dict[str, Any] | None, doing: str, queue: str) -> BrokerError | None:
        if failed is None:
            return None
        if is_lost_handle(str(failed.get("Code", "")), str(failed.get("Message", ""))):
            return LeaseLost(
                f"{self._client.where}: can't {doing}: {failed.get('Code')}: {failed.get('Message', '')}",
                hint="the lease ended, or the message is settled",
            )
        return entry_error(failed, where=self._client.where, doing=doing, queue=queue)
