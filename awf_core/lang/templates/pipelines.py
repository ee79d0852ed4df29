"""Read the pipelines of a template: commands, words, literals, declarations of variables.

Base of the parser. The cursor walks over the tokens and says where a template went wrong; the reader of pipelines keeps
the names of the variables that are in scope.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from awf_core.lang.go.quoting import quoted, unquote
from awf_core.lang.templates import operands
from awf_core.lang.templates.calls import Command, Operand
from awf_core.lang.templates.errors import fail_parse, place_of
from awf_core.lang.templates.functions import FUNCTIONS
from awf_core.lang.templates.lexer import Token, read_number, tokenize

_OPERANDS = frozenset(
    ("bool", "character", "complex", "dot", "field", "identifier", "number", "nil", "raw", "string", "variable", "(")
)
MAX_NESTING = 100
MAX_VARIABLES = 1000
_VALUES_ONLY = (operands.Constant, operands.Dot, operands.Nil)


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


class PipelineReader(Cursor):
    """A cursor that reads pipelines. `variables` are the names declared so far, `$` first."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.variables = ["$"]

    def pipeline(self, context: str, end: str) -> operands.Pipeline:
        """The pipeline up to a token of the kind `end`; `context` names in errors what it belongs to."""
        position = self.peek_word().position
        names, assigns = self._declarations(context)
        commands: list[Command] = []
        while (token := self.next_word()).kind != end:
            if token.kind not in _OPERANDS:
                self.unexpected(token, context)
            self.at -= 1
            commands.append(self._command())
        self._check(commands, context)
        return operands.Pipeline(position, tuple(commands), tuple(names), assigns=assigns)

    def _declarations(self, context: str) -> tuple[list[str], bool]:
        names: list[str] = []
        while self.peek_word().kind == "variable":
            start = self.at
            name = self.next_word().text
            following = self.next_word()
            if following.kind in ("declare", "assign"):
                names.append(self._declare(name))
                return names, following.kind == "assign"
            if following.kind != "char" or following.text != ",":
                self.at = start
                break
            names.append(self._declare(name))
            if context != "range" or len(names) > 1:
                self.error(f"too many declarations in {context}")
            if self.peek_word().kind not in ("variable", "right", ")"):
                self.error("range can only initialize variables")
        return names, False

    def _declare(self, name: str) -> str:
        if len(self.variables) > MAX_VARIABLES:
            self.error(f"more than {MAX_VARIABLES} variables at once")
        self.variables.append(name)
        return name

    def _check(self, commands: list[Command], context: str) -> None:
        if not commands:
            self.error(f"missing value for {context}")
        for stage, command in enumerate(commands[1:], start=2):
            if isinstance(command.first, _VALUES_ONLY):
                self.error(f"non executable command in pipeline stage {stage}")

    def _command(self) -> Command:
        position = self.peek_word().position
        words: list[Operand] = []
        while True:
            self.peek_word()
            word = self._operand()
            if word is not None:
                words.append(word)
            token = self.next()
            if token.kind == "space":
                continue
            if token.kind in ("right", ")"):
                self.at -= 1
            elif token.kind != "pipe":
                self.unexpected(token, "operand")
            break
        if not words:
            self.error("empty command")
        return Command(position, words[0], tuple(words[1:]))

    def _operand(self) -> Operand | None:
        word = self._term()
        if word is None or self.peek().kind != "field":
            return word
        position = self.peek().position
        names: list[str] = []
        while self.peek().kind == "field":
            names.append(self.next().text[1:])
        if isinstance(word, operands.Path):
            return operands.Path(position, (*word.names, *names))
        if isinstance(word, operands.Variable):
            return operands.Variable(position, tuple(names), word.name)
        if isinstance(word, _VALUES_ONLY):
            self.error(f"unexpected . after term {quoted(word.text())}")
        return operands.Chain(position, tuple(names), word)

    def _term(self) -> Operand | None:
        token = self.next_word()
        if token.kind not in _OPERANDS:
            self.at -= 1
            return None
        if token.kind == "(":
            with self.nested():
                return self.pipeline("parenthesized pipeline", ")")
        if token.kind in ("number", "complex", "character"):
            return self._number(token)
        return self._word(token)

    def _number(self, token: Token) -> Operand:
        try:
            return operands.number_operand(token.position, read_number(token.text, kind=token.kind))
        except ValueError as error:
            self.error(str(error))

    def _word(self, token: Token) -> Operand:
        match token.kind:
            case "identifier":
                if token.text not in FUNCTIONS:
                    self.error(f"function {quoted(token.text)} not defined")
                return operands.Identifier(token.position, token.text, FUNCTIONS[token.text])
            case "variable":
                if token.text not in self.variables:
                    self.error(f"undefined variable {quoted(token.text)}")
                return operands.Variable(token.position, (), token.text)
            case "field":
                return operands.Path(token.position, (token.text[1:],))
            case "bool":
                return operands.Constant(token.position, token.text == "true", token.text)
            case "dot":
                return operands.Dot(token.position)
            case "nil":
                return operands.Nil(token.position)
            case _:
                return operands.Constant(token.position, self.unquoted(token), token.text)

    def unquoted(self, token: Token) -> str:
        """The text of a string token."""
        try:
            return unquote(token.text)
        except ValueError as error:
            self.error(str(error))
