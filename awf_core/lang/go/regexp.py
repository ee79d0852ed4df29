"""Regular expressions of the workflow language: RE2, with Go's error texts.

Called by input validation and by the operator `matches`. Linear in the length of the text, whatever the pattern. The
library is imported at the first use.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

_GO_WORDS = (
    ("missing ]", "missing closing ]"),
    ("missing )", "missing closing )"),
    ("trailing \\", "trailing backslash at end of expression"),
    ("no argument for repetition operator", "missing argument to repetition operator"),
    ("invalid repetition size", "invalid repeat count"),
    ("bad repetition operator", "invalid nested repetition operator"),
    ("invalid perl operator", "invalid or unsupported Perl syntax"),
    ("invalid named capture group", "invalid named capture"),
    ("pattern too large - compile failed", "expression too large"),
    ("unexpected )", "unexpected )"),
)
"""RE2's beginning of a message, and Go's. Others are the same in both."""


class PatternError(ValueError):
    """A pattern RE2 does not know, in Go's words."""


def matches(pattern: str, text: str) -> bool:
    """Whether `pattern` is found anywhere in `text`. Raises PatternError. Thread-safe."""
    return _compiled(pattern).search(text.encode("utf-8", "surrogatepass")) is not None


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> Any:
    import re2

    options = re2.Options()
    # Left on, RE2 writes every bad pattern to stderr itself.
    options.log_errors = False
    try:
        return re2.compile(pattern.encode("utf-8", "surrogatepass"), options)
    except re2.error as error:
        raise PatternError(_in_go_words(error.args[0])) from None


def _in_go_words(message: bytes | str) -> str:
    text = message.decode("utf-8", "replace") if isinstance(message, bytes) else str(message)
    for prefix, words in _GO_WORDS:
        if text.startswith(prefix):
            return _sentence(words, text[len(prefix) :])
    what, _, where = text.partition(": ")
    return _sentence(what, where)


def _sentence(what: str, where: str) -> str:
    return f"error parsing regexp: {what}: `{where.removeprefix(': ')}`"
