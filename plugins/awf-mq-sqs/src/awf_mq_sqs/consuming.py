"""Receive messages: one long poll at a time, each with a lease of its own length. Thread-safe.

A poll that is abandoned may still be given messages, which no consumer then sees until their lease ends. So an
interrupt lets an open poll end, and what it brings is released.
"""

from __future__ import annotations

import logging
import math
import threading
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from awf_core.contract import Delivery
from awf_core.errors import BrokerError, QueueMissing
from awf_mq_sqs.attributes import unfold
from awf_mq_sqs.claims import Claim, Claims
from awf_mq_sqs.client import server_time_s
from awf_mq_sqs.deliveries import delivery_of, received_of, state_at_start
from awf_mq_sqs.evidence import due_in_s, verdict_of
from awf_mq_sqs.names import is_fifo
from awf_mq_sqs.settings import MAX_HOLD_S

if TYPE_CHECKING:
    from collections.abc import Sequence

    from awf_core.contract import BackendContext
    from awf_mq_sqs.client import SqsClient
    from awf_mq_sqs.copies import Copies
    from awf_mq_sqs.incoming import Incoming
    from awf_mq_sqs.queues import Queues
    from awf_mq_sqs.visibility import Visibility

log = logging.getLogger("awf_mq_sqs")
MAX_RECEIVE = 10
SYSTEM_ATTRIBUTES = [
    "ApproximateReceiveCount",
    "ApproximateFirstReceiveTimestamp",
    "SentTimestamp",
    "MessageGroupId",
    "AWSTraceHeader",
    "DeadLetterQueueSourceArn",
]
UNREADABLE_S = 30.0
"""How long a message waits whose body in S3 can't be fetched now."""


class Consuming:
    """Receives for one process."""

    def __init__(
        self,
        client: SqsClient,
        queues: Queues,
        claims: Claims,
        visibility: Visibility,
        copies: Copies,
        incoming: Incoming,
        context: BackendContext,
        *,
        lease_s: float,
        poll_s: float,
    ) -> None:
        self._client = client
        self._queues = queues
        self._claims = claims
        self._visibility = visibility
        self._copies = copies
        self._incoming = incoming
        self._clock = context.clock
        self._lease_s = lease_s
        self._poll_s = poll_s
        self._stopped = threading.Event()

    def restart(self) -> None:
        """Consume again, after a stop."""
        self._stopped.clear()

    def stop(self) -> None:
        """Let open polls end, and start no new one."""
        self._stopped.set()

    def consume(self, queue: str, limit: int, wait_s: float) -> list[Delivery]:
        """Up to `limit` deliveries, ten at most, of a FIFO queue one; [] after `wait_s`."""
        end = self._clock.monotonic() + wait_s
        while limit > 0 and not self._stopped.is_set():
            left_s = end - self._clock.monotonic()
            poll_s = min(math.ceil(left_s), int(self._poll_s)) if left_s > 0 else 0
            deliveries = self._ready(queue, self.receive(queue, min(limit, max_receive(queue)), poll_s))
            if self._stopped.is_set():
                self._release(deliveries)
                return []
            if deliveries or left_s <= 0:
                return deliveries
        return []

    def receive(self, queue: str, limit: int, poll_s: int, *, lease_s: float | None = None) -> list[Claim]:
        """One request: what it brought, registered. `lease_s` as granted, where it isn't that of work."""
        url = self._queues.url(queue)
        granted_s = granted(self._lease_s) if lease_s is None else int(lease_s)
        before = self._clock.monotonic()
        # With the same id, a repeated receive from a FIFO queue gets what the lost answer had.
        attempt = {"ReceiveRequestAttemptId": str(uuid.uuid4())} if is_fifo(queue) else {}
        try:
            response = self._client.call(
                "receive_message",
                f"receive from {queue!r}",
                queue=queue,
                is_repeatable=bool(attempt),
                QueueUrl=url,
                MaxNumberOfMessages=limit,
                WaitTimeSeconds=poll_s,
                VisibilityTimeout=granted_s,
                MessageSystemAttributeNames=SYSTEM_ATTRIBUTES,
                MessageAttributeNames=["All"],
                **attempt,
            )
        except QueueMissing:
            self._queues.recreate(queue)
            raise
        now_s = server_time_s(response)
        claims = [
            self._claim(queue, url, message, now_s, before, granted_s) for message in response.get("Messages", ())
        ]
        self._claims.add(claims, before)
        return claims

    def _claim(
        self, queue: str, url: str, message: dict[str, Any], now_s: float | None, before: float, granted_s: int
    ) -> Claim:
        system = message.get("Attributes", {})
        attributes = unfold(message.get("MessageAttributes", {}))
        state = state_at_start(attributes)
        return Claim(
            receipt=self._claims.receipt(str(message["ReceiptHandle"])),
            queue=queue,
            url=url,
            message_id=str(message["MessageId"]),
            body=str(message["Body"]),
            attributes=attributes,
            received=received_of(system, now_s),
            received_at=before,
            lease_until=before + granted_s,
            state=state,
            group=system.get("MessageGroupId"),
            trace=system.get("AWSTraceHeader"),
            source_arn=system.get("DeadLetterQueueSourceArn"),
            can_copy=not is_fifo(queue) and self._copies.has_room(queue, str(message["Body"]), attributes),
        )

    def _ready(self, queue: str, claims: Sequence[Claim]) -> list[Delivery]:
        """What may run. A message that isn't due is sent away, and one whose start is to be noted is copied first."""
        verdicts = [
            (claim, verdict_of(claim.state, claim.received) if claim.can_copy else "deliver") for claim in claims
        ]
        early = [claim for claim, verdict in verdicts if verdict == "wait"]
        unnoted = [claim for claim, verdict in verdicts if verdict == "note"]
        if early:
            self._visibility.change([(claim, due_in_s(claim.state, claim.received)) for claim in early])
        if unnoted:
            self._copies.note_starts(queue, unnoted)
        for claim in (*early, *unnoted):
            self._claims.drop(claim)
        return [each for claim, verdict in verdicts if verdict == "deliver" for each in self._delivered(claim)]

    def _delivered(self, claim: Claim) -> list[Delivery]:
        try:
            content = self._incoming.read(claim)
        except BrokerError as error:
            log.warning("%s; the message is tried again in %.0f s", error, UNREADABLE_S)
            with suppress(BrokerError):
                self._visibility.change([(claim, UNREADABLE_S)])
            self._claims.drop(claim)
            return []
        return [delivery_of(claim, content, lease_until=claim.received_at + self._lease_s)]

    def _release(self, deliveries: Sequence[Delivery]) -> None:
        """Where the release fails, the leases end by themselves."""
        now = self._clock.monotonic()
        claims = [claim for each in deliveries if (claim := self._claims.held(each, now)) is not None]
        with suppress(BrokerError):
            self._copies.release(claims)


def max_receive(queue: str) -> int:
    """How many messages one receive of work may bring.

    Of a FIFO queue one: a batch may hold several messages of a group, and they would run at the same time. While one
    is in flight, SQS keeps the rest of its group back.
    """
    return 1 if is_fifo(queue) else MAX_RECEIVE


def granted(lease_s: float) -> int:
    """The visibility timeout for a lease of `lease_s`: a sixth more, one second at least.

    For that long a lease needs no renewal, so a run that is quick costs no request for it.
    """
    return min(int(lease_s) + max(1, math.ceil(lease_s / 6)), int(MAX_HOLD_S))
