"""Escapes a template can ask for: shell words (`escape`), HTML, JavaScript, URL queries.

Called by the function table only. Pure text to text.
"""

from __future__ import annotations

import re
from urllib.parse import quote_plus

from awf_core.lang.go.quoting import is_printable, to_bytes

_SHELL_SPECIAL = re.compile(r"[ \t\n\"'\\$`!*?\[\](){}<>|&;]")
_HTML = str.maketrans({'"': "&#34;", "'": "&#39;", "&": "&amp;", "<": "&lt;", ">": "&gt;", "\0": "�"})
_JS_SPECIAL = re.compile(r"""[\\'"<>&=\x00-\x1f]|[^\x00-\x7f]""")
_JS_SHORT = {"\\": "\\\\", "'": "\\'", '"': '\\"'}


def shell_word(text: str) -> str:
    """`text` as one word of a POSIX shell, in single quotes where it needs them.

    The original leaves `#`, `~` and `=` bare, and so does this: workflows compare these texts.
    """
    if text and not _SHELL_SPECIAL.search(text):
        return text
    return "'" + text.replace("'", "'\\''") + "'"


def html(text: str) -> str:
    """`text` for HTML content or a quoted attribute."""
    return text.translate(_HTML)


def javascript(text: str) -> str:
    """`text` for inside a JavaScript string literal."""
    return _JS_SPECIAL.sub(lambda match: _js_char(match[0]), text)


def _js_char(char: str) -> str:
    if char in _JS_SHORT:
        return _JS_SHORT[char]
    code = ord(char)
    if 0xD800 <= code < 0xE000:
        return char  # a byte that is no text stays one
    return char if code > 0x7F and is_printable(char) else f"\\u{code:04X}"


def url_query(text: str) -> str:
    """`text` for the query of a URL, a space as `+`."""
    return quote_plus(to_bytes(text), safe="")
