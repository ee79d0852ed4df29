"""Settle deliveries: ack, nack, dead-letter, extend. Thread-safe.

What is not in hand any more is LeaseLost, and nothing of it is published. Replies are published before the message is
deleted; a settlement that is repeated, since the delete failed, publishes nothing again.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from awf_core.crash_points import crash_point
from awf_core.errors import LeaseLost
from awf_mq_sqs.consuming import granted
from awf_mq_sqs.dead_messages import dead_entry
from awf_mq_sqs.failures import lease_lost
from awf_mq_sqs.publishing import Answers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from awf_core.clock import Clock
    from awf_core.contract import Ack, DeadLetter, Delivery, Nack
    from awf_mq_sqs.claims import Claim, Claims
    from awf_mq_sqs.client import SqsClient
    from awf_mq_sqs.copies import Copies
    from awf_mq_sqs.large import LargeBodies
    from awf_mq_sqs.publishing import Publishing
    from awf_mq_sqs.queues import Queues
    from awf_mq_sqs.roles import Roles
    from awf_mq_sqs.visibility import Visibility

log = logging.getLogger("awf_mq_sqs")
Indexed = tuple[int, "Claim"]


class Settling:
    """Settles what `Claims` has."""

    def __init__(
        self,
        client: SqsClient,
        queues: Queues,
        roles: Roles,
        claims: Claims,
        publishing: Publishing,
        visibility: Visibility,
        copies: Copies,
        large: LargeBodies | None,
        clock: Clock,
        *,
        lease_s: float,
    ) -> None:
        self._client = client
        self._queues = queues
        self._roles = roles
        self._claims = claims
        self._publishing = publishing
        self._visibility = visibility
        self._copies = copies
        self._large = large
        self._clock = clock
        self._lease_s = lease_s

    def ack(self, acks: Sequence[Ack]) -> Answers:
        """Publish the replies, then delete the messages."""
        answers, held = self._held([each.delivery for each in acks])
        held = self._allowed(acks, held, answers)
        self._reply(acks, held, answers)
        crash_point("sqs.replied")
        self._delete([(index, claim) for index, claim in held if answers[index] is None], answers)
        if self._large is not None:
            for index, claim in held:
                if answers[index] is None and claim.large_key is not None:
                    error = self._large.remove(claim.large_key)
                    if error is not None:
                        log.warning("%s; its message is done", error)
        return answers

    def nack(self, nacks: Sequence[Nack]) -> Answers:
        """Release the messages, each after its delay."""
        answers, held = self._held([each.delivery for each in nacks])
        found = self._copies.nack([(nacks[index], claim) for index, claim in held])
        self._ended(held, found, answers)
        return answers

    def dead_letter(self, dead_letters: Sequence[DeadLetter]) -> Answers:
        """Publish to the dead-letter queue, and the replies; then delete the messages."""
        answers, held = self._held([each.delivery for each in dead_letters])
        held = self._allowed(dead_letters, held, answers)
        self._move_dead(dead_letters, held, answers)
        crash_point("sqs.dead_lettered")
        self._reply(dead_letters, held, answers)
        self._delete([(index, claim) for index, claim in held if answers[index] is None], answers)
        return answers

    def extend(self, deliveries: Sequence[Delivery]) -> Answers:
        """Renew leases; one that holds long enough costs no request."""
        answers, held = self._held(deliveries)
        now = self._clock.monotonic()
        due = [(index, claim) for index, claim in held if claim.lease_until < now + self._lease_s]
        wanted = float(granted(self._lease_s))
        for index, claim in due:
            if self._visibility.left_s(claim) < 1.0:
                answers[index] = lease_lost(deliveries[index], self._client.where)
        due = [(index, claim) for index, claim in due if answers[index] is None]
        found = self._visibility.change([(claim, wanted) for _, claim in due])
        for (index, claim), answer in zip(due, found, strict=True):
            answers[index] = answer
            if answer is None:
                claim.lease_until = now + min(wanted, self._visibility.left_s(claim))
            elif isinstance(answer, LeaseLost):
                self._claims.drop(claim)
        return answers

    def _held(self, deliveries: Sequence[Delivery]) -> tuple[Answers, list[Indexed]]:
        """LeaseLost for what isn't in hand any more, and the claims of the rest."""
        now = self._clock.monotonic()
        answers: Answers = [None] * len(deliveries)
        held: list[Indexed] = []
        for index, delivery in enumerate(deliveries):
            claim = self._claims.held(delivery, now)
            if claim is None:
                answers[index] = lease_lost(delivery, self._client.where)
            else:
                held.append((index, claim))
        return answers, held

    def _allowed(
        self, items: Sequence[Ack] | Sequence[DeadLetter], held: Sequence[Indexed], answers: Answers
    ) -> list[Indexed]:
        """Those of `held` whose replies all go to queues for results; of the others nothing is done."""
        for index, _ in held:
            problems = (self._roles.problem(reply.queue) for reply in items[index].replies)
            answers[index] = next((problem for problem in problems if problem is not None), None)
        return [(index, claim) for index, claim in held if answers[index] is None]

    def _reply(self, items: Sequence[Ack] | Sequence[DeadLetter], held: Sequence[Indexed], answers: Answers) -> None:
        """Publish the replies of what has no error yet; an error of a reply is that of its item."""
        pending = [
            (index, claim, reply)
            for index, claim in held
            if answers[index] is None and not claim.has_replied
            for reply in items[index].replies
        ]
        for (index, _, _), answer in zip(pending, self._publishing.publish([r for *_, r in pending]), strict=True):
            answers[index] = answers[index] or answer
        for index, claim, _ in pending:
            claim.has_replied = answers[index] is None

    def _move_dead(self, dead_letters: Sequence[DeadLetter], held: Sequence[Indexed], answers: Answers) -> None:
        by_queue: dict[str, list[Indexed]] = {}
        for index, claim in held:
            if not claim.has_moved:
                by_queue.setdefault(dead_letters[index].queue, []).append((index, claim))
        for queue, items in by_queue.items():
            limit = self._queues.limit(queue)
            entries = [dead_entry(dead_letters[index], claim, limit) for index, claim in items]
            for (index, claim), answer in zip(items, self._publishing.send(queue, entries), strict=True):
                answers[index] = answer
                claim.has_moved = answer is None

    def _delete(self, items: Sequence[Indexed], answers: Answers) -> None:
        self._ended(items, self._visibility.delete([claim for _, claim in items]), answers)

    def _ended(self, items: Sequence[Indexed], found: Answers, answers: Answers) -> None:
        for (index, claim), answer in zip(items, found, strict=True):
            answers[index] = answer
            if answer is None or isinstance(answer, LeaseLost):
                self._claims.drop(claim)
