"""The contexts of shell text, and which characters a shell reads as syntax in each. Pure.

Used by the tokenizer, which knows in which context a value stands.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, Literal

Kind = Literal[
    "command",
    "backquote",
    "double",
    "single",
    "dollar_single",
    "comment",
    "parameter",
    "arithmetic",
    "delimiter",
    "here_document",
]

NAMES: Final[dict[Kind, str]] = {
    "command": "outside of quotes",
    "backquote": "within backquotes",
    "double": "within double quotes",
    "single": "within single quotes",
    "dollar_single": "within $'...'",
    "comment": "within a comment",
    "parameter": "within ${...}",
    "arithmetic": "within an arithmetic expression",
    "delimiter": "as the end mark of a here-document",
    "here_document": "within a here-document",
}

_PLAIN: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_@%+:,./-")
_SYNTAX: Final[dict[Kind, frozenset[str]]] = {
    "double": frozenset('$`\\"'),
    "single": frozenset("'"),
    "dollar_single": frozenset("'\\"),
    "comment": frozenset("\n"),
    "here_document": frozenset("$`\\"),
}
_NUMERIC: Final = frozenset("0123456789.-")


def words(text: str) -> frozenset[str]:
    """The words of `text`."""
    return frozenset(text.split())


SHELLS: Final = words("sh bash dash ash ksh mksh zsh fish csh tcsh su busybox")
"""Commands that read the argument behind `-c` as shell text, and without arguments their standard input."""
SHELLS_AND_SSH: Final = SHELLS | {"ssh"}
READS_CODE: Final = SHELLS_AND_SSH | {".", "source"}
"""Commands that may run a here-document."""
PREFIXES: Final = words("command builtin exec sudo doas env nohup nice")
"""Commands whose first argument may be another command, or an assignment for it."""
RESERVED: Final = words("if then else elif fi do done while until ! { } time esac")
"""Words behind which a command begins."""
_ASSIGNMENT: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\+?=")


@dataclass(slots=True)
class Mark:
    """The end mark of a here-document.

    is_quoted     its text is taken as it is
    strips_tabs   the operator is `<<-`
    feeds_shell   the line that opens it names a shell, so that the text may be what that one runs
    """

    text: str = ""
    is_quoted: bool = False
    strips_tabs: bool = False
    feeds_shell: bool = False

    def ends(self, line: str) -> bool:
        """Whether `line` is the end of the here-document."""
        return (line.lstrip("\t") if self.strips_tabs else line) == self.text


@dataclass(slots=True)
class Frame:
    """One context that is open, and how far it has been read.

    word         the word being read without its quotes, None between words; of `${...}` what was read of it
    words        the words before it in the same command
    depth        parentheses of an arithmetic expression, or `case`s, that are open in it
    marks        end marks of here-documents whose text begins on the next line
    is_target    the next word is what a redirection names
    names_shell  a command on this line names a shell
    mark, line   of a here-document; `is_mixed`: a part of the line comes from a value
    """

    kind: Kind
    word: str | None = None
    words: list[str] = field(default_factory=list)
    depth: int = 0
    marks: list[Mark] = field(default_factory=list)
    is_target: bool = False
    names_shell: bool = False
    mark: Mark | None = None
    line: str = ""
    is_mixed: bool = False

    @property
    def is_commands(self) -> bool:
        """Whether words of commands stand in it."""
        return self.kind in ("command", "backquote")

    @property
    def is_test(self) -> bool:
        """Whether a `[[` is open."""
        return self.words[:1] == ["[["] and "]]" not in self.words

    @property
    def command(self) -> str:
        """The name of the command that is being read; empty where none is."""
        names = (base(word) for word in self.words if not word.startswith("-") and "=" not in word)
        return next((name for name in names if name not in PREFIXES), "")

    def end_word(self) -> str | None:
        """The word that ends here, None = there is none. It joins `words` unless a command still has to begin."""
        word, self.word = self.word, None
        if word is None:
            return None
        if self.is_target:
            self.is_target = False
            return word
        self.names_shell = self.names_shell or base(word) in READS_CODE
        if self.words[:1] == ["case"] and word == "in" and len(self.words) > 1:
            self.words.clear()  # patterns follow, then commands
        elif self.words or not (word in RESERVED or _ASSIGNMENT.match(word)):
            self.words.append(word)
        return word

    def end_command(self) -> None:
        """A command is over; what follows is another one."""
        self.is_target = False
        if not self.is_test:
            self.words.clear()


def base(word: str) -> str:
    """The name of a command without its directory."""
    return word.rpartition("/")[2]


def is_plain(text: str) -> bool:
    """Whether `text` is a word, a number or a path: no character of it means anything to a shell where words stand."""
    return all(char in _PLAIN or (char > "\x7f" and char.isalnum()) for char in text)


def syntax_in(text: str, frame: Frame) -> str:
    """The first character of `text` that a shell reads as syntax in `frame`; empty where there is none."""
    kind = frame.kind
    if frame.is_commands:
        # `a=b` is an argument like any other, but an assignment where the command's name would stand.
        has_name = bool(frame.command)
        return next((char for char in text if not (is_plain(char) or (char == "=" and has_name))), "")
    if kind == "arithmetic":
        return not_numeric(text)
    if kind == "parameter":
        return next((char for char in text if char == "@" or not is_plain(char)), "")
    if kind == "here_document" and frame.mark is not None and frame.mark.is_quoted:
        return ""
    return next((char for char in text if char in _SYNTAX[kind]), "")


def not_numeric(text: str) -> str:
    """The first character of `text` that no number has: some shells run what a name in arithmetic stands for."""
    return next((char for char in text if char not in _NUMERIC), "")


def not_plain(text: str) -> str:
    """The first character of `text` that is no part of a word, a number or a path."""
    return next((char for char in text if not is_plain(char)), "")
