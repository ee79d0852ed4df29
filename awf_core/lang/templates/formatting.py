"""Go's Sprint, Sprintln and Sprintf, and how an action prints its value.

Called by the functions print, println, printf and escape, and by every action. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from awf_core.lang.go.numbers import int_text
from awf_core.lang.templates.printer import Printer
from awf_core.lang.templates.values import INVALID, Kind, Pointer, Value, kind_of, type_name

_FLAGS = {"+": "plus", "-": "minus", "#": "sharp", " ": "space", "0": "zero"}
_MAX_NUMBER = 1_000_000


def printed(value: Value) -> str:
    """`value` as an action prints it: pointers followed, no value shown as such."""
    kind = type(value)
    if kind is str:
        return value  # type: ignore[no-any-return]
    if kind is int:
        return int_text(value)
    return sprint([printable(value)])


def printable(value: Value) -> Value:
    """What is behind a pointer; a text for no value."""
    if value is INVALID or value is None:
        return "<no value>"
    if type(value) is Pointer and value.target is not None:
        return value.target
    return value


def sprint(values: Sequence[Value]) -> str:
    """The values by `%v`, with a space between two of which neither is a string."""
    printer = Printer()
    was_string = True
    for index, value in enumerate(values):
        is_string = kind_of(value) == Kind.STRING
        if index and not is_string and not was_string:
            printer.write(" ")
        printer.argument(value, "v")
        was_string = is_string
    return "".join(printer.parts)


def sprintln(values: Sequence[Value]) -> str:
    """The values by `%v` with a space between any two, and a line end."""
    printer = Printer()
    for index, value in enumerate(values):
        if index:
            printer.write(" ")
        printer.argument(value, "v")
    printer.write("\n")
    return "".join(printer.parts)


def sprintf(pattern: str, values: Sequence[Value]) -> str:
    """The values by the directives of `pattern`; what doesn't fit is said in the text, as in Go."""
    return _Directives(pattern, values).run()


class _Directives:
    def __init__(self, pattern: str, values: Sequence[Value]) -> None:
        self.pattern = pattern
        self.values = values
        self.position = 0
        self.argument = 0
        self.is_indexed = False
        self.is_good = True
        self.is_reordered = False
        self.printer = Printer()

    def run(self) -> str:
        while self.position < len(self.pattern):
            percent = self.pattern.find("%", self.position)
            end = len(self.pattern) if percent < 0 else percent
            self.printer.write(self.pattern[self.position : end])
            self.position = end + 1
            if percent >= 0:
                self._directive()
        self._extra()
        return "".join(self.printer.parts)

    def _directive(self) -> None:
        self.printer.clear()
        self.is_good, self.is_indexed = True, False
        self._flags()
        self._index()
        self._width()
        if self._peek() == ".":
            self.position += 1
            self._precision()
        if not self.is_indexed:
            self._index()
        verb = self._peek()
        self.position += 1
        self._print(verb)

    def _peek(self) -> str:
        return self.pattern[self.position : self.position + 1]

    def _flags(self) -> None:
        while (flag := self._peek()) and flag in _FLAGS:
            setattr(self.printer, _FLAGS[flag], True)
            self.position += 1

    def _width(self) -> None:
        printer = self.printer
        if self._peek() == "*":
            width = self._number_argument()
            if width is None:
                printer.write("%!(BADWIDTH)")
            else:
                printer.width, printer.minus = abs(width), printer.minus or width < 0
            return
        width = self._number()
        if width is not None:
            printer.width = width
            self.is_good = self.is_good and not self.is_indexed

    def _precision(self) -> None:
        self.is_good = self.is_good and not self.is_indexed
        self._index()
        if self._peek() == "*":
            precision = self._number_argument()
            self.printer.precision = precision if precision is not None and precision >= 0 else None
            if self.printer.precision is None:
                self.printer.write("%!(BADPREC)")
        else:
            self.printer.precision = self._number() or 0

    def _number(self) -> int | None:
        start = self.position
        while self._peek() and self._peek() in "0123456789":
            self.position += 1
            if int(self.pattern[start : self.position]) > _MAX_NUMBER:
                self.position = len(self.pattern)
                return None
        return int(self.pattern[start : self.position]) if self.position > start else None

    def _number_argument(self) -> int | None:
        self.position += 1
        self.is_indexed = False
        if self.argument >= len(self.values):
            return None
        value = self.values[self.argument]
        self.argument += 1
        is_number = kind_of(value) in (Kind.INT, Kind.UINT) and abs(value) <= _MAX_NUMBER
        return int(value) if is_number else None

    def _index(self) -> None:
        """Read an explicit argument index such as `[2]`."""
        self.is_indexed = False
        if self._peek() != "[":
            return
        self.is_reordered = True
        start, end = self.position + 1, self.pattern.find("]", self.position)
        if end < 0:
            self.position, self.is_good = start, False
            return
        self.position = end + 1
        digits = self.pattern[start:end]
        is_number = digits.isascii() and digits.isdecimal() and len(digits) < 8
        if is_number and 1 <= int(digits) <= len(self.values):
            self.argument, self.is_indexed = int(digits) - 1, True
        else:
            self.is_good, self.is_indexed = False, is_number

    def _print(self, verb: str) -> None:
        printer = self.printer
        if not verb:
            printer.write("%!(NOVERB)")
        elif verb == "%":
            printer.write("%")
        elif not self.is_good:
            printer.write(f"%!{verb}(BADINDEX)")
        elif self.argument >= len(self.values):
            printer.write(f"%!{verb}(MISSING)")
        else:
            if verb == "v":
                printer.sharp_v, printer.sharp = printer.sharp, False
                printer.plus_v, printer.plus = printer.plus, False
            printer.argument(self.values[self.argument], verb)
            self.argument += 1

    def _extra(self) -> None:
        if self.is_reordered or self.argument >= len(self.values):
            return
        self.printer.clear()
        self.printer.write("%!(EXTRA ")
        for index, value in enumerate(self.values[self.argument :]):
            self.printer.write(", " if index else "")
            if value is None or value is INVALID:
                self.printer.write("<nil>")
            else:
                self.printer.write(type_name(value) + "=")
                self.printer.argument(value, "v")
        self.printer.write(")")
