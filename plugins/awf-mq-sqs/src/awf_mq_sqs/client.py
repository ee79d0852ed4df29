"""The one boto3 client of a process: requests, their repetition, their count, and the broker's clock.

Nothing here repeats a request that may have had an effect and has another one when it is repeated. A process that was
forked makes a client of its own. boto3 is imported at the first use, so that reading the settings costs nothing.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from awf_core.errors import BrokerMisconfigured, BrokerUnavailable, QueueMissing
from awf_mq_sqs.failures import (
    DENIED,
    EXPIRED,
    broker_error,
    code_of,
    has_timed_out,
    is_login_error,
    is_throttled,
    was_not_sent,
)
from awf_mq_sqs.names import account_of, endpoint_of, is_aws, is_url, name_of, region_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from awf_mq_sqs.settings import SqsSettings

RENEWABLE = EXPIRED | {"InvalidClientTokenId", "UnrecognizedClientException"}
ATTEMPTS = 3
PAUSE_S = 0.1
# A worker has a fetcher, a settler and a renewer for each queue; a full pool would only warn.
MAX_CONNECTIONS = 64

UNNAMED_REGION = "us-east-1"

REPEATABLE = frozenset(
    {
        "delete_message_batch",
        "change_message_visibility_batch",
        "get_queue_url",
        "get_queue_attributes",
        "list_queues",
        "create_queue",
        "delete_queue",
        "purge_queue",
        "list_message_move_tasks",
    }
)
"""Requests that have the same effect once and twice."""


class SqsClient:
    """Requests to SQS, and to S3 for large bodies. Thread-safe."""

    def __init__(self, settings: SqsSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._counting = threading.Lock()
        self._is_proven = False
        self._session: Any = None
        self._clients: dict[str, Any] = {}
        self._pid = os.getpid()
        self.counts: Counter[str] = Counter()
        self.endpoint_url = settings.endpoint_url or _implied_endpoint(settings)
        self.region = settings.region or _implied_region(settings)
        self.account = account_of(settings.main_queue) if is_url(settings.main_queue) else None

    @property
    def _is_elsewhere(self) -> bool:
        """Whether the endpoint is not AWS's, so that a region is part of the signature and nothing else."""
        return self.endpoint_url is not None and not is_aws(self.endpoint_url)

    @property
    def where(self) -> str:
        """The endpoint, for logs and errors; never a credential."""
        endpoint = self.endpoint_url
        if endpoint is None:
            client = self._clients.get("sqs")
            endpoint = client.meta.endpoint_url if client is not None else f"sqs.{self.region or 'default-region'}"
        return str(endpoint)

    def call(
        self, action: str, doing: str, *, queue: str = "", is_repeatable: bool | None = None, **request: Any
    ) -> Any:
        """Send one request; returns its response. Raises BrokerError.

        A throttled request did nothing, so it is repeated; so is one that never reached the endpoint, and one that may
        be repeated. `is_repeatable` is for what REPEATABLE can't know.
        """
        may_repeat = action in REPEATABLE if is_repeatable is None else is_repeatable
        for attempt in range(1, ATTEMPTS + 1):
            try:
                # A poll may take longer than any other request.
                method = getattr(self._client("poll" if action == "receive_message" else "sqs"), action)
                self._count(action)
                response = method(**request)
            except Exception as error:
                may_help = is_throttled(error) or (may_repeat and _is_passing(error, self.where, doing))
                if code_of(error) in RENEWABLE and attempt == 1:
                    # Nothing was done. A session never reads credentials anew, and files may have new ones.
                    self._forget_login()
                    may_help = True
                if attempt == ATTEMPTS or not may_help:
                    found = broker_error(
                        error, where=self.where, doing=doing, queue=queue, in_doubt=action not in REPEATABLE
                    )
                    if self._is_proven and is_login_error(error):
                        # It was accepted before, so it isn't the configuration: wait until it is renewed.
                        found = BrokerUnavailable(found.message, hint=found.hint)
                    raise found from error
            else:
                self._is_proven = True
                return response
            time.sleep(random.uniform(0.5, 1.0) * PAUSE_S * 2**attempt)  # noqa: S311 - spreads repetitions
        raise AssertionError("unreachable")

    def s3(self, action: str, doing: str, **request: Any) -> Any:
        """Send one request to S3; botocore repeats it. Raises BrokerError."""
        try:
            method = getattr(self._client("s3"), action)
            self._count(f"s3.{action}")
            return method(**request)
        except Exception as error:
            raise broker_error(error, where="s3", doing=doing) from error

    def connect(self) -> None:
        """Make the client. Raises BrokerMisconfigured where region or profile are missing."""
        try:
            self._client("sqs")
        except Exception as error:
            raise broker_error(error, where=self.where, doing="connect") from error

    def check(self) -> None:
        """Send a first request. Raises BrokerError for an endpoint or credentials that don't work.

        Whether the queue is there and what may be done with it, `ensure` finds out.
        """
        try:
            self.call("get_queue_url", "connect", QueueName=name_of(self._settings.main_queue))
        except QueueMissing:
            return
        except BrokerMisconfigured as error:
            if error.__cause__ is None or code_of(error.__cause__) not in DENIED:
                raise

    @property
    def requests(self) -> dict[str, int]:
        """How many requests were sent, by action: what AWS bills."""
        return dict(self.counts)

    def close(self) -> None:
        """Close the connections; the next request makes new ones."""
        if self._pid == os.getpid():
            for client in list(self._clients.values()):
                client.close()

    def _count(self, action: str) -> None:
        with self._counting:
            self.counts[action] += 1

    def _client(self, kind: str) -> Any:
        """The client for `sqs`, for `poll` (SQS with more patience) or for `s3`."""
        if self._pid != os.getpid():
            # The parent's connections are the parent's.
            self._lock, self._counting = threading.Lock(), threading.Lock()
            self._clients, self._session, self._pid = {}, None, os.getpid()
        found = self._clients.get(kind)
        if found is None:
            with self._lock:
                found = self._clients.get(kind)
                if found is None:
                    found = self._clients[kind] = self._made(kind)
        return found

    def _forget_login(self) -> None:
        """Read the whole chain of credentials again at the next request. What is under way keeps its client."""
        with self._lock:
            self._clients, self._session = {}, None

    def _made(self, kind: str) -> Any:
        import boto3
        from botocore.config import Config

        settings = self._settings
        config = Config(
            # For SQS `call` repeats: only it knows which request may be repeated.
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS if kind == "s3" else 1},
            max_pool_connections=MAX_CONNECTIONS,
            connect_timeout=settings.connect_timeout_s,
            # A read timeout shorter than the poll would leave messages invisible that no consumer got.
            read_timeout=settings.read_timeout_s + (settings.wait_s if kind == "poll" else 0.0),
            tcp_keepalive=True,
            user_agent_extra="awf-mq-sqs",
        )
        if self._session is None:
            self._session = boto3.session.Session(profile_name=settings.profile, region_name=self.region)
        region = self._session.region_name or (UNNAMED_REGION if self._is_elsewhere else None)
        if kind == "s3":
            return self._session.client("s3", config=config, region_name=region)
        return self._session.client("sqs", endpoint_url=self.endpoint_url, config=config, region_name=region)


