"""Read shell text as a POSIX shell does, up to each value that was inserted into it, and judge the value there.

Pure. It follows quotes, substitutions, here-documents, comments and `case`, no other grammar. Where shells differ, or
the text can't be followed, it does not guess: from there on no value passes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from awf_core.lang.shell.context import Frame
from awf_core.lang.shell.cursor import ENDS_WORD, Value, read_mark
from awf_core.lang.shell.expansions import Expansions
from awf_core.lang.shell.judge import END_MARK, Place, fault

_SEEN_AFTER = 40
"""How many characters behind a value its place is judged by."""
_SPECIAL = frozenset(" \t\n;&|<>()\\'\"`$#")
_ORDINARY = {
    "command": re.compile(r"[^ \t\n;&|<>()\\'\"`$#]+"),
    "double": re.compile(r"[^\"\\$`]+"),
    "single": re.compile(r"[^'`\\]+"),
    "comment": re.compile(r"[^\n`]+"),
    "here_document": re.compile(r"[^\n\\$`]+"),
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a value can't stand where it stands.

    value   which one
    char    the first character of it that a shell reads as syntax; empty where the place alone is the reason
    place   the context, for a text: `within double quotes`
    """

    value: Value
    char: str
    place: str


def first_unsafe(text: str, values: Sequence[Value]) -> Refusal | None:
    """The first of `values`, which are in order and don't overlap, that is not harmless in `text`; None = all are."""
    reader = Reader(text, {value.start: value for value in values if value.end > value.start})
    return reader.read()


class _Refused(Exception):
    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.place)
        self.refusal = refusal


