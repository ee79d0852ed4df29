"""Text to tokens, one at a time as the parser asks, so that the first error in the text is the one reported.

Called by the parser only. Knows nothing of grammar; every token remembers where it began. Strings and numbers get their
values here, as the original's lexer and number parser read them. Raises nothing but Fault.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from awf_core.lang.expressions.errors import Fault
from awf_core.lang.go.numbers import INT_MAX, is_decimal, parse_float, parse_int
from awf_core.lang.go.quoting import quoted

IDENTIFIER, NUMBER, STRING, OPERATOR, BRACKET, EOF = "Identifier", "Number", "String", "Operator", "Bracket", "EOF"

WORD_OPERATORS = frozenset(
    {"not", "in", "or", "and", "matches", "contains", "startsWith", "endsWith", "let", "if", "else"}
)
# Python also counts the ASCII separators 0x1c-0x1f as space; the language does not.
_NOT_SPACE = frozenset("\x1c\x1d\x1e\x1f")
_SYMBOL = re.compile(r"\|\|?|::?|\?[.?]?|[,;%+\-^/]|[&!=*<>][&=*]?|\.\.?|##?")
_DIGITS = {"x": "0123456789abcdefABCDEF_", "o": "01234567_", "b": "01_"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A word of the language; `value` of a string is unescaped already."""

    kind: str
    value: str
    at: int

    def __str__(self) -> str:
        return f"{self.kind}({quoted(self.value)})" if self.value else self.kind


def is_word_char(char: str) -> bool:
    """Whether `char` may stand in a name: alphabetic, decimal digit, `_` or `$`."""
    return char in "_$" or char.isalpha() or char.isdecimal()


def is_space(char: str) -> bool:
    """Whether `char` separates tokens."""
    return char.isspace() and char not in _NOT_SPACE


def tokens(text: str) -> Iterator[Token]:
    """The tokens of `text`, ended by one EOF. Raises Fault where a token is malformed."""
    at = 0
    while at < len(text):
        char = text[at]
        if is_space(char):
            at += 1
        elif text.startswith(("//", "/*"), at):
            at = _skip_comment(text, at)
        else:
            end, found = _token(text, at)
            at = end
            yield from found
    yield Token(kind=EOF, value="", at=max(len(text) - 1, 0))


def _token(text: str, at: int) -> tuple[int, tuple[Token, ...]]:
    char = text[at]
    if char in "'\"`":
        end, value = (_raw_string if char == "`" else _string)(text, at)
        return end, (Token(kind=STRING, value=value, at=at),)
    if "0" <= char <= "9" or (char == "." and text[at + 1 : at + 2] in set("0123456789")):
        end = _number_end(text, at)
        return end, (Token(kind=NUMBER, value=text[at:end], at=at),)
    if char in "()[]{}":
        return at + 1, (Token(kind=BRACKET, value=char, at=at),)
    if is_word_char(char):
        end = _word_end(text, at)
        word = text[at:end]
        return end, (Token(kind=OPERATOR if word in WORD_OPERATORS else IDENTIFIER, value=word, at=at),)
    return _symbol(text, at)


def _symbol(text: str, at: int) -> tuple[int, tuple[Token, ...]]:
    match = _SYMBOL.match(text, at)
    if match is None:
        char = text[at]
        shown = f" '{char}'" if char.isprintable() else ""
        raise Fault(f"unrecognized character: U+{ord(char):04X}{shown}", at)
    operator = Token(kind=OPERATOR, value=match[0], at=at)
    if match[0][0] != "#":
        return match.end(), (operator,)
    # The name of a pointer is taken whatever it is, `#in` included.
    end = _word_end(text, match.end())
    name = Token(kind=IDENTIFIER, value=text[match.end() : end], at=match.end())
    return end, (operator, name) if name.value else (operator,)


def _word_end(text: str, at: int) -> int:
    while at < len(text) and is_word_char(text[at]):
        at += 1
    return at


def _skip_comment(text: str, at: int) -> int:
    closing = "\n" if text[at + 1] == "/" else "*/"
    end = text.find(closing, at + 2)
    if end >= 0:
        return end + len(closing)
    if closing == "\n":
        return len(text)
    raise Fault("unclosed comment", len(text))


def _number_end(text: str, start: int) -> int:
    at, digits = start, "0123456789_"
    if text[at] == "0" and (kind := text[at + 1 : at + 2].lower()) in _DIGITS:
        at, digits = at + 2, _DIGITS[kind]
    at = _run(text, at, digits)
    if text.startswith("..", at):
        return at
    if text[at : at + 1] == ".":
        at = _run(text, at + 1, digits)
    if text[at : at + 1] in {"e", "E"}:
        at += 2 if text[at + 1 : at + 2] in {"+", "-"} else 1
        at = _run(text, at, digits)
    if at < len(text) and is_word_char(text[at]):
        raise Fault(f"bad number syntax: {quoted(text[start : at + 1])}", at)
    return at


def _run(text: str, at: int, allowed: str) -> int:
    while at < len(text) and text[at] in allowed:
        at += 1
    return at


def _string(text: str, start: int) -> tuple[int, str]:
    mark, at = text[start], start + 1
    while at < len(text) and text[at] not in {mark, "\n"}:
        at = _escape_end(text, at, mark) if text[at] == "\\" else at + 1
    if at >= len(text) or text[at] == "\n":
        raise Fault("literal not terminated", min(at, len(text)))
    return at + 1, unescape(text[start + 1 : at], at)


_ESCAPE_LENGTHS = {"x": (16, 2), "u": (16, 4), "U": (16, 8)}


