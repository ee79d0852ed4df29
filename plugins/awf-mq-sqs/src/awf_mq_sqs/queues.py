"""Queues: from a name to its URL, what they are like, and how they are created. Thread-safe."""

from __future__ import annotations

import json
import logging
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from awf_core.errors import BrokerError, BrokerMisconfigured, QueueMissing, Unroutable
from awf_mq_sqs.failures import bad_name, queue_missing
from awf_mq_sqs.names import account_of, is_fifo, is_url, name_of, name_problem, same_endpoint
from awf_mq_sqs.settings import MAX_MESSAGE_BYTES

if TYPE_CHECKING:
    from awf_core.contract import Declare, Role
    from awf_mq_sqs.client import SqsClient
    from awf_mq_sqs.settings import SqsSettings

log = logging.getLogger("awf_mq_sqs")
TAG = "awf"


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueFacts:
    """What a queue is like. `max_bytes` is its limit for a message with attributes."""

    url: str
    arn: str
    max_bytes: int
    retention_s: int
    dead_letter_arn: str | None


class Queues:
    """The URLs of queues, found once each."""

    def __init__(self, client: SqsClient, settings: SqsSettings, declare: Declare) -> None:
        self._client = client
        self._settings = settings
        self._declare = declare
        self._urls: dict[str, str] = {}
        self._limits: dict[str, int] = {}
        self._ensured: dict[str, tuple[Role, str | None]] = {}
        self._lock = threading.Lock()

    def url(self, queue: str) -> str:
        """The URL of `queue`. Raises Unroutable for a name no queue has or a URL of another place, QueueMissing."""
        found = self._urls.get(queue)
        if found is None:
            self._refuse_bad(queue)
            found = self._found_url(queue)
            with self._lock:
                self._urls[queue] = found
        return found

    def forget(self, queue: str) -> None:
        """The queue may be another one by now."""
        with self._lock:
            self._urls.pop(queue, None)
            self._limits.pop(queue, None)

    def limit(self, queue: str) -> int:
        """How many bytes a message of `queue` may have; SQS's own limit, where it wasn't asked."""
        return self._limits.get(queue, MAX_MESSAGE_BYTES)

    def facts(self, queue: str) -> QueueFacts:
        """Ask what `queue` is like."""
        url = self.url(queue)
        response = self._client.call(
            "get_queue_attributes",
            f"read the attributes of {queue!r}",
            queue=queue,
            QueueUrl=url,
            AttributeNames=["All"],
        )
        attributes = response.get("Attributes", {})
        facts = QueueFacts(
            url=url,
            arn=str(attributes.get("QueueArn", "")),
            max_bytes=int(attributes.get("MaximumMessageSize", MAX_MESSAGE_BYTES)),
            retention_s=int(attributes.get("MessageRetentionPeriod", 0)),
            dead_letter_arn=_redrive_target(attributes.get("RedrivePolicy")),
        )
        with self._lock:
            self._limits[queue] = facts.max_bytes
        return facts

    def ensure(self, queue: str, role: Role, dead_letter: str | None) -> None:
        """Check for `queue`, and create it where it is missing and may be created."""
        self._refuse_bad(queue)
        if role == "work":
            self._refuse_mixed(queue, dead_letter)
        self.forget(queue)
        with self._lock:
            self._ensured[queue] = (role, dead_letter)
        try:
            self.facts(queue)
        except QueueMissing:
            if self._declare != "auto":
                raise
            self._create(queue, role, dead_letter)
            self.facts(queue)

    def recreate(self, queue: str) -> None:
        """The queue was deleted under us: create it again, where it may be created. What keeps us from it is logged."""
        self.forget(queue)
        ensured = self._ensured.get(queue)
        if ensured is None or self._declare != "auto":
            return
        try:
            self._create(queue, *ensured)
        except BrokerError as error:
            log.warning("%s; the queue %r was deleted and can't be created again now", error, queue)

    def create(self, name: str, attributes: dict[str, str], tags: dict[str, str]) -> str:
        """Create a queue; its URL. Raises BrokerError."""
        request: dict[str, Any] = {"QueueName": name, "Attributes": attributes}
        if tags:
            request["tags"] = tags
        response = self._client.call("create_queue", f"create the queue {name!r}", queue=name, **request)
        return str(response["QueueUrl"])

    def delete(self, queue: str) -> None:
        """Delete a queue; one that is gone is fine."""
        try:
            self._client.call("delete_queue", f"delete the queue {queue!r}", queue=queue, QueueUrl=self.url(queue))
        except QueueMissing:
            pass
        finally:
            self.forget(queue)

    def _found_url(self, queue: str) -> str:
        if is_url(queue):
            return queue
        request: dict[str, Any] = {"QueueName": queue}
        if self._client.account is not None:
            request["QueueOwnerAWSAccountId"] = self._client.account
        response = self._client.call("get_queue_url", f"find the queue {queue!r}", queue=queue, **request)
        return str(response["QueueUrl"])

    def _refuse_bad(self, queue: str) -> None:
        problem = name_problem(queue)
        if problem is not None:
            raise bad_name(queue, problem, self._client.where)
        if is_url(queue) and queue != self._settings.main_queue:
            self._refuse_elsewhere(queue)

    def _refuse_elsewhere(self, url: str) -> None:
        """A producer chooses reply addresses: no request leaves our endpoint and account for one."""
        own = next((each for each in (self._settings.main_queue, *self._urls.values()) if is_url(each)), None)
        account = self._client.account or (account_of(own) if own else None)
        if account is None:
            own = self.url(self._settings.main_queue)
            account = account_of(own)
        if account_of(url) != account or own is None or not same_endpoint(url, own):
            raise Unroutable(
                f"{self._client.where}: {url[:200]!r} is a queue of another account or endpoint",
                hint="replies go to queues of the own account and endpoint only; name such a queue",
            )

    def _refuse_mixed(self, queue: str, dead_letter: str | None) -> None:
        if dead_letter is not None and name_of(dead_letter) == name_of(queue):
            raise BrokerMisconfigured(
                f"{self._client.where}: {queue!r} is its own dead-letter queue", hint="set another mq.dead_letter.queue"
            )

    def _create(self, queue: str, role: Role, dead_letter: str | None) -> None:
        if is_url(queue) and account_of(queue) != self._client.account:
            raise queue_missing(queue, self._client.where)
        attributes = self._attributes(queue)
        if role == "work" and dead_letter is not None and is_fifo(queue) == is_fifo(dead_letter):
            attributes["RedrivePolicy"] = json.dumps(
                {
                    "deadLetterTargetArn": self._dead_letter_arn(dead_letter),
                    "maxReceiveCount": self._settings.max_receives,
                }
            )
        url = self.create(name_of(queue), attributes, {**self._settings.tags, TAG: role})
        with self._lock:
            self._urls[queue] = queue if is_url(queue) else url

    def _attributes(self, queue: str) -> dict[str, str]:
        settings = self._settings
        attributes = {
            "MessageRetentionPeriod": str(int(settings.retention_s)),
            "VisibilityTimeout": str(int(settings.lease_s)),
            "ReceiveMessageWaitTimeSeconds": str(int(settings.wait_s)),
        }
        if settings.kms_key is not None:
            attributes["KmsMasterKeyId"] = settings.kms_key
        if is_fifo(queue):
            attributes["FifoQueue"] = "true"
        return attributes

    def _dead_letter_arn(self, dead_letter: str) -> str:
        try:
            return self.facts(dead_letter).arn
        except QueueMissing:
            self._create(dead_letter, "dead", None)
            return self.facts(dead_letter).arn


def _redrive_target(policy: object) -> str | None:
    try:
        found = json.loads(str(policy)) if policy else {}
    except ValueError:
        return None
    target = found.get("deadLetterTargetArn") if isinstance(found, dict) else None
    return str(target) if target else None
