"""The AMQP content header of a message: its properties and its table of headers, decoded and encoded. Pure.

The client library decodes it while it reads frames. There an error costs the connection with all its deliveries, and
the broker redelivers the message on the next connection. `decode` never raises: what can't be read is absent.
"""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pika import data
from pika import exceptions as px
from pika.spec import BasicProperties

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MAX_DEPTH = 32
"""Tables and arrays that are nested deeper can't be read."""
MAX_SHORT_BYTES = 255
UNREADABLE = (ValueError, OverflowError, OSError, ArithmeticError, LookupError, struct.error)
UNWRITABLE = (px.AMQPError, ValueError, TypeError, OverflowError, AssertionError, struct.error)

_NUMBERS = {
    ord(code): struct.Struct(f">{layout}")
    for code, layout in {
        "t": "?",
        "b": "b",
        "B": "B",
        "s": "h",
        "U": "h",
        "u": "H",
        "I": "i",
        "i": "I",
        "l": "q",
        "L": "q",
        "f": "f",
        "d": "d",
        "D": "Bi",
        "T": "Q",
    }.items()
}
_SIZED = frozenset(b"SxAF")
# In the order of the frame; the highest bit of the flags says whether the first is there, the next bit the second.
_FIELDS = (
    *("content_type", "content_encoding", "headers", "delivery_mode", "priority", "correlation_id", "reply_to"),
    *("expiration", "message_id", "timestamp", "type", "user_id", "app_id", "cluster_id"),
)


def decode(raw: bytes) -> Any:
    """The properties that `raw` holds, as the client library's object. Unreadable properties and headers are absent.

    A floating-point number becomes text, since the library can't write one. A string that is not UTF-8 is absent where
    it is a property or a name, and bytes where it is a header's value.
    """
    properties = BasicProperties()
    try:
        flags, offset = _flags(raw)
        for index, name in enumerate(_FIELDS):
            if flags & 1 << 15 - index:
                value, offset = _property(name, raw, offset)
                setattr(properties, name, value)
    except UNREADABLE:
        pass  # cut short: the properties that came before are there
    return properties


def encode(properties: Any) -> bytes:
    """`properties` as they go into a frame. Raises one of UNWRITABLE."""
    return b"".join(properties.encode())


def fitting(headers: Mapping[str, object], max_bytes: int) -> dict[str, object]:
    """Those of `headers` that can be written and fit into `max_bytes` together, the smallest first."""
    sizes = {name: size for name, value in headers.items() if (size := _header_size(name, value)) is not None}
    fits = set()
    for name in sorted(sizes, key=sizes.__getitem__):
        max_bytes -= sizes[name]
        if max_bytes < 0:
            break
        fits.add(name)
    return {name: value for name, value in headers.items() if name in fits}


def is_short(text: str | None) -> bool:
    """Whether `text` fits where AMQP wants a short string."""
    try:
        return text is not None and len(text.encode()) <= MAX_SHORT_BYTES and "\0" not in text
    except UnicodeEncodeError:
        return False


def _header_size(name: str, value: object) -> int | None:
    """Bytes that a header takes in a table; None where it can't be written."""
    pieces: list[bytes] = []
    try:
        return int(data.encode_short_string(pieces, name) + data.encode_value(pieces, value))
    except UNWRITABLE:
        return None


def _flags(raw: bytes) -> tuple[int, int]:
    flags, offset, is_last = 0, 0, False
    while not is_last:
        (word,) = struct.unpack_from(">H", raw, offset)
        flags |= word << (8 * offset)
        offset += 2
        is_last = not word & 1
    return flags, offset


def _property(name: str, raw: bytes, offset: int) -> tuple[object, int]:
    if name == "headers":
        start = offset + 4
        end = start + int.from_bytes(raw[offset:start])
        return _headers(raw[start:end]), end
    if name == "timestamp":
        return int.from_bytes(raw[offset : offset + 8]), offset + 8
    if name in ("delivery_mode", "priority"):
        return raw[offset], offset + 1
    end = offset + 1 + raw[offset]
    try:
        return raw[offset + 1 : end].decode(), end
    except UnicodeDecodeError:
        return None, end


def _headers(table: bytes) -> dict[str, object]:
    """The headers that can be read. After a value whose length is unknown none can be found."""
    found: dict[str, object] = {}
    try:
        for name, code, payload in _entries(table):
            try:
                found[name.decode()] = _value(code, payload, depth=1)
            except UNREADABLE:
                continue
    except UNREADABLE:
        pass
    return found


def _entries(table: bytes) -> Iterator[tuple[bytes, int, bytes]]:
    """Name, type code and payload of each entry. Raises where an entry's end can't be found."""
    offset = 0
    while offset < len(table):
        start = offset + 1 + table[offset]
        name = table[offset + 1 : start]
        code, payload, offset = _next_value(table, start)
        yield name, code, payload


def _next_value(encoded: bytes, offset: int) -> tuple[int, bytes, int]:
    """Type code and payload of the value at `offset`, and where the next one begins."""
    code, start = encoded[offset], offset + 1
    if code in _SIZED:
        start += 4
        end = start + int.from_bytes(encoded[offset + 1 : start])
    else:
        end = start if code == ord("V") else start + _NUMBERS[code].size
    if end > len(encoded):
        raise ValueError("a value goes beyond the end")
    return code, encoded[start:end], end


def _value(code: int, payload: bytes, *, depth: int) -> object:
    if depth > MAX_DEPTH:
        raise ValueError("nested too deep")
    match chr(code):
        case "S":
            return _text(payload)
        case "x":
            return payload
        case "V":
            return None
        case "A":
            return list(_items(payload, depth=depth + 1))
        case "F":
            return {name.decode(): _value(inner, part, depth=depth + 1) for name, inner, part in _entries(payload)}
        case _:
            return _number(code, _NUMBERS[code].unpack(payload))


def _items(array: bytes, *, depth: int) -> Iterator[object]:
    offset = 0
    while offset < len(array):
        code, payload, offset = _next_value(array, offset)
        yield _value(code, payload, depth=depth)


def _number(code: int, unpacked: tuple[Any, ...]) -> object:
    match chr(code):
        case "f" | "d":
            return repr(unpacked[0])
        case "D":
            digits, number = unpacked
            return Decimal(number).scaleb(-digits)
        case "T":
            return datetime.fromtimestamp(unpacked[0], UTC)
        case _:
            return unpacked[0]


def _text(payload: bytes) -> str | bytes:
    try:
        return payload.decode()
    except UnicodeDecodeError:
        return payload
