"""Numbers as Go's strconv reads and writes them, and what 64 bits hold.

Called by the parsers of both languages and wherever a number is shown: by printers, the JSON writer, error texts. Pure.
"""

from __future__ import annotations

import math
import re

INT_MIN, INT_MAX, UINT_MAX = -(2**63), 2**63 - 1, 2**64 - 1
_INTEGER = re.compile(r"[+-]?[0-9]+")
_DECIMAL = re.compile(r"[+-]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9_]+)?")
_HEXADECIMAL = re.compile(r"[+-]?0[xX]_?(?:[0-9a-fA-F][0-9a-fA-F_]*\.?[0-9a-fA-F_]*|\.[0-9a-fA-F_]+)[pP][+-]?[0-9_]+")
_SPECIAL = re.compile(r"[+-]?(?:inf|infinity)|nan", re.IGNORECASE)
_EXPONENT_FROM = 6
_FRACTION_BITS = 52


def parse_int(text: str) -> int | None:
    """A decimal 64-bit integer with an optional sign, or None: no spaces, no underscores, ASCII digits only."""
    if not _INTEGER.fullmatch(text):
        return None
    digits = text.lstrip("+-").lstrip("0")
    if len(digits) > 19:
        return None
    value = int(digits or "0") * (-1 if text[0] == "-" else 1)
    return value if INT_MIN <= value <= INT_MAX else None


def parse_float(text: str) -> float | None:
    """A float in any notation of Go (exponents, hexadecimal with `p`, inf, nan, `1_000`), or None.

    A number too large for a float is None as well.
    """
    if _SPECIAL.fullmatch(text):
        return float(text)
    try:
        if is_decimal(text):
            value = float(text)
        elif _HEXADECIMAL.fullmatch(text) and _underscores_separate_digits(text):
            value = float.fromhex(text.replace("_", ""))
        else:
            return None
    except (ValueError, OverflowError):
        return None
    return None if math.isinf(value) else value


def is_decimal(text: str) -> bool:
    """Whether `text` has the form of a decimal float, whatever its size."""
    return _DECIMAL.fullmatch(text) is not None


def _underscores_separate_digits(text: str) -> bool:
    """Whether each `_` stands between two digits, or between a base prefix and a digit."""
    return not re.search(r"_(?![0-9a-fA-F])|(?<![0-9a-fA-FxX])_", text)


def wrapped(value: int) -> int:
    """`value` as 64-bit arithmetic leaves it."""
    return value if INT_MIN <= value <= INT_MAX else (value - INT_MIN) % (UINT_MAX + 1) + INT_MIN


def truncated(value: int | float) -> int:
    """`value` cut to a 64-bit integer; what does not fit becomes the smallest one, as on today's processors."""
    if not isinstance(value, float):
        return wrapped(int(value))
    if value - value != 0 or not -(2.0**63) <= value < 2.0**63:
        return INT_MIN
    return int(value)


def format_float(value: float, verb: str, precision: int | None = None) -> str:
    """`value` by one of the verbs b e E f g G x X; no precision means the shortest text that reads back the same."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    sign = "-" if math.copysign(1.0, value) < 0 else ""
    return sign + _FORMATS[verb.lower()](abs(value), verb, precision)


def float_text(value: float) -> str:
    """`value` in its shortest form: `1.5`, `2`, `1e+06`, `1e-05`, `+Inf`, `-Inf`, `NaN`."""
    return format_float(value, "g")


def int_text(value: int) -> str:
    """An integer's digits; one too large for any of Go's integers is a float there."""
    if INT_MIN <= value <= UINT_MAX:
        return int.__repr__(value)
    try:
        return format_float(float(value), "g")
    except OverflowError:
        return "+Inf" if value > 0 else "-Inf"


def shortest_digits(value: float) -> tuple[str, int]:
    """The shortest significant digits of a finite `value` >= 0, and where the decimal point stands among them."""
    mantissa, _, exponent = repr(value).partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = "" if fraction == "0" else fraction
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    return (digits, point) if digits else ("0", 1)


def _scientific(value: float, verb: str, precision: int | None) -> str:
    if precision is not None:
        return f"{value:.{precision}{verb}}"
    digits, point = shortest_digits(value)
    return _with_exponent(digits, point - 1 if value else 0, verb)


def _with_exponent(digits: str, exponent: int, verb: str) -> str:
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{digits[0]}{fraction}{verb}{'-' if exponent < 0 else '+'}{abs(exponent):02d}"


def _plain(value: float, _verb: str, precision: int | None) -> str:
    if precision is not None:
        return f"{value:.{precision}f}"
    return _positional(*shortest_digits(value))


def _positional(digits: str, point: int) -> str:
    if point <= 0:
        return "0" if digits == "0" else "0." + "0" * -point + digits
    whole, fraction = digits[:point].ljust(point, "0"), digits[point:]
    return f"{whole}.{fraction}" if fraction else whole


def _general(value: float, verb: str, precision: int | None) -> str:
    if precision is None:
        digits, point = shortest_digits(value)
        limit = _EXPONENT_FROM
    else:
        digits, point = _rounded_digits(value, max(precision, 1))
        limit = max(precision, 1)
        if limit > len(digits) >= point:
            limit = len(digits)
    exponent = point - 1 if value else 0
    if exponent < -4 or exponent >= limit:
        return _with_exponent(digits, exponent, "E" if verb == "G" else "e")
    return _positional(digits, point)


def _rounded_digits(value: float, count: int) -> tuple[str, int]:
    if not value:
        return "0", 1
    # No double has more significant digits than this; asking for more only costs time.
    mantissa, _, exponent = f"{value:.{min(count, 800) - 1}e}".partition("e")
    digits = mantissa.replace(".", "").rstrip("0")
    return digits or "0", int(exponent) + 1


def _binary(value: float, _verb: str, _precision: int | None) -> str:
    fraction, exponent = math.frexp(value)
    shift = max(exponent - _FRACTION_BITS - 1, -1074)
    return f"{int(math.ldexp(fraction, exponent - shift))}p{'-' if shift < 0 else '+'}{abs(shift)}"


def _hexadecimal(value: float, verb: str, precision: int | None) -> str:
    fraction, exponent = math.frexp(value)
    bits, exponent = (int(fraction * 2 ** (_FRACTION_BITS + 1)), exponent - 1) if value else (0, 0)
    if precision is not None and precision < 13:
        drop = 4 * (13 - precision)
        bits = round(bits / 2**drop) << drop
        if bits >= 2 ** (_FRACTION_BITS + 1):
            bits, exponent = bits >> 1, exponent + 1
    digits = f"{bits & (2**_FRACTION_BITS - 1):013x}"
    digits = digits.rstrip("0") if precision is None else digits[:precision].ljust(precision, "0")
    point = f".{digits}" if digits else ""
    text = f"0x{bits >> _FRACTION_BITS}{point}p{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
    return text.upper() if verb == "X" else text


_FORMATS = {"e": _scientific, "f": _plain, "g": _general, "b": _binary, "x": _hexadecimal}
