"""What each queue is for, in its tag `awf`, where all workers of an account can see it. `backend.py` notes it,
`settling.py` asks.

A reply goes to whatever queue a producer names, so it must not reach a queue whose messages are run, or that keeps
dead-lettered messages. Thread-safe.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from awf_core.errors import BrokerError, BrokerMisconfigured, Unroutable
from awf_mq_sqs.names import reply_queue_ends_s
from awf_mq_sqs.queues import TAG

if TYPE_CHECKING:
    from awf_core.contract import Declare, Role
    from awf_mq_sqs.client import SqsClient
    from awf_mq_sqs.queues import Queues

REFUSED = ("work", "dead")
KNOWN_S = 60.0
"""How long an answer is relied on: a fleet that starts meanwhile is protected that much later."""
MOST_KNOWN = 1024

log = logging.getLogger("awf_mq_sqs")


class Roles:
    """The roles of the queues of one account."""

    def __init__(self, client: SqsClient, queues: Queues, declare: Declare) -> None:
        self._client = client
        self._queues = queues
        self._may_note = declare == "auto"
        self._known: OrderedDict[str, tuple[str | None, float]] = OrderedDict()
        self._lock = threading.Lock()

    def note(self, queue: str, role: Role) -> None:
        """Note what `queue` is for; the latest note counts. Without the right to do that it logs a warning."""
        if not self._may_note:
            return
        try:
            if self._tag(queue) != role:
                url = self._queues.url(queue)
                self._client.call("tag_queue", f"tag {queue!r}", queue=queue, QueueUrl=url, Tags={TAG: role})
        except BrokerMisconfigured as error:
            log.warning("%s; without its tag other workers may publish results to %r", error, queue)
        self._keep(queue, role)

    def problem(self, queue: str) -> BrokerError | None:
        """Why no reply may go to `queue`, or why that can't be found out now; None = it may."""
        if reply_queue_ends_s(queue) is not None:
            return None
        role, until = self._known.get(queue, (None, 0.0))
        if until <= time.monotonic():
            try:
                role = self._tag(queue)
            except BrokerMisconfigured as error:
                log.warning("%s; so it is unknown whether results belong into %r", error, queue)
                role = None
            except BrokerError as error:
                return error
            self._keep(queue, role)
        if role not in REFUSED:
            return None
        return Unroutable(
            f"{self._client.where}: no reply can be published to {queue!r}: it is a {role} queue",
            hint="reply_to has to name a queue for results; `awf queue ensure --role reply` makes one of it",
        )

    def _tag(self, queue: str) -> str | None:
        url = self._queues.url(queue)
        response = self._client.call("list_queue_tags", f"read the tags of {queue!r}", queue=queue, QueueUrl=url)
        tags = response.get("Tags") or {}
        return tags.get(TAG)

    def _keep(self, queue: str, role: str | None) -> None:
        with self._lock:
            self._known[queue] = role, time.monotonic() + KNOWN_S
            while len(self._known) > MOST_KNOWN:
                self._known.popitem(last=False)
