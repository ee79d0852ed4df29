"""Cut a template into tokens as Go's text/template does, trim markers and comments included, and read its numbers.

Called by the parser only, once a template. Cutting never fails: unreadable text becomes a last token of kind `error`,
whose text is the reason, so that the parser can report an earlier error first. Takes linear time. Reading a number
raises ValueError in Go's words.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import NamedTuple

from awf_core.lang.go.numbers import INT_MAX, INT_MIN, UINT_MAX, parse_float
from awf_core.lang.go.quoting import is_printable, quoted, unquote_char

KEYWORDS = frozenset(("block", "break", "continue", "define", "else", "end", "if", "nil", "range", "template", "with"))
_SPACE = " \t\r\n"
_SPACES = re.compile(r"[ \t\r\n]+")
_WORD = re.compile(r"\w*")
_NUMBER = re.compile(
    r"[+-]?(?:0[xX][0-9a-fA-F_]*(?:\.[0-9a-fA-F_]*)?(?:[pP][+-]?[0-9_]*)?|0[oO][0-7_]*(?:\.[0-7_]*)?"
    r"|0[bB][01_]*(?:\.[01_]*)?|[0-9_]*(?:\.[0-9_]*)?(?:[eE][+-]?[0-9_]*)?)i?"
)
_QUOTED = re.compile(r'"(?:[^"\\\n]|\\[^\n])*"')
_CHARACTER = re.compile(r"'(?:[^'\\\n]|\\[^\n])*'")
_SINGLE = {"=": "assign", "|": "pipe"}


class Token(NamedTuple):
    """A piece of a template. Keywords have their own word as kind; `position` counts characters from 0."""

    kind: str
    position: int
    text: str

    def __str__(self) -> str:
        """The token as error texts show it."""
        if self.kind == "eof":
            return "EOF"
        if self.kind == "error":
            return self.text
        if self.kind in KEYWORDS or self.kind == "dot":
            return f"<{self.text}>"
        if len(self.text.encode("utf-8", "surrogatepass")) > 10:
            return quoted(self.text[:10]) + "..."
        return quoted(self.text)


def tokenize(text: str) -> list[Token]:
    """The tokens of `text`; the last is of kind `eof` or `error`."""
    return _Lexer(text).run()


class _Lexer:
    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.start = 0
        self.parentheses = 0
        self.tokens: list[Token] = []

    def run(self) -> list[Token]:
        while not self._is_done():
            self._literal_text()
            if self.position < len(self.text):
                self._open()
        return self.tokens

    def _is_done(self) -> bool:
        if self.tokens and self.tokens[-1].kind in ("eof", "error"):
            return True
        if self.position >= len(self.text):
            self.tokens.append(Token("eof", len(self.text), ""))
            return True
        return False

    def _literal_text(self) -> None:
        end = self.text.find("{{", self.position)
        piece = self.text[self.position :] if end < 0 else self.text[self.position : end]
        if end >= 0 and self._trims_left(end + 2):
            piece = piece.rstrip(_SPACE)
        if piece:
            self.tokens.append(Token("text", self.position, piece))
        self.position = len(self.text) if end < 0 else end

    def _trims_left(self, at: int) -> bool:
        return self.text.startswith("-", at) and self.text[at + 1 : at + 2] in tuple(_SPACE)

    def _open(self) -> None:
        after = self.position + (4 if self._trims_left(self.position + 2) else 2)
        if self.text.startswith("/*", after):
            self.start = after
            self._comment(after)
            return
        self.tokens.append(Token("left", self.position, "{{"))
        self.position = after
        self.parentheses = 0
        while self._inside():
            pass

    def _comment(self, start: int) -> None:
        end = self.text.find("*/", start)
        if end < 0:
            self._error("unclosed comment")
        elif (length := self._right_delimiter(end + 2)) == 0:
            self._error("comment ends before closing delimiter")
        else:
            self._close(end + 2, length)

    def _right_delimiter(self, at: int) -> int:
        """Length of a closing delimiter at `at`, 0 if there is none."""
        if self.text.startswith("}}", at):
            return 2
        return 4 if self.text[at : at + 1] in tuple(_SPACE) and self.text.startswith("-}}", at + 1) else 0

    def _close(self, at: int, length: int) -> None:
        self.position = at + length
        if length == 4 and (spaces := _SPACES.match(self.text, self.position)):
            self.position = spaces.end()

    def _error(self, reason: str) -> bool:
        self.tokens.append(Token("error", self.start, reason))
        return False

    def _emit(self, kind: str, end: int) -> bool:
        self.tokens.append(Token(kind, self.start, self.text[self.start : end]))
        self.position = end
        return True

    def _inside(self) -> bool:
        """Read one token of an action. False at its end, or where it can't be read."""
        self.start = self.position
        if length := self._right_delimiter(self.position):
            return self._end_of_action(length)
        if self.position >= len(self.text):
            return self._error("unclosed action")
        char = self.text[self.position]
        if char in _SPACE:
            return self._spaces()
        if char in "\"`'":
            return self._quoted(char)
        if char in "()":
            return self._parenthesis(char)
        if char in "+-" or (char.isdecimal() and char.isascii()) or self._starts_fraction(char):
            return self._number()
        return self._name_or_symbol(char)

    def _end_of_action(self, length: int) -> bool:
        if self.parentheses:
            return self._error("unclosed left paren")
        self.tokens.append(Token("right", self.position + length - 2, "}}"))
        self._close(self.position, length)
        return False

    def _spaces(self) -> bool:
        match = _SPACES.match(self.text, self.position)
        end = match.end() if match else self.position + 1
        # The last space belongs to a closing ` -}}`.
        if self._right_delimiter(end - 1) == 4:
            end -= 1
        return self._emit("space", end) if end > self.start else True

    def _quoted(self, char: str) -> bool:
        if char == "`":
            end = self.text.find("`", self.position + 1)
            return self._emit("raw", end + 1) if end > 0 else self._error("unterminated raw quoted string")
        match = (_QUOTED if char == '"' else _CHARACTER).match(self.text, self.position)
        if match:
            return self._emit("string" if char == '"' else "character", match.end())
        return self._error("unterminated quoted string" if char == '"' else "unterminated character constant")

    def _parenthesis(self, char: str) -> bool:
        self.parentheses += 1 if char == "(" else -1
        if self.parentheses < 0:
            return self._error("unexpected right paren")
        return self._emit(char, self.position + 1)

    def _starts_fraction(self, char: str) -> bool:
        if char != ".":
            return False
        following = self.text[self.position + 1 : self.position + 2]
        return not following or following in "0123456789"

    def _number(self) -> bool:
        end = self._scan_number(self.position)
        kind = "number"
        if not self._is_word(end) and self.text[end : end + 1] in ("+", "-"):
            end = self._scan_number(end)
            kind = "complex"
        if self._is_word(end):
            end += 1
        elif kind == "number" or self.text[end - 1] == "i":
            return self._emit(kind, end)
        return self._error(f"bad number syntax: {quoted(self.text[self.start : end])}")

    def _scan_number(self, at: int) -> int:
        match = _NUMBER.match(self.text, at)
        return match.end() if match else at

    def _is_word(self, at: int) -> bool:
        return _word_end(self.text, at) > at

    def _name_or_symbol(self, char: str) -> bool:
        if char in ".$":
            return self._field_or_variable("field" if char == "." else "variable")
        if self._is_word(self.position):
            return self._word()
        if char == ":":
            declares = self.text.startswith("=", self.position + 1)
            return self._emit("declare", self.position + 2) if declares else self._error("expected :=")
        if char in _SINGLE:
            return self._emit(_SINGLE[char], self.position + 1)
        if char.isascii() and char.isprintable():
            return self._emit("char", self.position + 1)
        return self._error(f"unrecognized character in action: {_code_point(char)}")

    def _field_or_variable(self, kind: str) -> bool:
        end = _word_end(self.text, self.position + 1)
        if not self._is_terminator(end):
            return self._error(f"bad character {_code_point(self.text[end])}")
        if end == self.position + 1 and kind == "field":
            kind = "dot"
        return self._emit(kind, end)

    def _word(self) -> bool:
        end = _word_end(self.text, self.position)
        word = self.text[self.position : end]
        if not self._is_terminator(end):
            return self._error(f"bad character {_code_point(self.text[end])}")
        if word in KEYWORDS:
            return self._emit(word, end)
        return self._emit("bool" if word in ("true", "false") else "identifier", end)

    def _is_terminator(self, at: int) -> bool:
        char = self.text[at : at + 1]
        return not char or char in " \t\r\n.,|:)(" or self.text.startswith("}}", at)


