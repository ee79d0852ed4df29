"""Whether somebody still waits at a direct reply address. Called by `delaying.py` before a result is published to one.

Has a connection of its own, made when it is first needed. RabbitMQ takes such an address apart without suspicion, and
one that is damaged, or of another cluster, makes it drop the whole connection (seen on 3.10) with everything under way
on it; and whoever sends a message chooses its reply address.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from awf_core.errors import BrokerError, BrokerUnavailable, QueueMissing, Unroutable
from awf_mq_rabbitmq.channel import open_channel
from awf_mq_rabbitmq.failures import INTERNAL_ERROR, reply_code, root_cause
from awf_mq_rabbitmq.link import Link

if TYPE_CHECKING:
    from awf_mq_rabbitmq.parameters import Target


class Requesters:
    """Asks the broker. Thread-safe."""

    def __init__(self, target: Target) -> None:
        self._link = Link(target, "asking", self)

    def look(self, address: str) -> None:
        """Raise Unroutable when nobody waits there: publishing wouldn't tell."""
        try:
            with open_channel(self._link) as channel:
                channel.count(address)
        except QueueMissing as error:
            raise self._gone(address) from error
        except BrokerUnavailable as error:
            cause = error.__cause__
            if cause is not None and reply_code(root_cause(cause)) == INTERNAL_ERROR:
                raise self._gone(address) from error
            raise

    def close(self) -> None:
        """Let go of the connection."""
        self._link.close()

    def went_up(self, _connection: Any) -> None:
        """Part of the link."""
        self._link.is_ready_now()

    def went_down(self, error: BrokerError) -> None:
        """Part of the link: who was asking hears it from the channel."""

    def _gone(self, address: str) -> Unroutable:
        return Unroutable(
            f"{self._link.where}: nobody waits at the direct reply address {address[:80]!r}",
            hint="the requester's channel is closed, or it made the address up; one that may be away for a while "
            "declares a reply queue",
        )
