"""Parse a template into statements, with text/template's grammar and its error texts.

Called by `compile_template` only, once a template. Raises TemplateError and nothing else. Takes linear time; nesting
is bounded, so the stack is too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from awf_core.lang.go.quoting import quoted
from awf_core.lang.templates import statements
from awf_core.lang.templates.lexer import Token
from awf_core.lang.templates.operands import Pipeline
from awf_core.lang.templates.pipelines import PipelineReader

MAIN = "cmd"


def parse(text: str) -> dict[str, statements.Body]:
    """The templates in `text` by name: those it defines, and itself as `cmd`."""
    return _Parser(text).run()


class _Parser(PipelineReader):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.templates: dict[str, statements.Body] = {}
        self.ranges = 0
        self.actions: dict[str, Callable[[Token], statements.Statement]] = {
            "block": self._block,
            "break": self._jump,
            "continue": self._jump,
            "if": self._choice,
            "range": self._range,
            "template": self._template,
            "with": self._choice,
        }

    def run(self) -> dict[str, statements.Body]:
        items: list[statements.Statement] = []
        while (token := self.peek()).kind != "eof":
            if token.kind == "left" and self._starts_definition():
                self._definition()
                continue
            item = self._statement()
            if isinstance(item, str):
                self.error(f"unexpected {{{{{item}}}}}")
            items.append(item)
        self._add(MAIN, statements.Body(tuple(items)))
        return self.templates

    def _starts_definition(self) -> bool:
        start = self.at
        self.next()
        if self.next_word().kind == "define":
            return True
        self.at = start
        return False

    def _definition(self) -> None:
        context = "define clause"
        name = self._template_name(self.next_word(), context)
        with self._own_tree():
            self.expect("right", context)
            body, end = self._items()
            if end != "end":
                self.error(f"unexpected {{{{{end}}}}} in {context}")
        self._add(name, body)

    @contextmanager
    def _own_tree(self) -> Iterator[None]:
        kept = self.variables, self.ranges, self.action
        self.variables, self.ranges, self.action = ["$"], 0, None
        with self.nested():
            yield
        self.variables, self.ranges, self.action = kept

    def _add(self, name: str, body: statements.Body) -> None:
        known = self.templates.get(name)
        if known is None or known.is_blank():
            self.templates[name] = body
        elif not body.is_blank():
            self.error(f"template: multiple definition of template {quoted(name)}")

    def _template_name(self, token: Token, context: str) -> str:
        if token.kind not in ("string", "raw"):
            self.unexpected(token, context)
        return self.unquoted(token)

    def _items(self) -> tuple[statements.Body, str]:
        """Statements up to an `end` or `else`, and which it was."""
        items: list[statements.Statement] = []
        while True:
            if self.peek_word().kind == "eof":
                self.error("unexpected EOF")
            item = self._statement()
            if isinstance(item, str):
                return statements.Body(tuple(items)), item
            items.append(item)

    def _statement(self) -> statements.Statement | str:
        token = self.next_word()
        if token.kind == "text":
            return statements.Text(token.text)
        if token.kind != "left":
            self.unexpected(token, "input")
        self.action = token
        item = self._action()
        self.action = None
        return item

    def _action(self) -> statements.Statement | str:
        token = self.next_word()
        if token.kind == "end":
            self.expect("right", "end")
            return "end"
        if token.kind == "else":
            if self.peek_word().kind not in ("if", "with"):
                self.expect("right", "else")
            return "else"
        if token.kind in self.actions:
            return self.actions[token.kind](token)
        self.at -= 1
        return statements.Action(self.pipeline("command", "right"))

    def _jump(self, token: Token) -> statements.Statement:
        name = f"{{{{{token.kind}}}}}"
        following = self.next_word()
        if following.kind != "right":
            self.unexpected(following, name)
        if not self.ranges:
            self.error(f"{name} outside {{{{range}}}}")
        return statements.Jump(statements.BREAK if token.kind == "break" else statements.CONTINUE)

    def _choice(self, token: Token) -> statements.Statement:
        mark = len(self.variables)
        branches: list[tuple[Pipeline, statements.Body]] = []
        otherwise = None
        with self.nested():
            while True:
                condition = self.pipeline(token.kind, "right")
                body, end = self._items()
                branches.append((condition, body))
                if end == "else" and self.peek().kind == token.kind:
                    self.next()
                    continue
                if end == "else":
                    otherwise = self._last_items()
                break
        del self.variables[mark:]
        return statements.Choice(branches=tuple(branches), otherwise=otherwise, moves_dot=token.kind == "with")

    def _range(self, _token: Token) -> statements.Statement:
        mark = len(self.variables)
        with self.nested():
            pipeline = self.pipeline("range", "right")
            self.ranges += 1
            body, end = self._items()
            self.ranges -= 1
            otherwise = self._last_items() if end == "else" else None
        del self.variables[mark:]
        return statements.Range(pipeline, body, otherwise)

    def _last_items(self) -> statements.Body:
        body, end = self._items()
        if end != "end":
            self.error(f"expected end; found {{{{{end}}}}}")
        return body

    def _template(self, _token: Token) -> statements.Statement:
        context = "template clause"
        token = self.next_word()
        name = self._template_name(token, context)
        pipeline = None
        if self.next_word().kind != "right":
            self.at -= 1
            pipeline = self.pipeline(context, "right")
        return statements.Include(token.position, name, pipeline)

    def _block(self, _token: Token) -> statements.Statement:
        context = "block clause"
        token = self.next_word()
        name = self._template_name(token, context)
        pipeline = self.pipeline(context, "right")
        with self._own_tree():
            body, end = self._items()
            if end != "end":
                self.error(f"unexpected {{{{{end}}}}} in {context}")
        self._add(name, body)
        return statements.Include(token.position, name, pipeline)