class Reader(Expansions):
    """Reads shell text once. `read` says what is refused."""

    def read(self) -> Refusal | None:
        """Read to the end, or to the first value that is not harmless."""
        try:
            # Behind the last value only a here-document that holds a part of it can still end in the wrong place.
            while self.starts and (self.at <= self.starts[-1] or (self.heredocs and self.at < len(self.text))):
                value = self.values.get(self.at)
                if value is not None:
                    self._value(value)
                elif self.is_lost:
                    self.at += 1
                else:
                    self._step()
        except _Refused as refused:
            return refused.refusal
        return None

    def _step(self) -> None:
        """Read on in the innermost context."""
        match self.frames[-1].kind:
            case "command" | "backquote":
                self._command()
            case "double":
                self._double()
            case "single":
                self._single()
            case "dollar_single":
                self._dollar_single()
            case "comment":
                self._comment()
            case "parameter":
                self._parameter()
            case "arithmetic":
                self._arithmetic()
            case "here_document":
                self._here_document()
            case "delimiter":
                raise AssertionError("a value stands in an end mark, and none passes there")

    def _value(self, value: Value) -> None:
        text, top = self.text[value.start : value.end], self.frames[-1]
        self.last = value
        found = self.fault_of(value, text)
        if found is not None:
            raise _Refused(Refusal(value, *found))
        self.behind = ""
        if top.is_commands:
            top.word = (top.word or "") + text
        elif top.kind == "here_document":
            self._here_value(text, top)
        elif top.kind != "comment":
            self.grow(text)
        self.at = value.end

    def fault_of(self, value: Value, text: str) -> tuple[str, str] | None:
        """What is wrong with `value`, which stands here and holds `text`; None = nothing."""
        return fault(text, self.place(value), is_escaped=value.is_escaped)

    def place(self, value: Value) -> Place:
        """Where `value` stands, which begins here."""
        after = self.text[value.end : value.end + _SEEN_AFTER]
        return Place(frames=self.frames, behind=self.behind, after=after, text=self.text, is_lost=self.is_lost)

    def _here_value(self, text: str, frame: Frame) -> None:
        for char in text:
            frame.is_mixed = True
            if char == "\n":
                self._end_line(frame)
            else:
                frame.line += char
        frame.is_mixed = True

    def _command(self) -> None:
        char, top = self.char(), self.frames[-1]
        if char not in _SPECIAL or (char == "#" and top.word is not None):
            ordinary = self.run(_ORDINARY["command"])
            top.word = (top.word or "") + ordinary
            self.skip(len(ordinary))
        elif char in ENDS_WORD:
            self._operator(char, top)
        elif char == "#":
            self.is_lost = self.before() in ("<", ">")  # an operator in some shells
            self.push(Frame("comment"), 1)
        elif char in "'\"":
            top.word = top.word or ""
            self.push(Frame("single" if char == "'" else "double"), 1)
        else:
            self.expansion(char)

    def _operator(self, char: str, top: Frame) -> None:
        if char == "(" and top.word is None and self.peek() == "(" and top.words in ([], ["for"]):
            self.push(Frame("arithmetic"), 2)
            return
        if char in "<>" and (top.word or "").isdigit():
            top.word = None  # the number of what is redirected
        is_allowed = char != "(" or self._may_open(top)
        self._finish_word(top)
        if char == "(":
            self.is_lost = not is_allowed
            self.push(Frame("command"), 1)
        elif char == ")":
            self._close(top)
        elif char == "<" and self.peek() == "<":
            self._here()
        elif char == "\n":
            self._new_line(top)
        else:
            if char in "<>":
                top.is_target = True
            elif char in ";&|" and not self._redirects(char):
                top.end_command()
            self.skip()

    def _may_open(self, top: Frame) -> bool:
        """Whether all shells read a parenthesis here as that of commands, of a function or of an array.

        Behind other words it belongs to a pattern in some shells, where `#` begins no comment.
        """
        if top.word is not None:
            return self.peek() == ")" or top.word.endswith("=")
        return not top.words or top.is_test or self.before() in ("<", ">")

    def _redirects(self, char: str) -> bool:
        """Whether `&` or `|` is a part of `>&`, `<&`, `&>` or `>|`."""
        return self.before() in ("<", ">") or (char == "&" and self.peek() == ">")

    def _finish_word(self, top: Frame) -> None:
        is_first = not top.words
        word = top.end_word()
        if word == "case" and len(self.frames) > 1:
            # Its patterns end in parentheses that close nothing.
            top.depth += 1
            self.is_lost = self.is_lost or not is_first
        elif word == "esac" and is_first and top.depth:
            top.depth -= 1

    def _close(self, top: Frame) -> None:
        if len(self.frames) == 1 or top.depth or top.kind == "backquote":
            top.end_command()
            self.skip()
            return
        self.is_lost = bool(top.marks)
        is_word = self.frames[-2].word is not None
        self.pop()
        outer = self.frames[-1]
        if outer.is_commands and not is_word:
            outer.end_command()

    def _new_line(self, top: Frame) -> None:
        top.end_command()
        marks, top.marks = top.marks, []
        for mark in marks:
            mark.feeds_shell = top.names_shell
        top.names_shell = False
        self.skip()
        self.frames += [Frame("here_document", mark=mark) for mark in reversed(marks)]
        self.heredocs += len(marks)

    def _here(self) -> None:
        """Read `<<`, `<<-` or `<<<`, and the end mark."""
        if self.peek(2) == "<":
            self.frames[-1].is_target = True
            self.skip(3)
            return
        mark, at, is_read = read_mark(self.text, self.at + 2, self.values)
        self.is_lost = not is_read
        self.skip(at - self.at)
        if at in self.values:
            self.frames.append(Frame("delimiter"))
        self.frames[-1].marks.append(mark)

    def _double(self) -> None:
        char = self.char()
        if char == '"':
            self.pop()
        elif char in "\\$`":
            self.expansion(char)
        else:
            ordinary = self.run(_ORDINARY["double"])
            self.grow(ordinary)
            self.skip(len(ordinary))

    def _single(self) -> None:
        char = self.char()
        if char == "'":
            self.pop()
            return
        self.is_lost = char == "`" and any(frame.kind == "backquote" for frame in self.frames)
        ordinary = self.run(_ORDINARY["single"])
        self.grow(ordinary)
        self.skip(len(ordinary))

    def _dollar_single(self) -> None:
        if self.char() == "\\":
            if self.peek() == "'":
                self.is_lost = True
                return
            self.expansion("\\")
            return
        self._single()

    def _comment(self) -> None:
        if self.char() == "\n":
            self.frames.pop()
            return
        self.is_lost = self.char() == "`" and any(frame.kind == "backquote" for frame in self.frames)
        self.skip(len(self.run(_ORDINARY["comment"])))

    def _parameter(self) -> None:
        char = self.char()
        if char == "}":
            self.pop()
        elif char in "'\"":
            # Shells differ in what quotes mean in here where the whole is quoted already.
            self.is_lost = any(frame.kind in ("double", "here_document") for frame in self.frames)
            self.grow(char)
            self.push(Frame("single" if char == "'" else "double"), 1)
        elif char in "\\$`":
            self.expansion(char)
        else:
            self.grow(char)
            self.skip()

    def _arithmetic(self) -> None:
        char, top = self.char(), self.frames[-1]
        if char == "$":
            self.expansion("$")
            return
        if char == ")" and not top.depth:
            self.is_lost = self.peek() != ")"
            self.pop(2)
            return
        self.is_lost = char in "'\"`\\"
        top.depth += (char == "(") - (char == ")")
        self.skip()

    def _here_document(self) -> None:
        char, top = self.char(), self.frames[-1]
        assert top.mark is not None
        if char == "\n":
            self._end_line(top)
            self.skip()
        elif char == "\\" and not top.mark.is_quoted:
            following = self.peek()
            top.line += "" if following == "\n" else char + following
            self.expansion("\\")
        elif char in "$`" and not top.mark.is_quoted:
            top.line += char
            self.expansion(char)
        else:
            ordinary = self.run(_ORDINARY["here_document"])
            top.line += ordinary
            self.skip(len(ordinary))

    def _end_line(self, frame: Frame) -> None:
        assert frame.mark is not None
        if frame.mark.ends(frame.line):
            if frame.is_mixed and self.last is not None:
                raise _Refused(Refusal(self.last, "", END_MARK))
            self.frames.pop()
            self.heredocs -= 1
        frame.line, frame.is_mixed = "", False
