"""Text of untrusted producers made safe to show: what a reader can't see, or what drives a terminal, is escaped. Pure.

Called wherever text leaves for a terminal, a log or a JSON document that people read.
"""

from __future__ import annotations

import re

# Controls, format characters (bidirectional overrides, zero-width characters, tags), lone surrogates, separators of
# lines and paragraphs, and blank characters. As ranges: to ask `unicodedata` takes 0.1 s at every start.
_UNSEEN = (
    r"\x7f-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5\u180e"
    r"\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufeff\uffa0\ufff9-\ufffb"
    r"\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_HIDDEN = re.compile(rf"[\x00-\x1f{_UNSEEN}]")
_HIDDEN_BUT_LINES = re.compile(rf"[\x00-\x08\x0b-\x1f{_UNSEEN}]")
_HIDDEN_IN_JSON = re.compile(rf"[{_UNSEEN}]")


def visible(text: str) -> str:
    """`text` on one line, with `\\x1b`, `\\u202e` and `\\U000e0041` in place of what can't be seen."""
    return text if text.isascii() and text.isprintable() else _HIDDEN.sub(_escaped, text)


def visible_lines(text: str) -> str:
    """As `visible`, and line feeds and tabs stay."""
    return text if text.isascii() and text.isprintable() else _HIDDEN_BUT_LINES.sub(_escaped, text)


def visible_json(text: str) -> str:
    """A JSON document, indented or not, with `\\u…` escapes in its texts in place of what can't be seen."""
    # JSON itself escapes only what is below U+0020.
    return text if text.isascii() and "\x7f" not in text else _HIDDEN_IN_JSON.sub(_escaped_json, text)


def _escaped(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _escaped_json(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x10000:
        return f"\\u{code:04x}"
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