def _escape_end(text: str, at: int, mark: str) -> int:
    char = text[at + 1 : at + 2]
    if char and char in "abfnrtv\\" + mark:
        return at + 2
    if text.startswith("u{", at + 1):
        return _braced_escape_end(text, at + 3)
    base, count = _ESCAPE_LENGTHS.get(char, (8, 3))
    first = at + (2 if char in _ESCAPE_LENGTHS else 1)
    for position in range(first, first + count):
        if not _is_digit(text[position : position + 1], base):
            raise Fault("invalid char escape", min(position, len(text)))
    return first + count


def _braced_escape_end(text: str, first: int) -> int:
    end = _run(text, first, "0123456789abcdefABCDEF")
    if text[end : end + 1] != "}" or not 1 <= end - first <= 6:
        raise Fault("invalid char escape", min(end, len(text)))
    return end + 1


def _is_digit(char: str, base: int) -> bool:
    return bool(char) and char in "0123456789abcdefABCDEF"[: 22 if base == 16 else base]


def _raw_string(text: str, start: int) -> tuple[int, str]:
    at = start + 1
    while (at := text.find("`", at)) >= 0:
        if not text.startswith("``", at):
            return at + 1, text[start + 1 : at].replace("``", "`")
        at += 2
    raise Fault("literal not terminated", len(text))


class TokenStream:
    """Reads tokens as they are needed. Every method may raise Fault, for a malformed token or one not expected."""

    def __init__(self, text: str) -> None:
        self._coming = tokens(text)
        self._ahead: list[Token] = []
        self.token = next(self._coming)

    def at_kind(self, kind: str) -> bool:
        """Whether the token in view is of `kind`."""
        return self.token.kind == kind

    def at(self, kind: str, value: str) -> bool:
        """Whether the token in view is exactly this one."""
        return self.token.kind == kind and self.token.value == value

    def advance(self) -> Token:
        """The token in view; the next one comes into view."""
        token = self.token
        if self._ahead:
            self.token = self._ahead.pop()
        elif token.kind == EOF:
            raise Fault("unexpected end of expression", token.at)
        else:
            self.token = next(self._coming)
        return token

    def push_back(self, token: Token) -> None:
        """`token` comes into view again, before the one in view."""
        self._ahead.append(self.token)
        self.token = token

    def expect(self, kind: str, value: str | None = None) -> Token:
        """Like advance, for a token that has to be there."""
        if self.token.kind != kind or value not in {None, self.token.value}:
            raise self.unexpected()
        return self.advance()

    def unexpected(self) -> Fault:
        """The error about the token in view."""
        return Fault(f"unexpected token {self.token}", self.token.at)


_SIMPLE = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_ESCAPE_SEQUENCE = re.compile(r"\\(?:u\{([0-9a-fA-F]+)\}|[xuU]([0-9a-fA-F]+)|([0-7]{3})|(.))", re.DOTALL)
_FIXED_LENGTHS = {"x": 2, "u": 4, "U": 8}


def unescape(body: str, at: int) -> str:
    """The value of a quoted literal without its quotes; `at` is where an error points to."""
    body = body.replace("\r\n", "\n").replace("\r", "\n")
    if "\\" not in body:
        return body
    parts, position = [], 0
    while (slash := body.find("\\", position)) >= 0:
        parts.append(body[position:slash])
        value, position = _unescaped_one(body, slash, at)
        parts.append(value)
    return "".join(parts) + body[position:]


def _unescaped_one(body: str, slash: int, at: int) -> tuple[str, int]:
    kind = body[slash + 1]
    if kind in _FIXED_LENGTHS and body[slash + 2 : slash + 3] != "{":
        end = slash + 2 + _FIXED_LENGTHS[kind]
        return _character(int(body[slash + 2 : end], 16), at), end
    match = _ESCAPE_SEQUENCE.match(body, slash)
    assert match is not None
    if match[1]:
        return _character(int(match[1], 16), at), match.end()
    if match[3]:
        if match[3][0] > "3":
            raise Fault("unable to unescape string", at)
        return chr(int(match[3], 8)), match.end()
    return _SIMPLE.get(kind, kind), match.end()


def _character(code: int, at: int) -> str:
    if code > 0x10FFFF:
        raise Fault("unable to unescape string", at)
    return "\ufffd" if 0xD800 <= code <= 0xDFFF else chr(code)


def number_literal(text: str, at: int) -> int | float:
    """The value of a number token. Raises Fault at `at` when it is malformed or does not fit."""
    digits = text.replace("_", "")
    lower = digits.lower()
    if lower.startswith("0x"):
        return _based(digits, 16, "hex", at)
    if "." in lower or "e" in lower:
        return _float_literal(digits, at)
    if lower.startswith("0b"):
        return _based(digits, 2, "binary", at)
    if lower.startswith("0o"):
        return _based(digits, 8, "octal", at)
    value = parse_int(digits)
    if value is None:
        raise Fault(f"invalid integer literal: {_number_problem('ParseInt', digits, malformed=False)}", at)
    return value


def _float_literal(digits: str, at: int) -> float:
    value = parse_float(digits)
    if value is None:
        malformed = not is_decimal(digits)
        raise Fault(f"invalid float literal: {_number_problem('ParseFloat', digits, malformed=malformed)}", at)
    return value


def _based(digits: str, base: int, name: str, at: int) -> int:
    try:
        value = int(digits[2:], base)
    except ValueError:
        problem = _number_problem("ParseInt", digits, malformed=True)
        raise Fault(f"invalid {name} literal: {problem}", at) from None
    if value > INT_MAX:
        raise Fault(f"invalid {name} literal: {_number_problem('ParseInt', digits, malformed=False)}", at)
    return value


def _number_problem(parser: str, digits: str, *, malformed: bool) -> str:
    reason = "invalid syntax" if malformed else "value out of range"
    return f"strconv.{parser}: parsing {quoted(digits)}: {reason}"
