"""The content of a message: out of its envelope, and out of S3. Thread-safe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from awf_core.errors import BrokerMisconfigured
from awf_mq_sqs.deliveries import Content
from awf_mq_sqs.unwrap import unwrapped

if TYPE_CHECKING:
    from awf_mq_sqs.claims import Claim
    from awf_mq_sqs.large import LargeBodies
    from awf_mq_sqs.settings import Unwrap


class Incoming:
    """Reads bodies. `max_body_bytes`: a larger body is delivered as a stub; None = no limit."""

    def __init__(self, large: LargeBodies | None, unwrap: Unwrap, max_body_bytes: int | None) -> None:
        self._large = large
        self._unwrap = unwrap
        self._most = max_body_bytes

    def read(self, claim: Claim) -> Content:
        """The content of a claim's message. Raises BrokerError where S3 can't be reached."""
        body, headers = unwrapped(claim.body, self._unwrap)
        key = self._large.key_of(body, claim.attributes) if self._large is not None else None
        if key is None or self._large is None:
            return self._limited(body.encode(), headers)
        try:
            size = self._large.size_of(key)
            content = self._large.read(key) if self._most is None or size <= self._most else b""
        except BrokerMisconfigured:
            # It is gone, or not for us: the pointer itself is delivered, which no worker can run, and dead-lettered.
            return self._limited(body.encode(), headers)
        claim.large_key = key
        return Content(body=content, body_bytes=size, headers=headers)

    def _limited(self, body: bytes, headers: dict[str, str]) -> Content:
        is_over = self._most is not None and len(body) > self._most
        return Content(body=b"" if is_over else body, body_bytes=len(body), headers=headers)
