"""What begins with a backslash, a dollar sign or a backquote in shell text. A part of the tokenizer. Pure."""

from __future__ import annotations

from awf_core.lang.shell.context import Frame
from awf_core.lang.shell.cursor import Cursor

_JOINS = frozenset("$<({&|;")
"""Characters that may form an operator with what follows a line continuation."""


class Expansions(Cursor):
    """A cursor that reads quoted characters and substitutions."""

    def expansion(self, char: str) -> None:
        """Read on where `char`, one of the three, stands."""
        match char:
            case "\\":
                self._backslash()
            case "$":
                self._dollar()
            case _:
                self._backquote()

    def _backslash(self) -> None:
        following = self.peek()
        if any(frame.kind == "backquote" for frame in self.frames):
            self.is_lost = True
        elif self.at + 1 in self.values:
            self.skip()
            self.behind = "\\"
        elif following == "\n":
            self.is_lost = self.before() in _JOINS
            self.skip(2)
        else:
            self.grow(following)
            self.skip(2)

    def _backquote(self) -> None:
        if self.frames[-1].kind == "backquote":
            self.is_lost = bool(self.frames[-1].marks)
            self.pop()
        elif any(frame.kind == "backquote" for frame in self.frames):
            self.is_lost = True
        else:
            self.grow("")
            self.push(Frame("backquote"), 1)

    def _dollar(self) -> None:
        following, top = self.peek(), self.frames[-1]
        if following == "(" and self.peek(2) == "(":
            self.grow("")
            self.push(Frame("arithmetic"), 3)
        elif following == "(":
            self.grow("")
            self.push(Frame("command"), 2)
        elif following == "{":
            self.grow("$")
            self.push(Frame("parameter"), 2)
        elif following == "'" and top.is_commands:
            self.grow("")
            self.push(Frame("dollar_single"), 2)
        elif following == "[" or (following == "\\" and self.peek(2) == "\n"):
            self.is_lost = True
        else:
            self.grow("$")
            is_before_value = self.at + 1 in self.values
            self.skip()
            self.behind = "$" if is_before_value else ""
