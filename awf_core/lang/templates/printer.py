"""Print a value by one verb as Go's fmt does: padding, signs, nested values, Stringers, unfitting verbs.

Called by `formatting.py` and for every action that prints. One Printer serves one call and one thread; it writes to
nothing but itself. Raises LimitError when the text grows too large.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from awf_core.lang.go.numbers import format_float, int_text
from awf_core.lang.go.quoting import can_backquote, is_printable, quoted, to_bytes
from awf_core.lang.templates.errors import check_pieces, check_size
from awf_core.lang.templates.values import INVALID, Kind, MapView, Opaque, Struct, Value, kind_of, map_items, type_name

_DIGITS = {"d": "d", "v": "d", "b": "b", "o": "o", "O": "o", "x": "x", "X": "X"}
_PREFIXES = {"b": "0b", "x": "0x", "X": "0X"}
_STRINGER_VERBS = frozenset("vsxXq")
_ADDRESS = 0xC000000000


class Printer:
    """Flags of the directive being printed, and the text so far."""

    __slots__ = (
        "current", "erroring", "minus", "parts", "plus", "plus_v", "precision", "sharp", "sharp_v", "size", "space",
        "width", "zero",
    )  # fmt: skip

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.size = 0
        self.current: Value = None
        self.erroring = False
        self.clear()

    def clear(self) -> None:
        """Forget all flags, for the next directive."""
        self.plus = self.minus = self.sharp = self.space = self.zero = self.plus_v = self.sharp_v = False
        self.width = 0
        self.precision: int | None = None

    def write(self, text: str) -> None:
        """Append `text` as it is."""
        self.size += len(text)
        check_size(self.size)
        check_pieces(len(self.parts))
        self.parts.append(text)

    def argument(self, value: Value, verb: str) -> None:
        """Print an argument of a call by `verb`."""
        self.current = value
        if value is None or value is INVALID:
            return self.pad("<nil>") if verb in "Tv" else self._bad_verb(value, verb)
        if verb == "T":
            return self._string(type_name(value), "s")
        if verb == "p":
            return self._pointer(value, verb)
        return self._value(value, verb, 0)

    def pad(self, text: str) -> None:
        """Append `text`, filled to the width."""
        missing = self.width - len(text)
        if missing <= 0:
            self.write(text)
        elif self.minus:
            self.write(text + " " * missing)
        else:
            self.write(("0" if self.zero else " ") * missing + text)

    def _value(self, value: Value, verb: str, depth: int, *, is_exported: bool = True) -> None:
        if depth and is_exported:
            self.current = value
        if verb in _STRINGER_VERBS and is_exported and self._as_stringer(value, verb):
            return
        writer = self._writers.get(kind_of(value))
        if writer is None:
            self.write("interface {}(nil)" if self.sharp_v else "<nil>")
        else:
            writer(self, value, verb, depth)

    def _as_stringer(self, value: Value, verb: str) -> bool:
        if self.erroring or self.sharp_v or not isinstance(value, Opaque):
            return False
        self._string(value.go_string(), verb)
        return True

    def _bad_verb(self, value: Value, verb: str) -> None:
        self.erroring = True
        shown = self.current if self.current is not None else value
        self.write(f"%!{verb}(")
        if shown is None or shown is INVALID:
            self.write("<nil>")
        else:
            self.write(type_name(shown) + "=")
            self._value(shown, "v", 0)
        self.write(")")
        self.erroring = False

    # scalars

    def _bool(self, value: bool, verb: str, _depth: int) -> None:  # noqa: FBT001 - the value is what is printed
        if verb in "tv":
            self.pad("true" if value else "false")
        else:
            self._bad_verb(value, verb)

    def _integer(self, value: int, verb: str, _depth: int) -> None:
        if verb in _DIGITS:
            self._digits(int(value), verb)
        elif verb == "c":
            self.pad(_char(value))
        elif verb == "q":
            self.pad(quoted(_char(value), mark="'", ascii_only=self.plus))
        elif verb == "U":
            self._code_point(value)
        else:
            self._bad_verb(value, verb)

    def _digits(self, value: int, verb: str) -> None:
        if not -(2**63) <= value < 2**64:
            return self.pad(int_text(value))
        sign = "-" if value < 0 else "+" if self.plus else " " if self.space else ""
        least = self.precision
        if least == 0 and value == 0:
            return self._pad_with_spaces("")
        if least is None:
            least = self.width - len(sign) if self.zero and not self.minus else 0
        digits = format(abs(value), _DIGITS[verb]).rjust(least, "0")
        if self.sharp and verb in "oO":
            digits = digits if digits[0] == "0" else "0" + digits
        prefix = "0o" if verb == "O" else _PREFIXES.get(verb, "") if self.sharp else ""
        return self._pad_with_spaces(sign + prefix + digits)

    def _pad_with_spaces(self, text: str) -> None:
        self.zero, kept = False, self.zero
        self.pad(text)
        self.zero = kept

    def _code_point(self, value: int) -> None:
        text = f"U+{value % 2**64:04X}"
        if self.precision is not None and self.precision > 4:
            text = "U+" + text[2:].rjust(self.precision, "0")
        char = _char(value)
        if self.sharp and value == ord(char) and is_printable(char):
            text += f" '{char}'"
        self._pad_with_spaces(text)

    def _float(self, value: float, verb: str, _depth: int) -> None:
        if verb == "v":
            self._real(value, "g", None)
        elif verb in "bgGxX":
            self._real(value, verb, None)
        elif verb in "feEF":
            self._real(value, "f" if verb == "F" else verb, 6)
        else:
            self._bad_verb(value, verb)

    def _real(self, value: float, verb: str, precision: int | None) -> None:
        number = format_float(value, verb, precision if self.precision is None else self.precision)
        sign = "-" if number[0] == "-" else "+" if self.plus else " " if self.space else ""
        number = number.lstrip("+-")
        if number[0] in "IN":
            sign = sign or ("+" if number == "Inf" else "")
            return self._pad_with_spaces(sign + number)
        if self.sharp and verb in "gGeEf":
            number = _with_point(number, verb, self.precision)
        if self.zero and not self.minus and sign:
            return self.write(sign + number.rjust(self.width - len(sign), "0"))
        return self.pad(sign + number)

    def _complex(self, value: complex, verb: str, _depth: int) -> None:
        if verb not in "vbgGxXfFeE":
            self._bad_verb(value, verb)
            return
        kept = self.plus
        self.write("(")
        self._float(value.real, verb, 0)
        self.plus = True
        self._float(value.imag, verb, 0)
        self.write("i)")
        self.plus = kept

    def _string(self, value: str, verb: str, _depth: int = 0) -> None:
        if verb == "s" or (verb == "v" and not self.sharp_v):
            self.pad(value if self.precision is None else value[: self.precision])
        elif verb in "qv":
            self._quoted(value if self.precision is None else value[: self.precision])
        elif verb in "xX":
            self._hex(to_bytes(value), verb)
        else:
            self._bad_verb(value, verb)

    def _quoted(self, value: str) -> None:
        check_size(len(value))
        if self.sharp and can_backquote(value):
            self.pad(f"`{value}`")
        else:
            self.pad(quoted(value, ascii_only=self.plus))

    def _hex(self, data: bytes, verb: str) -> None:
        check_size(2 * len(data))
        text = data[: self.precision].hex(" ") if self.space else data[: self.precision].hex()
        if self.sharp and text:
            text = "0x" + text.replace(" ", " 0x")
        self.pad(text.upper() if verb == "X" else text)

    # composites

    def _list(self, value: Value, verb: str, depth: int) -> None:
        self.write(type_name(value) + "{" if self.sharp_v else "[")
        for index, item in enumerate(value):
            if index:
                self.write(", " if self.sharp_v else " ")
            self._value(item, verb, depth + 1)
        self.write("}" if self.sharp_v else "]")

    def _map(self, value: Value, verb: str, depth: int) -> None:
        if self.sharp_v and type(value) is MapView and value.is_nil:
            return self.write(type_name(value) + "(nil)")
        self.write(type_name(value) + "{" if self.sharp_v else "map[")
        for index, (key, item) in enumerate(map_items(value)):
            if index:
                self.write(", " if self.sharp_v else " ")
            self._value(key, verb, depth + 1)
            self.write(":")
            self._value(item, verb, depth + 1)
        return self.write("}" if self.sharp_v else "]")

    def _struct(self, value: Value, verb: str, depth: int) -> None:
        self.write(type_name(value) + "{" if self.sharp_v else "{")
        for index, (name, item) in enumerate(_fields(value)):
            if index:
                self.write(", " if self.sharp_v else " ")
            if self.plus_v or self.sharp_v:
                self.write(name + ":")
            self._value(item, verb, depth + 1, is_exported=isinstance(value, Struct))
        self.write("}")

    def _pointer(self, value: Value, verb: str, depth: int = 1) -> None:
        target = value.target if kind_of(value) == Kind.POINTER else value
        if depth == 0 and target is not None:
            self.write("&")
            return self._value(target, verb, 1)
        if kind_of(value) not in (Kind.POINTER, Kind.MAP, Kind.SLICE) or verb not in "vp":
            return self._bad_verb(value, verb)
        if target is None:
            return self.pad("<nil>" if verb == "v" else "%!p(nil)")
        return self.pad(hex(_ADDRESS + id(target) % 2**32))

    def _other(self, value: Value, verb: str, _depth: int) -> None:
        self._string(str(value), verb)

    _writers: ClassVar[dict[int, Callable[[Printer, Value, str, int], None]]] = {
        Kind.BOOL: _bool,
        Kind.INT: _integer,
        Kind.UINT: _integer,
        Kind.FLOAT: _float,
        Kind.COMPLEX: _complex,
        Kind.STRING: _string,
        Kind.SLICE: _list,
        Kind.MAP: _map,
        Kind.STRUCT: _struct,
        Kind.POINTER: _pointer,
        Kind.OTHER: _other,
    }


def _fields(value: Value) -> list[tuple[str, Value]]:
    if isinstance(value, Struct):
        return [(name, value.get(name)) for name in value.type.fields]
    return list(zip(value.hidden_fields, value.hidden_values(), strict=False))


def _char(value: int) -> str:
    return chr(value) if 0 <= value <= 0x10FFFF and not 0xD800 <= value < 0xE000 else "�"


def _with_point(number: str, verb: str, precision: int | None) -> str:
    """`number` with a decimal point, and for g with the trailing zeros that belong to the precision."""
    mantissa, mark, exponent = number.partition("E" if "E" in number else "e")
    if "." not in mantissa:
        mantissa += "."
    if verb in "gG":
        wanted = 6 if precision is None else max(precision, 1)
        significant = len(mantissa.replace(".", "").lstrip("0")) or 1
        mantissa += "0" * (wanted - significant)
    return mantissa + mark + exponent
