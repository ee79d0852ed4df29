"""Settings of the SQS backend (`mq.sqs:`). Filled by the core from file, flags and environment. Pure."""

from __future__ import annotations

import re
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from awf_core.units import DurationS
from awf_mq_sqs.names import is_url, name_problem

MAX_HOLD_S = 43_200.0
"""How long a message may be invisible after it was received, extended or not: a limit of SQS."""

MAX_PUBLISH_DELAY_S = 900.0
"""The longest `DelaySeconds`: a limit of SQS."""

MAX_MESSAGE_BYTES = 1_048_576
"""The largest message, attributes included, and the largest batch: a limit of SQS."""

Unwrap = Literal["none", "sns", "eventbridge", "auto"]
_LARGE = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(?P<prefix>[^\s]*))?")


class SqsSettings(BaseModel):
    """`mq.sqs`: the settings of this backend; None = no such setting.

    queue               the queue a worker consumes and a client submits to: a name, or a URL
    queue_url           the same as a URL; it names region and endpoint, where those are not set
    lease_s             `lease`: the visibility timeout of a received message; whole seconds, 1 s to 12 h
    wait_s              `wait`: the longest wait inside SQS, at most 20 s; a stop waits as long for an open poll
    region              the AWS region; else as every AWS tool finds it
    profile             the profile of the AWS configuration files
    endpoint_url        where SQS is, where it isn't AWS's; else AWS_ENDPOINT_URL_SQS and the like
    connect_timeout_s   `connect_timeout`: for a connection to be made
    read_timeout_s      `read_timeout`: for SQS to answer, a poll's wait not counted
    max_receives        the native redrive policy of a queue that this backend creates: deliveries before SQS itself
                        moves the message to the dead-letter queue; the net below the worker's own counting
    retention_s         `retention`: how long a queue that this backend creates keeps a message; 60 s to 14 days
    tags                tags of queues that this backend creates
    kms_key             the KMS key of queues that this backend creates; None = encryption by SQS's own key
    unwrap              take the message out of the envelope of SNS or EventBridge
    large               `s3://bucket/prefix`: where bodies go that are too large for SQS
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    queue: str = Field(default="awf-workflows", min_length=1)
    queue_url: str | None = Field(default=None, min_length=1)
    lease_s: DurationS = Field(default=60.0, alias="lease", ge=1, le=MAX_HOLD_S)
    wait_s: DurationS = Field(default=10.0, alias="wait", ge=1, le=20)
    region: str | None = Field(default=None, min_length=1)
    profile: str | None = Field(default=None, min_length=1)
    endpoint_url: str | None = Field(default=None, min_length=1)
    connect_timeout_s: DurationS = Field(default=5.0, alias="connect_timeout", ge=0.1, le=120)
    read_timeout_s: DurationS = Field(default=10.0, alias="read_timeout", ge=0.1, le=120)
    max_receives: int = Field(default=1000, ge=10, le=1000)
    retention_s: DurationS = Field(default=1_209_600.0, alias="retention", ge=60, le=1_209_600)
    tags: dict[str, str] = Field(default={}, max_length=50)
    kms_key: str | None = Field(default=None, min_length=1)
    unwrap: Unwrap = "none"
    large: str | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for key, seconds in (("lease", self.lease_s), ("wait", self.wait_s), ("retention", self.retention_s)):
            if seconds != int(seconds):
                raise ValueError(f"{key} is {seconds} s; SQS counts whole seconds")
        if self.queue_url is not None and not is_url(self.queue_url):
            raise ValueError(f"queue_url {self.queue_url!r} is not a URL; a name goes into mq.sqs.queue")
        problem = name_problem(self.main_queue)
        if problem is not None:
            raise ValueError(f"{self.main_queue!r} can't be a queue: {problem}")
        if self.large is not None and _LARGE.fullmatch(self.large) is None:
            raise ValueError(f"large {self.large!r} is not s3://bucket or s3://bucket/prefix")
        return self

    @property
    def main_queue(self) -> str:
        """`queue_url`, else `queue`."""
        return self.queue_url or self.queue

    @property
    def large_place(self) -> tuple[str, str] | None:
        """Bucket and prefix of `large`; the prefix ends with a slash, or is empty."""
        found = _LARGE.fullmatch(self.large or "")
        if found is None:
            return None
        prefix = (found["prefix"] or "").strip("/")
        return found["bucket"], f"{prefix}/" if prefix else ""
