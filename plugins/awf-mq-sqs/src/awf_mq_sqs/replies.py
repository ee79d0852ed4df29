"""Private reply queues: one for each answer, deleted by the process that made it, or by a later one after its time.

SQS has no queue that deletes itself. The name holds the time at which it may be deleted, by SQS's clock.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from awf_core.errors import BrokerError
from awf_mq_sqs.client import server_time_s
from awf_mq_sqs.names import REPLY_PREFIX, name_of, reply_queue_ends_s, reply_queue_name

if TYPE_CHECKING:
    from awf_mq_sqs.client import SqsClient
    from awf_mq_sqs.queues import Queues

log = logging.getLogger("awf_mq_sqs")
MAX_REAPED = 100
"""Queues deleted at once, so that no `submit` waits long for the remains of others."""

LEAST_RETENTION_S, MOST_RETENTION_S = 60, 1_209_600


class ReplyQueues:
    """The private reply queues of this process. Thread-safe."""

    def __init__(self, client: SqsClient, queues: Queues, tags: dict[str, str]) -> None:
        self._client = client
        self._queues = queues
        self._tags = tags
        self._own: set[str] = set()
        self._lock = threading.Lock()
        self._has_reaped = False

    def create(self, ttl_s: float) -> str:
        """A new queue; its name. The first call also deletes those whose time is over."""
        now_s = self._reap()
        name = reply_queue_name(now_s + ttl_s)
        retention_s = min(max(int(ttl_s) + 1, LEAST_RETENTION_S), MOST_RETENTION_S)
        self._queues.create(name, {"MessageRetentionPeriod": str(retention_s)}, {**self._tags, "awf": "reply"})
        with self._lock:
            self._own.add(name)
        return name

    def close(self) -> None:
        """Delete our own queues. What can't be deleted now is reaped later."""
        with self._lock:
            own, self._own = self._own, set()
        for name in own:
            with suppress(BrokerError):
                self._queues.delete(name)

    def _reap(self) -> float:
        """Delete queues whose time is over; returns SQS's time, or this host's where SQS gives none."""
        if self._has_reaped:
            return time.time()
        self._has_reaped = True
        try:
            response = self._client.call(
                "list_queues", "list the private reply queues", QueueNamePrefix=REPLY_PREFIX, MaxResults=1000
            )
        except BrokerError as error:
            # Without the right to list queues, those of a process that died stay.
            log.warning("%s; private reply queues of processes that died are not deleted", error)
            return time.time()
        now_s = server_time_s(response) or time.time()
        ended = [url for url in response.get("QueueUrls", ()) if (reply_queue_ends_s(url) or now_s) < now_s]
        for url in ended[:MAX_REAPED]:
            with suppress(BrokerError):
                self._queues.delete(name_of(url))
        return now_s
