"""A: what every use of a queue needs. Cases of `MqConformance`."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from awf_core.contract import Outgoing
from awf_core.errors import BrokerError, ConfigError
from awf_core.testing.actions import (
    QUIET_S,
    ack,
    assert_quiet,
    assert_took,
    nack,
    numbered,
    publish,
    send,
    take,
    take_one,
)
from awf_core.testing.needs import case
from awf_core.testing.target import PASSWORD_SCHEMES

if TYPE_CHECKING:
    from awf_core.mq import Mq
    from awf_core.testing.kit import Kit

STARTED_S = 0.2
SLACK_S = 1.0
BUSY_SHARE = 0.05
WATCHED_S = 0.6
UNUSUAL_BODIES = (
    b'{"a": 1}',
    b"",
    b"\0",
    b"\xff\xfe\x00not text",
    "grüße \N{GRINNING FACE} \u2028".encode(),
    b" leading and trailing \r\n",
    b"x" * 65536,
)
TEXT_BODIES = tuple(body for body in UNUSUAL_BODIES if b"\0" not in body and b"\xff" not in body)
HEADERS = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "Größe": "10 €", "empty": ""}


class Basics:
    """Open, close, wait, and deliver bytes unchanged."""

    @case("A1")
    def test_opening_and_closing_can_be_repeated(self, kit: Kit) -> None:
        """A1: open and close are idempotent, and a closed connection can be opened again."""
        mq = kit.mq()

        mq.open()
        send(mq, kit.names.work, b"before")
        mq.close()
        mq.close()
        mq.open()

        assert take_one(mq, kit.names.work).body == b"before"

    @case("A2")
    def test_closing_ends_a_waiting_consume(self, kit: Kit) -> None:
        """A2: a close from another thread makes a waiting consume return within `interrupt_s`."""
        mq = kit.mq()

        took_s = _seconds_until_consume_ends(mq, kit.names.work, mq.close)

        assert_took(took_s, less_than_s=mq.capabilities.interrupt_s + SLACK_S)

    @case("A2b")
    def test_interrupting_ends_a_waiting_consume_and_the_later_ones(self, kit: Kit) -> None:
        """A2b: an interrupt from any thread ends the wait within `interrupt_s`; nothing is delivered after it."""
        mq, other = kit.mq(), kit.mq(worker="kit-2")

        took_s = _seconds_until_consume_ends(mq, kit.names.work, mq.interrupt)
        send(other, kit.names.work, b"late")
        late = mq.consume(kit.names.work, limit=1, wait_s=0.0)

        assert_took(took_s, less_than_s=mq.capabilities.interrupt_s + SLACK_S)
        assert list(late) == [], "expected no delivery after the interrupt"
        delivery = take_one(other, kit.names.work)
        assert (delivery.attempt, delivery.crashes) == (1, 0), (
            "what arrives after an interrupt is released by the backend: expected (attempt, crashes) (1, 0), got "
            f"{(delivery.attempt, delivery.crashes)}"
        )

    @case("A3")
    def test_closing_without_having_opened_is_harmless(self, kit: Kit) -> None:
        """A3: close before open does nothing, and open works afterwards."""
        mq = kit.mq(is_open=False)

        mq.close()
        mq.close()
        mq.open()

        send(kit.mq(worker="kit-2"), kit.names.work, b"x")
        assert take_one(mq, kit.names.work).body == b"x"

    @case("A4")
    def test_two_connections_share_a_queue_without_sharing_a_delivery(self, kit: Kit) -> None:
        """A4: a message that one consumer holds is not delivered to another."""
        first, second = kit.mq(), kit.mq(worker="kit-2")
        send(first, kit.names.work, *numbered(10))

        held = take(first, kit.names.work, 5, limit=1)
        rest = take(second, kit.names.work, 5)
        assert_quiet(second, kit.names.work)

        assert sorted(d.body for d in held + rest) == sorted(numbered(10))

    @case("A5")
    def test_a_message_published_before_the_first_consumer_is_kept(self, kit: Kit) -> None:
        """A5: a consumer that connects later gets the messages that are already there."""
        producer = kit.mq()
        send(producer, kit.names.work, *numbered(5))
        producer.close()

        taken = take(kit.mq(worker="kit-2"), kit.names.work, 5)

        assert sorted(d.body for d in taken) == numbered(5)

    @case("A6")
    def test_a_body_is_delivered_byte_for_byte(self, kit: Kit) -> None:
        """A6: every byte of a body survives: text or binary, empty or large, within the backend's capabilities."""
        mq = kit.mq()
        capabilities = mq.capabilities
        bodies = [
            body
            for body in (UNUSUAL_BODIES if capabilities.binary_bodies else TEXT_BODIES)
            if len(body) >= capabilities.min_body_bytes
        ]
        send(mq, kit.names.work, *bodies)

        taken = take(mq, kit.names.work, len(bodies))

        assert sorted(d.body for d in taken) == sorted(bodies)
        assert all(type(d.body) is bytes for d in taken)

    @case("A6b", "headers")
    def test_headers_are_delivered_unchanged(self, kit: Kit) -> None:
        """A6b: names and values of headers survive, other alphabets and 32 kB included."""
        mq = kit.mq()
        headers = {**HEADERS, "long": "x" * 32768}
        publish(mq, Outgoing(queue=kit.names.work, body=b"{}", headers=headers))

        delivery = take_one(mq, kit.names.work)

        assert {name: delivery.headers.get(name) for name in headers} == headers

    @case("A7", "stable_ids")
    def test_a_message_keeps_an_id_that_no_other_message_of_its_queue_has(self, kit: Kit) -> None:
        """A7: `Delivery.id` doesn't change, and differs also for messages to which producers gave the same id."""
        mq = kit.mq()
        publish(mq, *(Outgoing(queue=kit.names.work, body=body, id="kit-id-1") for body in numbered(2)))
        publish(mq, Outgoing(queue=kit.names.work, body=b"2"))
        before = {d.body: d for d in take(mq, kit.names.work, 3)}
        nack(mq, *before.values())

        after = {d.body: d for d in take(mq, kit.names.work, 3)}

        ids = {body: delivery.id for body, delivery in before.items()}
        assert None not in ids.values(), f"expected an id for each message, got {ids}"
        assert len(set(ids.values())) == 3, f"expected three different ids, got {ids}"
        again = {body: delivery.id for body, delivery in after.items()}
        assert again == ids, f"expected the same ids at the redelivery of each message: {ids}, got {again}"

    @case("A7b")
    def test_the_id_that_a_producer_gave_is_delivered(self, kit: Kit) -> None:
        """A7b: as `Delivery.message_id`, at each delivery; a broker that keeps no ids has `headers` unset."""
        mq = kit.mq()
        publish(mq, Outgoing(queue=kit.names.work, body=b"{}", id="kit-id-1"))
        first = take_one(mq, kit.names.work)
        nack(mq, first)

        again = take_one(mq, kit.names.work)

        expected = "kit-id-1" if mq.capabilities.headers else first.message_id
        assert first.message_id == expected, f"expected message_id {expected!r}, got {first.message_id!r}"
        assert again.message_id == expected, f"at the redelivery: expected {expected!r}, got {again.message_id!r}"

    @case("A8")
    def test_a_consume_of_an_empty_queue_returns_in_time_and_uses_hardly_any_cpu(self, kit: Kit) -> None:
        """A8: it returns after `wait_s`, not before and not much later, and doesn't poll busily."""
        mq = kit.mq()
        mq.consume(kit.names.work, limit=1, wait_s=0.0)

        began_s, busy_s = time.monotonic(), time.process_time()
        came = mq.consume(kit.names.work, limit=1, wait_s=WATCHED_S)
        took_s, busy_s = time.monotonic() - began_s, time.process_time() - busy_s

        assert list(came) == [], "expected no delivery from an empty queue"
        assert_took(took_s, at_least_s=WATCHED_S * 0.9, less_than_s=WATCHED_S + SLACK_S)
        assert busy_s < BUSY_SHARE * took_s, f"expected an idle wait, used {busy_s:.3f} s of CPU in {took_s:.3f} s"

    @case("A8b")
    def test_a_waiting_consume_gets_a_message_at_once(self, kit: Kit) -> None:
        """A8b: a message that arrives during the wait is delivered before the wait is over."""
        mq, producer = kit.mq(), kit.mq(worker="kit-2")
        thread = threading.Timer(STARTED_S, lambda: send(producer, kit.names.work, b"x"))

        began_s = time.monotonic()
        thread.start()
        came = mq.consume(kit.names.work, limit=1, wait_s=10.0)
        took_s = time.monotonic() - began_s
        thread.join()

        assert [d.body for d in came] == [b"x"]
        assert_took(took_s, less_than_s=STARTED_S + SLACK_S)

    @case("A9")
    def test_a_queue_delivers_and_counts_only_its_own_messages(self, kit: Kit) -> None:
        """A9: consume and stats of one queue never include messages of another."""
        mq = kit.mq()
        send(mq, kit.names.work, b"for work")
        send(mq, kit.names.other, b"for other")

        (work,) = take(mq, kit.names.work)
        ack(mq, work)

        assert work.body == b"for work"
        assert work.queue == kit.names.work
        ready = mq.stats(kit.names.other).ready
        assert ready in (1, None), f"expected 1 ready message in the other queue, got {ready}"
        assert_quiet(mq, kit.names.work)
        assert take_one(mq, kit.names.other).body == b"for other"

    @case("A10")
    def test_an_unknown_setting_is_an_error_that_names_it(self, kit: Kit) -> None:
        """A10: a mistyped key stops the command before it connects, and the error names the key."""
        settings = {**kit.target.settings, "no_such_setting": 1}

        with pytest.raises(ConfigError, match="no_such_setting"):
            kit.assembly(settings=settings)

    @case("A10b", "server")
    def test_the_error_for_an_unreachable_broker_has_its_address_and_no_password(self, kit: Kit) -> None:
        """A10b: open fails with an error of the contract, with the address and without the password."""
        proxy = kit.proxy()
        proxy.refuse()
        settings = {**kit.target.settings, kit.target.url_key: _with_secret(proxy.through(str(kit.target.url)))}
        mq = kit.mq(is_open=False, settings=settings)

        with pytest.raises(BrokerError) as caught:
            mq.open()

        text = f"{caught.value} {caught.value.hint or ''}"
        assert str(proxy.port) in text, "expected the address in the error"
        assert "kit-s3cret" not in text, "expected no password in the error"


def _seconds_until_consume_ends(mq: Mq, queue: str, stop: object) -> float:
    assert callable(stop)
    mq.consume(queue, limit=1, wait_s=0.0)
    ended = threading.Event()
    came: list[object] = []

    def wait() -> None:
        # A close during a wait may raise any error of the contract. It must not hang.
        try:
            came.extend(mq.consume(queue, limit=1, wait_s=30.0))
        except BrokerError:
            pass
        finally:
            ended.set()

    threading.Thread(target=wait, daemon=True).start()
    assert not ended.wait(QUIET_S), "expected consume(wait_s=30) to wait, it returned without a delivery"
    began_s = time.monotonic()
    stop()
    limit_s = mq.capabilities.interrupt_s + SLACK_S
    assert ended.wait(limit_s), f"expected the consume to return within {limit_s} s, it still waits"
    assert came == [], "expected no delivery"
    return time.monotonic() - began_s


def _with_secret(url: str) -> str:
    scheme, _, rest = url.partition("://")
    place = rest.rpartition("@")[2]
    return f"{scheme}://kit-user:kit-s3cret@{place}" if scheme in PASSWORD_SCHEMES else url
