"""Move a whole dead-letter queue on the side of SQS: `StartMessageMoveTask`, where it is there. Thread-safe.

It needs no message to be received here, and costs no request for each. The source has to be the dead-letter queue of
some queue. A message that is moved so keeps its attributes; `deliveries.py` lets it start afresh.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from awf_core.errors import BrokerError

if TYPE_CHECKING:
    from awf_mq_sqs.client import SqsClient
    from awf_mq_sqs.queues import Queues

POLL_S = 1.0
MOST_S = 3600.0
"""A task that takes longer goes on in SQS; the caller isn't kept waiting."""

WORKING = frozenset({"RUNNING", "CANCELLING"})


class Redrive:
    """Starts move tasks, and waits for them."""

    def __init__(self, client: SqsClient, queues: Queues) -> None:
        self._client = client
        self._queues = queues
        self._is_missing = False

    def move(self, source: str, target: str) -> int | None:
        """Move all of `source`; how many moved. None = SQS can't do it here, and nothing was moved by it."""
        if self._is_missing:
            return None
        try:
            source_arn, target_arn = self._queues.facts(source).arn, self._queues.facts(target).arn
            doing = f"move the messages of {source!r}"
            self._client.call(
                "start_message_move_task", doing, queue=source, SourceArn=source_arn, DestinationArn=target_arn
            )
        except BrokerError:
            # No dead-letter queue of any queue, no right, a task under way, or an endpoint that has no such action.
            self._is_missing = True
            return None
        return self._waited(source, source_arn)

    def _waited(self, source: str, source_arn: str) -> int:
        end = time.monotonic() + MOST_S
        while True:
            task = self._latest(source, source_arn)
            if task.get("Status") not in WORKING or time.monotonic() > end:
                return int(task.get("ApproximateNumberOfMessagesMoved", 0))
            time.sleep(POLL_S)

    def _latest(self, source: str, source_arn: str) -> dict[str, Any]:
        response = self._client.call(
            "list_message_move_tasks",
            f"watch the move from {source!r}",
            queue=source,
            SourceArn=source_arn,
            MaxResults=1,
        )
        results = response.get("Results", [])
        return dict(results[0]) if results else {}
