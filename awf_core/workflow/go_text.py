"""Values spelled as the original tool spells them: quoting, floats, type names, default printing.

Called wherever a text of the workflow language shows a value. Pure; takes the plain values that YAML and JSON give.
"""

from __future__ import annotations

import math
from decimal import Decimal

_ESCAPES = {
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
    "\\": "\\\\",
    '"': '\\"',
}
_EXPONENT_FORM_FROM = 6
_FIRST_UNSIGNED = 1 << 63


def quoted(text: str) -> str:
    """`text` in double quotes, with everything that does not print escaped."""
    return '"' + "".join(_escaped(char) for char in text) + '"'


def _escaped(char: str) -> str:
    if (escape := _ESCAPES.get(char)) is not None:
        return escape
    if char.isprintable():
        return char
    code = ord(char)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def float_text(number: float) -> str:
    """`number` in its shortest form: `1.5`, `2`, `1e+06`, `1e-05`, `+Inf`, `-Inf`, `NaN`."""
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "+Inf" if number > 0 else "-Inf"
    sign, digit_tuple, scale = Decimal(repr(number)).as_tuple()
    digits = "".join(map(str, digit_tuple)).lstrip("0")
    exponent = len(digits) + int(scale) - 1
    digits = digits.rstrip("0")
    text = _positional(digits, exponent) if -5 < exponent < _EXPONENT_FORM_FROM else _scientific(digits, exponent)
    return "-" + text if sign else text


def _positional(digits: str, exponent: int) -> str:
    if not digits:
        return "0"
    if exponent < 0:
        return "0." + "0" * (-exponent - 1) + digits
    whole = digits[: exponent + 1].ljust(exponent + 1, "0")
    fraction = digits[exponent + 1 :]
    return f"{whole}.{fraction}" if fraction else whole


def _scientific(digits: str, exponent: int) -> str:
    mantissa = f"{digits[0]}.{digits[1:]}" if len(digits) > 1 else digits
    return f"{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"


def type_name(value: object) -> str:
    """The original's name for the type of `value`: `string`, `int`, `float64`, `bool`, `[]interface {}`, …"""
    match value:
        case None:
            return "<nil>"
        case bool():
            return "bool"
        case int():
            return "int" if value < _FIRST_UNSIGNED else "uint64"
        case float():
            return "float64"
        case list() | tuple():
            return "[]interface {}"
        case dict():
            texts_only = all(isinstance(key, str) for key in value)
            return "map[string]interface {}" if texts_only else "map[interface {}]interface {}"
        case _:
            return "string"


def printed(value: object) -> str:
    """`value` in default printing: `[a b]`, `map[k:1]` with sorted keys, `<nil>`, `true`."""
    match value:
        case None:
            return "<nil>"
        case bool():
            return "true" if value else "false"
        case float():
            return float_text(value)
        case list() | tuple():
            return f"[{' '.join(printed(item) for item in value)}]"
        case dict():
            return f"map[{' '.join(f'{printed(key)}:{printed(value[key])}' for key in sorted(value, key=printed))}]"
        case _:
            return str(value)
