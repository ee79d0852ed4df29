"""Submit messages from Python, and wait for their results.

    with Client() as client:
        submission = client.submit("greet", {"name": "Ada"}, expect_reply=True)
        result = client.wait(submission, timeout_s=30)

Reads the same configuration as `awf submit`. Threads may share a client; construct it after a fork, not before.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from awf_core.clock import SystemClock
from awf_core.config.load import load_config
from awf_core.contract import Ack, Delivery, Nack, Outgoing
from awf_core.errors import BrokerError, BrokerUnavailable, InputError, UsageError, WaitTimeout
from awf_core.ids import new_id
from awf_core.message import Limits, Malformed, decode, encode
from awf_core.plugin.assemble import assemble
from awf_core.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from awf_core.clock import Clock
    from awf_core.config.load import Config
    from awf_core.mq import Mq

WAIT_STEP_S = 1.0
RETRY_S = 0.2
BROKER_AWAY_S = 60.0
"""How long a wait continues although the broker doesn't answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A message that the broker accepted. `reply_to` is where its result will be, None where it asks for none."""

    id: str
    queue: str
    workflow: str
    reply_to: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to submit. `queue=None` is the default queue, `id=None` a generated one."""

    workflow: str
    inputs: Mapping[str, Any] = field(default_factory=dict)
    queue: str | None = None
    id: str | None = None
    reply_to: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    delay_s: float = 0.0


class Client:
    """A producer. Connects at the first use, until `close` or the end of the `with` block."""

    def __init__(
        self,
        *,
        config: Config | None = None,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        clock: Clock | None = None,
    ) -> None:
        env = os.environ if env is None else env
        self.config = config or load_config(cwd=cwd or Path.cwd(), env=env)
        self._clock = clock or SystemClock()
        self._assembly = assemble(self.config, worker=f"client-{os.getpid()}", clock=self._clock)
        self._is_open = False
        self._ensured: set[str] = set()
        self.default_queue = self._assembly.default_queue

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection. Idempotent."""
        self._is_open = False
        self._assembly.mq.close()

    def submit(
        self,
        workflow: str,
        inputs: Mapping[str, Any] | None = None,
        *,
        queue: str | None = None,
        id: str | None = None,  # noqa: A002  (the message's own name for it)
        reply_to: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        delay_s: float = 0.0,
        expect_reply: bool = False,
        reply_ttl_s: float | None = None,
    ) -> Submission:
        """Publish one message; returns when the broker has accepted it.

        `expect_reply` creates a private reply queue for `wait`, for `reply_ttl_s` seconds (default: `mq.reply.ttl`).
        Raises InputError for a message that every worker would reject, and BrokerError.
        """
        if expect_reply and reply_to is None:
            reply_to = self._open().reply_queue(ttl_s=reply_ttl_s or self.config.mq.reply.ttl_s)
        request = Request(
            workflow=workflow,
            inputs=inputs or {},
            queue=queue,
            id=id,
            reply_to=reply_to,
            metadata=metadata or {},
            delay_s=delay_s,
        )
        return self.submit_many([request])[0]

    def submit_many(self, requests: list[Request]) -> list[Submission]:
        """Publish a batch in as few steps as the broker allows.

        Raises the first error. The broker may have accepted messages before and after it, so give ids.
        """
        outgoing = [self._outgoing(request) for request in requests]
        mq = self._open()
        for queue in {message.queue for message in outgoing} - self._ensured:
            dead_letter = self.config.mq.dead_letter
            mq.ensure(queue, "work", dead_letter=dead_letter.queue if dead_letter.enabled else None)
            self._ensured.add(queue)
        for error in mq.publish(outgoing):
            if error is not None:
                raise error
        return [
            Submission(id=message.id or "", queue=message.queue, workflow=request.workflow, reply_to=message.reply_to)
            for message, request in zip(outgoing, requests, strict=True)
        ]

    def wait(self, submission: Submission, *, timeout_s: float) -> dict[str, Any]:
        """The result of a submission, as the object published to its reply queue.

        Raises WaitTimeout after `timeout_s` seconds (the message will still be processed), UsageError for a submission
        that asks for no reply, BrokerUnavailable when the broker can't be reached for BROKER_AWAY_S seconds.
        """
        if submission.reply_to is None:
            raise UsageError("the submission asks for no reply", hint="submit with expect_reply=True or reply_to=…")
        mq = self._open()
        answered_at = self._clock.monotonic()
        end = answered_at + timeout_s
        while True:
            now = self._clock.monotonic()
            left_s = end - now
            if left_s <= 0:
                raise WaitTimeout(
                    f"no result of message '{submission.id}' within {format_duration(timeout_s)}",
                    hint=f"it will still be processed; its result will be in queue '{submission.reply_to}'",
                )
            try:
                if (result := _read(mq, submission, submission.reply_to, wait_s=min(left_s, WAIT_STEP_S))) is not None:
                    return result
                answered_at = self._clock.monotonic()
            except BrokerUnavailable:
                # The broker may restart during a run of hours, and the result must not be missed for that.
                if now - answered_at > BROKER_AWAY_S:
                    raise
                time.sleep(min(left_s, RETRY_S))

    def _open(self) -> Mq:
        if not self._is_open:
            self._assembly.mq.open()
            self._is_open = True
        return self._assembly.mq

    def _outgoing(self, request: Request) -> Outgoing:
        message_id = request.id or new_id()
        body = _body(request, message_id)
        queue = request.queue or self.default_queue
        mq = self.config.mq
        limits = Limits(max_body_bytes=mq.max_body_bytes, max_depth=mq.max_depth)
        read = decode(Delivery(queue=queue, body=body, receipt=None), limits)
        if isinstance(read, Malformed):
            raise InputError(f"message rejected: {read.reason}", code="USER.INPUT.INVALID_FORMAT")
        return Outgoing(queue=queue, body=body, id=message_id, reply_to=request.reply_to, delay_s=request.delay_s)


def _body(request: Request, message_id: str) -> bytes:
    try:
        return encode(
            request.workflow,
            message_id=message_id,
            inputs=request.inputs,
            reply_to=request.reply_to,
            metadata=request.metadata,
        )
    except (TypeError, ValueError, RecursionError) as exc:
        raise InputError(
            f"inputs or metadata that JSON can't represent: {exc}",
            hint="give texts, numbers, booleans, null, and lists and objects of these",
            code="USER.INPUT.INVALID_FORMAT",
        ) from exc


def _read(mq: Mq, submission: Submission, queue: str, *, wait_s: float) -> dict[str, Any] | None:
    """The result of `submission`, if it comes to `queue` within `wait_s` seconds. Raises BrokerError."""
    for delivery in mq.consume(queue, limit=1, wait_s=wait_s):
        if (result := _result_for(submission, delivery)) is not None:
            # Where the ack fails, the result still counts; its message stays in the queue until it expires.
            with suppress(BrokerError):
                mq.ack([Ack(delivery=delivery)])
            return result
        # The result of another submission, in a shared reply queue.
        longest_s = mq.capabilities.max_nack_delay_s
        delay_s = WAIT_STEP_S if longest_s is None else min(WAIT_STEP_S, longest_s)
        reason = "another submission's result"
        mq.nack([Nack(delivery=delivery, delay_s=delay_s, counted=False, reason=reason, history=delivery.history)])
    return None


def _result_for(submission: Submission, delivery: Delivery) -> dict[str, Any] | None:
    """The result in `delivery` where it is one of `submission`, else None."""
    try:
        result = json.loads(delivery.body)
    except ValueError:
        return None
    return result if isinstance(result, dict) and result.get("message_id") == submission.id else None
