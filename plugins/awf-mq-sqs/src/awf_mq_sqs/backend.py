"""`mq.type: sqs`: Amazon SQS as a backend. The plugin manager calls the hooks; each calls the part of its name.

The worker decides what is retried or dead-lettered, never this backend.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from awf_core.contract import Capabilities
from awf_core.errors import BrokerMisconfigured
from awf_core.hookspecs import hookimpl
from awf_core.units import format_duration
from awf_mq_sqs.browsing import Browsing
from awf_mq_sqs.claims import Claims
from awf_mq_sqs.client import SqsClient
from awf_mq_sqs.consuming import Consuming
from awf_mq_sqs.copies import Copies
from awf_mq_sqs.incoming import Incoming
from awf_mq_sqs.large import LargeBodies
from awf_mq_sqs.names import MAX_NAME_BYTES, is_fifo
from awf_mq_sqs.publishing import Publishing
from awf_mq_sqs.queues import Queues
from awf_mq_sqs.replies import ReplyQueues
from awf_mq_sqs.roles import Roles
from awf_mq_sqs.settings import MAX_HOLD_S, MAX_MESSAGE_BYTES, MAX_PUBLISH_DELAY_S, SqsSettings
from awf_mq_sqs.settling import Settling
from awf_mq_sqs.visibility import Visibility

if TYPE_CHECKING:
    from collections.abc import Sequence

    from awf_core.contract import (
        Ack,
        BackendContext,
        DeadLetter,
        Delivery,
        Nack,
        Outgoing,
        Page,
        Role,
        Stats,
    )
    from awf_core.errors import BrokerError

log = logging.getLogger("awf_mq_sqs")
log.setLevel(logging.INFO)
REQUESTS = "sqs.requests"
BATCH = 10
HOLD_MARGIN_S = 60.0
POLL_SLACK_S = 0.5


class Backend:
    """Queues in SQS. Thread-safe. After a fork both processes connect anew."""

    api_version = 1
    Settings = SqsSettings

    def __init__(self, settings: SqsSettings, context: BackendContext) -> None:
        self.settings = settings
        self.capabilities = _capabilities(settings)
        self._longest_run_s = context.max_run_s
        self._is_worker = False
        self._logged = 0
        self._client = client = SqsClient(settings)
        self._queues = queues = Queues(client, settings, context.declare)
        self._roles = roles = Roles(client, queues, context.declare)
        self._claims = claims = Claims()
        place = settings.large_place
        large = None if place is None else LargeBodies(client, *place)
        visibility = Visibility(client, context.clock)
        self._publishing = publishing = Publishing(client, queues, large)
        copies = Copies(queues, publishing, visibility)
        incoming = Incoming(large, settings.unwrap, context.max_body_bytes)
        self._consuming = Consuming(
            client, queues, claims, visibility, copies, incoming, context,
            lease_s=settings.lease_s, poll_s=settings.wait_s,
        )  # fmt: skip
        self._settling = Settling(
            client,
            queues,
            roles,
            claims,
            publishing,
            visibility,
            copies,
            large,
            context.clock,
            lease_s=settings.lease_s,
        )
        self._browsing = Browsing(client, queues, claims, self._consuming, publishing, visibility)
        self._replies = ReplyQueues(client, queues, settings.tags)

    @property
    def address(self) -> str:
        """Where SQS is, for the log."""
        return self._client.where

    @property
    def requests(self) -> dict[str, int]:
        """How many requests this process has sent, by action: `{"receive_message": 12, …}`. AWS bills them."""
        return self._client.requests

    @hookimpl
    def awf_mq_open(self) -> None:
        """Find region and credentials, and send a first request."""
        self._refuse_long_runs()
        self._client.connect()
        self._client.check()
        self._consuming.restart()

    @hookimpl
    def awf_mq_close(self) -> None:
        """End waiting consumes after their poll, delete private reply queues, close the connections."""
        self._consuming.stop()
        self._browsing.close()
        self._replies.close()
        self._client.close()
        self._log_requests()

    @hookimpl
    def awf_mq_ensure(self, queue: str, role: Role, dead_letter: str | None) -> None:
        """Check that the queue exists, and create it where it is missing and may be created."""
        self._queues.ensure(queue, role, dead_letter)
        self._roles.note(queue, role)

    @hookimpl
    def awf_mq_consume(self, queue: str, limit: int, wait_s: float) -> Sequence[Delivery]:
        """Receive up to `limit` messages, ten at most."""
        return self._consuming.consume(queue, limit, wait_s)

    @hookimpl
    def awf_mq_interrupt(self) -> None:
        """Let open polls end, and start no new one until the next open; what a poll still brings is released."""
        self._consuming.stop()

    @hookimpl
    def awf_mq_publish(self, messages: Sequence[Outgoing]) -> Sequence[BrokerError | None]:
        """Send the messages, ten a request."""
        return self._publishing.publish(messages)

    @hookimpl
    def awf_mq_ack(self, acks: Sequence[Ack]) -> Sequence[BrokerError | None]:
        """Send the replies, then delete the messages."""
        return self._settling.ack(acks)

    @hookimpl
    def awf_mq_nack(self, nacks: Sequence[Nack]) -> Sequence[BrokerError | None]:
        """Release the messages: by a copy that counts, or by their visibility."""
        return self._settling.nack(nacks)

    @hookimpl
    def awf_mq_dead_letter(self, dead_letters: Sequence[DeadLetter]) -> Sequence[BrokerError | None]:
        """Send to the dead-letter queue, and the replies; then delete the messages."""
        return self._settling.dead_letter(dead_letters)

    @hookimpl
    def awf_mq_extend(self, deliveries: Sequence[Delivery]) -> Sequence[BrokerError | None]:
        """Renew leases; one that has ended is lost."""
        self._is_worker = True
        return self._settling.extend(deliveries)

    @hookimpl
    def awf_mq_stats(self, queue: str) -> Stats:
        """The approximate counts of SQS."""
        return self._browsing.stats(queue)

    @hookimpl
    def awf_mq_browse(self, queue: str, limit: int, after: str | None) -> Page:
        """A page of messages, which stay invisible until the last page."""
        return self._browsing.browse(queue, limit, after)

    @hookimpl
    def awf_mq_move(self, source: str, target: str, ids: Sequence[str] | None, limit: int | None) -> int:
        """Move messages that are ready."""
        return self._browsing.move(source, target, ids, limit)

    @hookimpl
    def awf_mq_purge(self, queue: str) -> int:
        """Remove messages that are ready."""
        return self._browsing.purge(queue)

    @hookimpl
    def awf_mq_reply_queue(self, ttl_s: float) -> str:
        """A new queue, deleted when this process closes, or by a later one after its time."""
        return self._replies.create(ttl_s)

    def _log_requests(self) -> None:
        """Log what a worker has cost. A command like `submit` renews no lease, and its few requests are no news."""
        requests = self.requests
        total = sum(requests.values())
        if self._is_worker and total > self._logged:
            self._logged = total
            # A record with fields is an event of its own in the worker's log.
            fields = {"total": total, "broker": self._client.where, **dict(sorted(requests.items()))}
            log.info(REQUESTS, extra={"fields": fields})

    def _refuse_long_runs(self) -> None:
        longest, most = self._longest_run_s, MAX_HOLD_S - HOLD_MARGIN_S
        if longest is not None and longest > most:
            raise BrokerMisconfigured(
                f"{self._client.where}: mq.max_run is {format_duration(longest)}, and SQS lets no message be in hand "
                "for more than 12h",
                hint=f"set mq.max_run (and that of mq.workflows) to {format_duration(most)} or less",
            )


def _capabilities(settings: SqsSettings) -> Capabilities:
    fifo = is_fifo(settings.main_queue)
    return Capabilities(
        lease_s=settings.lease_s,
        max_hold_s=MAX_HOLD_S - HOLD_MARGIN_S,
        max_publish_delay_s=0.0 if fifo else MAX_PUBLISH_DELAY_S,
        max_nack_delay_s=MAX_HOLD_S,
        max_body_bytes=None if settings.large is not None else MAX_MESSAGE_BYTES,
        min_body_bytes=1,
        max_queue_name_bytes=MAX_NAME_BYTES,
        expires="none",
        batch=BATCH,
        # Replies are sent before SQS can refuse the delete.
        fenced=False,
        stable_ids=True,
        # A FIFO queue takes no copy of a message in its place, so each receive counts as an attempt.
        attempts="approximate" if fifo else "exact",
        crashes="noted",
        # SQS takes an old receipt handle also where another consumer has the message, so time is the fence.
        late_renewal=False,
        oversized_stubs=True,
        headers=True,
        binary_bodies=False,
        temporary_reply=True,
        # To see a message is to receive it.
        browse_exact=False,
        interrupt_s=settings.wait_s + POLL_SLACK_S,
        ordered=fifo,
    )
