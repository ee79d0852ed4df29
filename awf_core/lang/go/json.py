"""The scalars of JSON as Go's encoding/json writes them: `<>&` escaped, floats in Go's notation.

Called by the JSON writers of both languages, which differ in layout and in what they can hold. Pure.
"""

from __future__ import annotations

import math
import re

from awf_core.lang.go.numbers import format_float

_SPECIAL = re.compile('[\x00-\x1f"\\\\<>&\u2028\u2029]')
_SURROGATE = re.compile("[\ud800-\udfff]")
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f", '"': '\\"', "\\": "\\\\"}


def json_string(text: str, *, keeps_bytes: bool = False) -> str:
    """`text` as a JSON string. Bytes that are no UTF-8 become U+FFFD, unless it `keeps_bytes`."""
    written = _SPECIAL.sub(lambda match: _escaped(match[0]), text)
    if not keeps_bytes:
        written = _SURROGATE.sub(lambda _: "\\ufffd", written)
    return f'"{written}"'


def _escaped(char: str) -> str:
    return _SHORT.get(char) or f"\\u{ord(char):04x}"


def json_float(value: float) -> str:
    """`value` as a JSON number. Raises ValueError in Go's words for infinities and NaN."""
    if not math.isfinite(value):
        raise ValueError(f"json: unsupported value: {format_float(value, 'g')}")
    if value and not 1e-6 <= abs(value) < 1e21:
        mantissa, _, exponent = format_float(value, "e").partition("e")
        return f"{mantissa}e{exponent[0]}{exponent[1:].lstrip('0')}"
    return format_float(value, "f")
