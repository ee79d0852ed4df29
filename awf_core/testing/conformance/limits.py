"""E9, F6b, F10 to F12: large bodies, groups, expiry, unusual texts. Cases of `MqConformance`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from awf_core.contract import Ack, Outgoing
from awf_core.errors import BrokerError, BrokerMisconfigured, Unroutable
from awf_core.testing.actions import (
    ack,
    assert_quiet,
    dead_letter,
    finish,
    nack,
    numbered,
    publish,
    send,
    take,
    take_one,
)
from awf_core.testing.eventually import eventually
from awf_core.testing.needs import case

if TYPE_CHECKING:
    from awf_core.contract import Delivery
    from awf_core.mq import Mq
    from awf_core.testing.kit import Kit

LIMIT_BYTES = 1000
BRIEF_S = 1.0
BEHIND_S = 5.0
"""How long a message behind a large body may take to be delivered."""
UNUSUAL_TEXTS = ("with NUL \0 in it", "with half a pair \ud83d in it", "\0", "\N{GRINNING FACE} \u2028 \x01")
GROUP = "kit-group"


class Limits:
    """What is too large, too late or unusual is refused or kept whole, and holds up nothing else."""

    @case("E9", "oversized_stubs")
    def test_a_body_over_the_limit_of_the_core_arrives_as_a_stub(self, kit: Kit) -> None:
        """E9: without its body, with its size; the messages behind it are delivered; it is dead-lettered whole."""
        mq, whole = _limited(kit), kit.mq()
        large = bytes(range(256)) * 8 if mq.capabilities.binary_bodies else b"large " * 400
        send(whole, kit.names.work, large, b"small")

        deliveries = take(mq, kit.names.work, 2, within_s=BEHIND_S)
        small, stub = sorted(deliveries, key=lambda delivery: delivery.body_bytes or 0)

        _assert_stub(stub, len(large))
        assert small.body == b"small", f"expected the message behind the large one, got {small.body[:80]!r}"
        ack(mq, small)
        dead_letter(mq, stub, kit.names.dead)
        (dead,) = kit.dead_messages(whole, 1)
        assert dead == large, f"expected the dead-lettered body of {len(large)} bytes unchanged, got {len(dead)} bytes"

    @case("E9b", "oversized_stubs")
    def test_a_released_stub_still_has_its_body(self, kit: Kit) -> None:
        """E9b: released and nacked, the message is delivered whole to a consumer with a higher limit."""
        mq, whole = _limited(kit), kit.mq()
        large = b"x" * (LIMIT_BYTES + 1)
        send(whole, kit.names.work, large, b"x" * LIMIT_BYTES)

        at_limit, stub = sorted(take(mq, kit.names.work, 2), key=lambda delivery: delivery.body_bytes or 0)
        nack(mq, stub, is_counted=False)
        again = take_one(mq, kit.names.work)
        nack(mq, again)
        delivery = take_one(whole, kit.names.work)

        assert len(at_limit.body) == LIMIT_BYTES, "expected a body at the limit to arrive whole"
        _assert_stub(stub, len(large))
        _assert_stub(again, len(large))
        assert delivery.body == large, f"expected {len(large)} bytes, got {len(delivery.body)}"
        ack(whole, delivery)

    @case("F6b")
    def test_a_group_is_delivered_and_kept_in_order_or_ignored(self, kit: Kit) -> None:
        """F6b: where `Delivery.group` is set, a redelivered message comes before the later ones of its group."""
        mq = kit.mq()
        publish(mq, *(Outgoing(queue=kit.names.work, body=body, group=GROUP) for body in numbered(3)))
        first = take_one(mq, kit.names.work)

        assert first.group in (GROUP, None), f"expected the group {GROUP!r}, or None for no groups, got {first.group!r}"
        if first.group is None:
            assert len(take(mq, kit.names.work, 2)) == 2, "expected the others, since groups are ignored"
            return
        assert_quiet(mq, kit.names.work, why="while the first message of the group is not settled")
        nack(mq, first)
        order: list[bytes] = []
        while len(order) < 3:
            delivery = take_one(mq, kit.names.work)
            order.append(delivery.body)
            ack(mq, delivery)
        assert order == numbered(3), f"expected the order of the group, also after a nack, got {order}"

    @case("F10")
    def test_an_expiry_is_kept_or_refused(self, kit: Kit) -> None:
        """F10: after `expires_s` a message is not delivered; a backend that can't do that answers with an error."""
        mq = kit.mq()

        (answer,) = mq.publish([Outgoing(queue=kit.names.work, body=b"old", expires_s=BRIEF_S)])

        if mq.capabilities.expires != "any":
            assert isinstance(answer, BrokerError), f"expected an error for expires_s, got {answer!r}"
            assert "expires_s" in str(answer), f"expected the error to name expires_s, got {answer}"
            return
        assert answer is None, f"expected the message to be accepted, got {answer!r}"
        _pass_time(BRIEF_S * 1.2)
        assert_quiet(mq, kit.names.work, why=f"{BRIEF_S} s after a publish with expires_s={BRIEF_S}")

    @case("F11")
    def test_an_unread_reply_is_kept_for_its_time_and_no_longer(self, kit: Kit) -> None:
        """F11: a reply expires after `BackendContext.reply_ttl_s`, where the broker can expire replies."""
        mq = kit.mq(rules={"reply": {"ttl": f"{BRIEF_S}s"}})
        send(mq, kit.names.work, b"x", b"y")
        replies = [Outgoing(queue=kit.names.replies, body=b"answer")]
        first, second = take(mq, kit.names.work, 2)

        ack(mq, first, replies=replies)
        in_time = take_one(mq, kit.names.replies).body
        if mq.capabilities.expires == "none":
            return
        answers = list(mq.ack([Ack(delivery=second, replies=replies)]))
        _pass_time(BRIEF_S * 1.5)

        assert in_time == b"answer"
        assert answers == [None], f"expected the second reply to be accepted, got {answers}"
        other = kit.mq(worker="kit-2")
        assert_quiet(other, kit.names.replies, why=f"{BRIEF_S} s after a reply with reply_ttl_s={BRIEF_S}")

    @case("F12")
    def test_a_text_that_a_broker_may_not_be_able_to_store_is_delivered_or_refused(self, kit: Kit) -> None:
        """F12: NUL and lone surrogates in ids and headers: the item is accepted, or its answer is an error."""
        mq = kit.mq()
        headers = mq.capabilities.headers
        messages = [
            Outgoing(
                queue=kit.names.work,
                body=b"%d" % number,
                id=text,
                correlation_id=text,
                headers={"tenant": text} if headers else {},
            )
            for number, text in enumerate(UNUSUAL_TEXTS)
        ]

        answers = list(mq.publish([*messages, Outgoing(queue=kit.names.work, body=b"after")]))

        for text, answer in zip(UNUSUAL_TEXTS, answers, strict=False):
            assert answer is None or isinstance(answer, (BrokerMisconfigured, Unroutable)), (
                f"a text {text!r}: expected None, or BrokerMisconfigured for this item, got {answer!r}"
            )
        assert answers[-1] is None, f"the message behind the unusual texts: expected None, got {answers[-1]!r}"
        accepted = [b"%d" % number for number, answer in enumerate(answers[:-1]) if answer is None]
        assert finish(mq, kit.names.work, len(accepted) + 1) == sorted([*accepted, b"after"])


def _limited(kit: Kit) -> Mq:
    return kit.mq(worker="kit-limited", rules={"max_body_bytes": LIMIT_BYTES})


def _assert_stub(delivery: Delivery, size: int) -> None:
    assert delivery.body == b"", (
        f"a body of {size} bytes, limit {LIMIT_BYTES}: expected b'', got {delivery.body[:20]!r}"
    )
    assert delivery.body_bytes == size, f"expected body_bytes {size}, got {delivery.body_bytes}"
    assert delivery.is_stub, "expected a stub"


def _pass_time(seconds: float) -> None:
    end_s = time.monotonic() + seconds
    eventually(lambda: time.monotonic() > end_s, seconds + 1.0, what=f"{seconds} s")
