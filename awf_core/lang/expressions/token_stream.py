"""The tokens of a text with one in view, and one that can be put back. Base of the parser; knows no grammar."""

from __future__ import annotations

from typing import TYPE_CHECKING

from awf_core.lang.expressions import lexer
from awf_core.lang.expressions.errors import Fault

if TYPE_CHECKING:
    from awf_core.lang.expressions.lexer import Token


class TokenStream:
    """Reads tokens as they are needed. Every method may raise Fault, for a malformed token or one not expected."""

    def __init__(self, text: str) -> None:
        self._tokens = lexer.tokens(text)
        self._ahead: list[Token] = []
        self.token = next(self._tokens)

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
        elif token.kind == lexer.EOF:
            raise Fault("unexpected end of expression", token.at)
        else:
            self.token = next(self._tokens)
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
