"""Walk over a template's tokens with look-ahead, and say where it went wrong.

Base of the parser. It knows tokens and error texts, and nothing of the grammar.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

from awf_core.lang.templates.errors import fail_parse, place_of
from awf_core.lang.templates.lexer import Token, tokenize

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_NESTING = 100


class Cursor:
    """A place among the tokens of a template. `action` is the token that opened the action being read."""

    def __init__(self, text: str) -> None:
        self.source = text
        self.tokens = tokenize(text)
        self.at = 0
        self.furthest = 0
        self.nesting = 0
        self.action: Token | None = None

    def next(self) -> Token:
        """The next token, which is passed over."""
        token = self.tokens[min(self.at, len(self.tokens) - 1)]
        self.at += 1
        self.furthest = max(self.furthest, min(self.at, len(self.tokens)))
        return token

    def peek(self) -> Token:
        """The next token, which stays next."""
        token = self.next()
        self.at -= 1
        return token

    def next_word(self) -> Token:
        """The next token that is no space; it is passed over."""
        token = self.next()
        while token.kind == "space":
            token = self.next()
        return token

    def peek_word(self) -> Token:
        """The next token that is no space; it stays next, the spaces before it are passed over."""
        token = self.next_word()
        self.at -= 1
        return token

    def expect(self, kind: str, context: str) -> Token:
        """The next word, which has to be of that kind."""
        token = self.next_word()
        if token.kind != kind:
            self.unexpected(token, context)
        return token

    def error(self, reason: str) -> NoReturn:
        """Raise the error of a template that goes wrong where reading has come to."""
        fail_parse(self.source, self.tokens[max(self.furthest, 1) - 1].position, reason)

    def unexpected(self, token: Token, context: str) -> NoReturn:
        """Raise the error of a token that does not belong here."""
        if token.kind != "error":
            self.error(f"unexpected {token} in {context}")
        self.error(f"{token}{self._started(token)}")

    def _started(self, token: Token) -> str:
        """Where the action began, if that is on another line than `token`."""
        line = place_of(self.source, self.action.position).line if self.action else 0
        if not line or line == place_of(self.source, token.position).line:
            return ""
        # Avoids "unclosed action in action".
        return f"{'' if token.text.endswith(' action') else ' in action'} started at cmd:{line}"

    @contextmanager
    def nested(self) -> Iterator[None]:
        """One level of nesting more inside; too many are an error."""
        self.nesting += 1
        if self.nesting > MAX_NESTING:
            self.error(f"nested more than {MAX_NESTING} levels deep")
        yield
        self.nesting -= 1
