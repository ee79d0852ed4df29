"""Properties and headers that can't be read or written: the message is delivered, and no other message is affected."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pika
import pytest
from awf_mq_rabbitmq.properties import MAX_DEPTH, decode, fitting
from hypothesis import given
from hypothesis import strategies as st

from awf_core.contract import Ack, DeadLetter, Nack
from awf_core.testing.eventually import eventually

if TYPE_CHECKING:
    from awf_core.contract import Delivery

MakeBackend = Callable[..., Any]
LATE = b"T" + b"\xff" * 8
"""A time that no calendar has."""
LONG = 125_000
"""Bytes of a header that fits into a frame, but not together with ours."""


def sized(code: bytes, payload: bytes) -> bytes:
    return code + struct.pack(">I", len(payload)) + payload


def nested(depth: int, inner: bytes = b"") -> bytes:
    for _ in range(depth):
        inner = sized(b"A", inner)
    return inner


def table(*entries: tuple[bytes, bytes]) -> bytes:
    return b"".join(bytes([len(name)]) + name + value for name, value in entries)


N = (b"n", b"I" + struct.pack(">i", 7))
HEADERS = {
    "time": table((b"late", LATE), (b"inside", sized(b"A", LATE)), N),
    "deep": table((b"deep", nested(1000)), N),
    "deep table": table((b"deep", sized(b"F", table((b"x", nested(100))))), N),
    "key": table((b"keys", sized(b"F", table((b"\xff\xfe", sized(b"S", b"x"))))), N),
    "value": table((b"bytes", sized(b"S", b"\xff\xfe")), N),
    "name": table((b"\xff\xfe", sized(b"S", b"x")), N),
    "type": table(N, (b"unknown", b"\xee1234")),
    "long": table((b"long", sized(b"S", b"x" * LONG)), N),
}


class RawProperties(pika.BasicProperties):
    """Properties as another client may write them: the bytes of the table, and of a property."""

    def __init__(self, headers: bytes, correlation_id: bytes | None = None) -> None:
        super().__init__()
        self._raw_headers = headers
        self._raw_correlation_id = correlation_id

    def encode(self) -> list[bytes]:
        flags = self.FLAG_HEADERS | (0 if self._raw_correlation_id is None else self.FLAG_CORRELATION_ID)
        pieces = [struct.pack(">HI", flags, len(self._raw_headers)), self._raw_headers]
        if self._raw_correlation_id is not None:
            pieces += [bytes([len(self._raw_correlation_id)]), self._raw_correlation_id]
        return pieces


@pytest.mark.parametrize("kind", [kind for kind in HEADERS if kind != "type"])
@pytest.mark.parametrize("queue_type", ["quorum", "classic"])
def test_a_message_with_unreadable_headers_is_settled_beside_others(
    make_backend: MakeBackend, external: Any, queue: str, kind: str, queue_type: str
) -> None:
    backend, dead = make_backend(queue_type=queue_type), f"{queue}-dead"
    backend.awf_mq_ensure(queue, "work", None)
    backend.awf_mq_ensure(dead, "dead", None)
    held_before = _published(backend, external, queue, b"before", pika.BasicProperties(headers={"a": "1"}))
    odd = _published(backend, external, queue, b"\x00odd\xff", RawProperties(HEADERS[kind]))
    held_after = _published(backend, external, queue, b"after", None)

    assert (odd.body, odd.headers["n"], odd.deliveries) == (b"\x00odd\xff", "7", 1)
    assert backend.awf_mq_nack([Nack(delivery=odd, delay_s=0.1), Nack(delivery=held_before, delay_s=0.1)]) == [None] * 2
    retried = {each.body: each for each in _take(backend, queue, 2)}
    again = retried[b"\x00odd\xff"]
    assert (again.attempt, again.headers["n"], retried[b"before"].headers["a"]) == (2, "7", "1")
    dead_letter = DeadLetter(delivery=again, queue=dead, reason="max_attempts", error="no")
    assert backend.awf_mq_dead_letter([dead_letter]) == [None]
    assert backend.awf_mq_ack([Ack(delivery=each) for each in (held_after, retried[b"before"])]) == [None, None]

    (item,) = backend.awf_mq_browse(dead, 10, None).items
    assert (item.body, item.reason, item.attempt) == (b"\x00odd\xff", "max_attempts", 2)
    assert backend.awf_mq_move(dead, queue, [item.id], None) == 1
    assert [each.body for each in _take(backend, queue, 1)] == [b"\x00odd\xff"]
    assert backend.awf_mq_stats(queue).ready == 0


def test_a_correlation_id_that_is_no_text_is_absent(make_backend: MakeBackend, external: Any, queue: str) -> None:
    backend = make_backend()
    backend.awf_mq_ensure(queue, "work", None)

    odd = _published(backend, external, queue, b"odd", RawProperties(HEADERS["value"], correlation_id=b"\xff\xfe"))

    assert odd.correlation_id is None
    assert odd.headers == {"bytes": "\ufffd\ufffd", "n": "7"}
    assert backend.awf_mq_nack([Nack(delivery=odd, delay_s=0.1)]) == [None]
    (again,) = _take(backend, queue, 1)
    assert again.receipt.headers["bytes"] == b"\xff\xfe"


def test_a_message_with_unreadable_headers_can_be_accepted_before_its_run(
    make_backend: MakeBackend, external: Any, queue: str
) -> None:
    backend = make_backend(ack="on_accept")
    backend.awf_mq_ensure(queue, "work", None)
    _published(backend, external, queue, b"odd", RawProperties(HEADERS["deep"], correlation_id=b"\xff"))

    backend.awf_mq_close()

    (again,) = _take(make_backend(), queue, 1)
    assert (again.body, again.headers["n"], again.deliveries) == (b"odd", "7", 2)


@pytest.mark.parametrize("kind", HEADERS)
def test_headers_beside_an_unreadable_one_are_read(kind: str) -> None:
    raw = b"".join(RawProperties(HEADERS[kind]).encode())

    headers = decode(raw).headers

    assert headers["n"] == 7
    assert not {"late", "inside", "deep", "keys", "unknown"} & set(headers)


def test_every_type_that_the_client_library_writes_is_read_back() -> None:
    from datetime import UTC, datetime
    from decimal import Decimal

    headers = {
        "text": "ü",
        "bytes": b"\xff",
        "yes": True,
        "small": 1,
        "large": 1 << 40,
        "none": None,
        "decimal": Decimal("-1.25"),
        "time": datetime(2026, 1, 2, tzinfo=UTC),
        "list": [1, "a", [2]],
        "table": {"a": {}},
    }
    given_properties = pika.BasicProperties(
        **{name: name for name in ("content_type", "content_encoding", "correlation_id", "reply_to", "expiration")},
        **{name: name for name in ("message_id", "type", "user_id", "app_id", "cluster_id")},
        headers=headers,
        delivery_mode=2,
        priority=9,
        timestamp=1 << 40,
    )

    assert vars(decode(b"".join(given_properties.encode()))) == vars(given_properties)


def test_a_floating_point_number_becomes_text() -> None:
    raw = table((b"double", b"d" + struct.pack(">d", 1.5)), (b"float", b"f" + struct.pack(">f", -2.0)))

    assert decode(b"".join(RawProperties(raw).encode())).headers == {"double": "1.5", "float": "-2.0"}


@pytest.mark.parametrize(("depth", "is_read"), [(MAX_DEPTH, True), (MAX_DEPTH + 1, False)])
def test_a_value_is_read_up_to_the_greatest_depth(depth: int, is_read: bool) -> None:
    raw = b"".join(RawProperties(table((b"deep", nested(depth)))).encode())

    assert ("deep" in decode(raw).headers) == is_read


@given(st.binary(max_size=200))
def test_no_bytes_make_the_decoder_raise(raw: bytes) -> None:
    decode(raw)
    decode(struct.pack(">HI", pika.BasicProperties.FLAG_HEADERS, len(raw)) + raw)


def test_headers_that_do_not_fit_are_left_out_the_largest_first() -> None:
    headers = {"large": "x" * 100, "small": "x", "odd": object(), "n" * 256: 1}

    assert fitting(headers, 50) == {"small": "x"}
    assert fitting(headers, 500) == {"large": "x" * 100, "small": "x"}


def _published(backend: Any, external: Any, queue: str, body: bytes, properties: Any) -> Delivery:
    external.basic_publish("", queue, body, properties)
    (delivery,) = _take(backend, queue, 1)
    return delivery


def _take(backend: Any, queue: str, count: int) -> list[Delivery]:
    taken: list[Delivery] = []
    eventually(
        lambda: taken.extend(backend.awf_mq_consume(queue, count - len(taken), 0.2)) or len(taken) == count,
        10.0,
        what=f"{count} deliveries of {queue}",
    )
    return taken