def server_time_s(response: Mapping[str, Any]) -> float | None:
    """The broker's clock, in epoch seconds, from a response's `Date`: exact to a second. None where it has none."""
    text = response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    try:
        return parsedate_to_datetime(text).timestamp() if text else None
    except ValueError:
        return None


def _is_passing(error: BaseException, where: str, doing: str) -> bool:
    """Whether the same request may succeed in a moment."""
    if was_not_sent(error) or has_timed_out(error):
        # Nothing listens or answers there: the caller has a better backoff than this one.
        return False
    return isinstance(broker_error(error, where=where, doing=doing), BrokerUnavailable)


def _implied_region(settings: SqsSettings) -> str | None:
    """Of the queue's URL; else AWS_REGION, which services of AWS set and boto3 doesn't read."""
    named = region_of(settings.main_queue) if is_url(settings.main_queue) else None
    return named or (None if os.environ.get("AWS_DEFAULT_REGION") else os.environ.get("AWS_REGION") or None)


def _implied_endpoint(settings: SqsSettings) -> str | None:
    """A queue's URL that is not AWS's names the endpoint, unless a variable does."""
    if not is_url(settings.main_queue):
        return None
    if os.environ.get("AWS_ENDPOINT_URL_SQS") or os.environ.get("AWS_ENDPOINT_URL"):
        return None
    return endpoint_of(settings.main_queue)