def _word_end(text: str, at: int) -> int:
    """End of the run of alphabetic characters, decimal digits and underscores that starts at `at`."""
    match = _WORD.match(text, at)
    end = match.end() if match else at
    if text[at:end].isascii():
        return end
    # Python's \w also holds numbers that Go does not count among the digits.
    for index in range(at, end):
        if text[index] != "_" and unicodedata.category(text[index]) not in ("Lu", "Ll", "Lt", "Lm", "Lo", "Nd"):
            return index
    return end


def _code_point(char: str) -> str:
    code = f"U+{ord(char):04X}"
    return f"{code} '{char}'" if is_printable(char) else code


_OCTAL = re.compile(r"[+-]?0[0-7_]*")
_PREFIXED = re.compile(r"[+-]?0[xXoObB]")
_COMPLEX = re.compile(r"(?P<real>[+-]?.+?(?<![eEpP]))(?P<imaginary>[+-].+)i")


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A number literal. `overflows`: an integer that fits no `int`, which is an error only when it is used."""

    text: str
    value: int | float | complex
    overflows: bool = False


def read_number(text: str, *, kind: str) -> Number:
    """The number of a token of `kind` number, complex or character."""
    if kind == "character":
        return Number(text=text, value=unquote_char(text))
    if kind == "complex":
        return Number(text=text, value=_read_complex(text))
    if text.endswith("i"):
        return Number(text=text, value=_imaginary(text))
    integer = _integer(text)
    if integer is None:
        return Number(text=text, value=_read_float(text))
    if not INT_MIN <= integer <= UINT_MAX or (integer > INT_MAX and text[0] in "+-"):
        raise ValueError(f"{'illegal number syntax' if _PREFIXED.match(text) else 'integer overflow'}: {quoted(text)}")
    return Number(text=text, value=integer, overflows=integer > INT_MAX)


def _integer(text: str) -> int | None:
    try:
        if _OCTAL.fullmatch(text):
            return int(text, 8)
        return int(text, 0)
    except ValueError:
        return None


def _read_float(text: str) -> float:
    value = parse_float(text)
    if value is None:
        raise ValueError(f"illegal number syntax: {quoted(text)}")
    if not any(char in text for char in ".eEpP"):
        raise ValueError(f"integer overflow: {quoted(text)}")
    return value


def _imaginary(text: str) -> complex:
    value = parse_float(text[:-1])
    if value is None:
        raise ValueError(f"illegal number syntax: {quoted(text)}")
    return complex(0, value)


def _read_complex(text: str) -> complex:
    match = _COMPLEX.fullmatch(text)
    parts = (parse_float(match["real"]), parse_float(match["imaginary"])) if match else (None, None)
    if parts[0] is None or parts[1] is None:
        raise ValueError("syntax error scanning complex number")
    return complex(parts[0], parts[1])
