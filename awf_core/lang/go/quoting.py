"""Go's quoted strings: reading literals of a template, writing `%q` and names in error texts.

Called by both languages and by all code that puts a name into an error. It never raises but ValueError.
A byte that is no UTF-8 is held as a lone surrogate (`surrogateescape`), as everywhere in a run.
"""

from __future__ import annotations

import re

_NAMED = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92, '"': 34, "'": 39}
_SHORT = {7: "\\a", 8: "\\b", 12: "\\f", 10: "\\n", 13: "\\r", 9: "\\t", 11: "\\v", 92: "\\\\"}
_ESCAPE = re.compile(
    r"\\(?:(?P<named>[abfnrtv\\\"'])|x(?P<hex>[0-9a-fA-F]{2})|(?P<octal>[0-7]{3})"
    r"|u(?P<u4>[0-9a-fA-F]{4})|U(?P<u8>[0-9a-fA-F]{8}))"
)
SYNTAX = "invalid syntax"
_ESCAPED_BYTE = range(0xDC80, 0xDD00)


def to_bytes(text: str) -> bytes:
    """The UTF-8 of `text`, its raw bytes put back; a surrogate that stands for no byte becomes U+FFFD."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        kept = "".join("�" if 0xD800 <= ord(c) < 0xE000 and ord(c) not in _ESCAPED_BYTE else c for c in text)
        return kept.encode("utf-8", "surrogateescape")


def from_bytes(data: bytes) -> str:
    """Text of UTF-8 bytes; whatever is no UTF-8 is kept as lone surrogates."""
    return data.decode("utf-8", "surrogateescape")


def unquote(literal: str) -> str:
    """The text a quoted or raw string literal stands for. Raises ValueError as Go words it."""
    if literal[0] == "`":
        return literal[1:-1].replace("\r", "")
    return _unescape(literal[1:-1], forbidden="'")


def unquote_char(literal: str) -> int:
    """The code point of a character literal such as `'a'`. Raises ValueError as Go words it."""
    body = literal[1:-1]
    match = _ESCAPE.match(body)
    length = match.end() if match else 1
    if not body or (body[0] == "\\" and (match is None or match["named"] == '"')):
        raise ValueError(SYNTAX)
    if len(body) != length:
        raise ValueError(f"malformed character constant: {literal}")
    return ord(body) if match is None else _code(match)


def _unescape(body: str, *, forbidden: str) -> str:
    if "\\" not in body:
        return body
    pieces: list[bytes] = []
    position = 0
    while (start := body.find("\\", position)) >= 0:
        match = _ESCAPE.match(body, start)
        if match is None or match["named"] == forbidden:
            raise ValueError(SYNTAX)
        pieces += to_bytes(body[position:start]), _escaped_bytes(match)
        position = match.end()
    pieces.append(to_bytes(body[position:]))
    return from_bytes(b"".join(pieces))


def _escaped_bytes(match: re.Match[str]) -> bytes:
    code = _code(match)
    if match["hex"] or match["octal"]:
        return bytes([code])
    return chr(code).encode()


def _code(match: re.Match[str]) -> int:
    if match["named"]:
        return _NAMED[match["named"]]
    digits, base, top = next(
        (match[name], base, top)
        for name, base, top in (("hex", 16, 255), ("octal", 8, 255), ("u4", 16, 0x10FFFF), ("u8", 16, 0x10FFFF))
        if match[name]
    )
    code = int(digits, base)
    if code > top or 0xD800 <= code < 0xE000:
        raise ValueError(SYNTAX)
    return code


def is_printable(char: str) -> bool:
    """Whether Go's `unicode.IsPrint` holds: letters, digits, marks, punctuation, symbols and the ASCII space."""
    return char.isprintable()


def quoted(text: str, *, mark: str = '"', ascii_only: bool = False) -> str:
    """`text` as a Go literal between two `mark`s."""
    if text.isprintable() and "\\" not in text and mark not in text and (text.isascii() or not ascii_only):
        return mark + text + mark
    return mark + "".join(_quoted_char(char, mark, ascii_only=ascii_only) for char in text) + mark


def _quoted_char(char: str, mark: str, *, ascii_only: bool) -> str:
    code = ord(char)
    if char == mark:
        return "\\" + mark
    if code in _SHORT:
        return _SHORT[code]
    if code in _ESCAPED_BYTE:
        return f"\\x{code - 0xDC00:02x}"
    if 0xD800 <= code < 0xE000:
        return "�" if not ascii_only else "\\ufffd"
    if is_printable(char) and (code < 0x80 or not ascii_only):
        return char
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def can_backquote(text: str) -> bool:
    """Whether `text` can stand between backquotes on one line."""
    return not any(c in "`\x7f\ufeff" or (c < " " and c != "\t") or 0xD800 <= ord(c) < 0xE000 for c in text)
