"""Walk over shell text and keep the contexts that are open. Base of the tokenizer, which knows their rules. Pure."""

from __future__ import annotations

import bisect
import re
from collections.abc import Container
from dataclasses import dataclass

from awf_core.lang.shell.context import Frame, Mark

ENDS_WORD = frozenset(" \t\n;&|<>()")


@dataclass(frozen=True, slots=True)
class Value:
    """A value in shell text: `text[start:end]`. `is_escaped`: it is what `escape` returned."""

    start: int
    end: int
    is_escaped: bool = False


class Cursor:
    """A place in shell text, with the contexts that are open there, the innermost last.

    is_lost    the text before it could not be followed
    behind     the `$` or `\\` right before it, where that concerns what stands here
    last       the last value that was passed
    heredocs   how many here-documents are open
    """

    def __init__(self, text: str, values: dict[int, Value]) -> None:
        self.text = text
        self.values = values
        self.starts = sorted(values)
        self.at = 0
        self.frames = [Frame("command")]
        self.is_lost = False
        self.behind = ""
        self.last: Value | None = None
        self.heredocs = 0

    def peek(self, ahead: int = 1) -> str:
        """The character that many places ahead, if only text and no value is in between; else empty."""
        if any(self.at + step in self.values for step in range(1, ahead + 1)):
            return ""
        return self.text[self.at + ahead : self.at + ahead + 1]

    def before(self) -> str:
        """The character before this one; empty at the start."""
        return self.text[self.at - 1 : self.at]

    def char(self) -> str:
        """The character here."""
        return self.text[self.at]

    def run(self, ordinary: re.Pattern[str]) -> str:
        """The `ordinary` characters from here on, at least the one here, up to a value."""
        found = ordinary.match(self.text, self.at, self._next_start())
        return found[0] if found else self.char()

    def _next_start(self) -> int:
        at = bisect.bisect_right(self.starts, self.at)
        return self.starts[at] if at < len(self.starts) else len(self.text)

    def skip(self, count: int = 1) -> None:
        """Go on, past no value. A line end inside of something in a here-document may end that: it is not followed."""
        count = min(count, self._next_start() - self.at)
        if self.heredocs and self.frames[-1].kind != "here_document":
            self.is_lost = self.is_lost or "\n" in self.text[self.at : self.at + count]
        self.behind = ""
        self.at += count

    def grow(self, text: str) -> None:
        """Add to the word of the command that is being read; to what was read of a `${...}`."""
        top = self.frames[-1]
        if top.kind == "parameter":
            top.word = (top.word or "") + text
            return
        for frame in reversed(self.frames):
            if frame.is_commands:
                frame.word = (frame.word or "") + text
            if frame.is_commands or frame.kind == "here_document":
                return

    def push(self, frame: Frame, consumed: int) -> None:
        """Open a context that begins behind the next `consumed` characters."""
        if self.frames[-1].kind == "here_document":
            self.frames[-1].line += "\0"  # no end mark: what may be one is not followed
        self.skip(consumed)
        self.frames.append(frame)

    def pop(self, consumed: int = 1) -> None:
        """Close the innermost context, which ends with the next `consumed` characters."""
        self.skip(consumed)
        self.frames.pop()


def read_mark(text: str, at: int, values: Container[int]) -> tuple[Mark, int, bool]:
    """The end mark that begins at `at`, where it ends, and whether it can be read.

    It ends where a value begins too.
    """
    mark, quote, is_read = Mark(strips_tabs=text[at : at + 1] == "-"), "", True
    at += mark.strips_tabs
    while at < len(text) and at not in values:
        char = text[at]
        if not quote and char in ENDS_WORD and (mark.text or mark.is_quoted or char not in " \t"):
            break
        if char == quote or (not quote and char in "'\"\\"):
            quote, mark.is_quoted = "" if char in (quote, "\\") else char, True
        elif quote or char not in " \t":
            is_read = is_read and char != "\n" and (bool(quote) or char not in "$`")
            mark.text += char
        at += 1
    return mark, at, is_read
