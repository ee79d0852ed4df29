"""Tokens to a tree, by operator precedence.

Called by `expression.py`. Knows nothing of types or values. The first error ends it, as a Fault; length, nesting and
the number of nodes are bounded, so that no text can exhaust the interpreter.
"""

from __future__ import annotations

from awf_core.lang.expressions import grammar, lexer, nodes
from awf_core.lang.expressions.builtin_table import BUILTINS
from awf_core.lang.expressions.errors import Fault
from awf_core.lang.expressions.lexer import Token

_WORDS = {"true": True, "false": False, "nil": None}


def parse(text: str) -> nodes.Node:
    """The tree of `text`. Raises Fault with the place of the first error."""
    if len(text) > grammar.MAX_TEXT_CHARS:
        raise Fault(f"the expression is longer than {grammar.MAX_TEXT_CHARS} characters")
    parser = _Parser(text)
    tree = parser.sequence()
    if not parser.at_kind(lexer.EOF):
        raise parser.unexpected()
    nodes.check_size(tree)
    return tree


class _Parser(lexer.TokenStream):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._nesting = 0
        self._predicates = 0

    def sequence(self) -> nodes.Node:
        items = [self._expression(0)]
        while self.at(lexer.OPERATOR, ";"):
            self.advance()
            if self.at_kind(lexer.EOF):
                break
            items.append(self._expression(0))
        return items[0] if len(items) == 1 else nodes.Sequence(at=items[0].at, items=tuple(items))

    # --- operators

    def _expression(self, tightness: int) -> nodes.Node:
        self._nesting += 1
        if self._nesting > grammar.MAX_NESTING:
            raise Fault(f"the expression nests more than {grammar.MAX_NESTING} levels", self.token.at)
        if tightness == 0 and self.at(lexer.OPERATOR, "let"):
            node = self._let()
        elif tightness == 0 and self.at(lexer.OPERATOR, "if"):
            node = self._if()
        else:
            node = self._operators(self._primary(), tightness)
            node = self._ternary(node) if tightness == 0 else node
        self._nesting -= 1
        return node

    def _operators(self, left: nodes.Node, tightness: int) -> nodes.Node:
        previous = ""
        while (operator := self._operator(tightness)) is not None:
            token, negated = operator
            if previous == "??" and token.value not in {"??", "|"}:
                raise Fault(
                    f"Operator ({token.value}) and coalesce expressions (??) cannot be mixed."
                    " Wrap either by parentheses.",
                    token.at,
                )
            left = self._apply(left, token)
            if negated:
                left = nodes.Unary(at=token.at, op="not", operand=left)
            previous = token.value
        return left

    def _operator(self, tightness: int) -> tuple[Token, bool] | None:
        """The operator that comes next, if it binds at least as tightly, and whether `not` stands before it."""
        token, negated = self.token, False
        if token.kind != lexer.OPERATOR:
            return None
        if token.value == "not":
            self.advance()
            if self.token.value not in grammar.NEGATABLE:
                raise self.unexpected()
            if grammar.BINARY[self.token.value] < tightness:
                self.push_back(token)
                return None
            token, negated = self.token, True
        if grammar.BINARY.get(token.value, -1) < tightness:
            return None
        self.advance()
        return token, negated

    def _apply(self, left: nodes.Node, token: Token) -> nodes.Node:
        op = token.value
        if op == "|":
            return self._call(self.expect(lexer.IDENTIFIER), (left,))
        if op in grammar.COMPARISONS:
            return self._comparison(left, token)
        step = 0 if op in grammar.RIGHT_ASSOCIATIVE else 1
        return nodes.Binary(at=token.at, op=op, left=left, right=self._expression(grammar.BINARY[op] + step))

    def _comparison(self, left: nodes.Node, token: Token) -> nodes.Node:
        """`a < b < c` means `a < b && b < c`."""
        result: nodes.Node | None = None
        while True:
            right = self._expression(grammar.BINARY[token.value] + 1)
            one = nodes.Binary(at=token.at, op=token.value, left=left, right=right)
            result = one if result is None else nodes.Binary(at=token.at, op="&&", left=result, right=one)
            if self.token.kind != lexer.OPERATOR or self.token.value not in grammar.COMPARISONS:
                return result
            left, token = right, self.advance()

    def _ternary(self, node: nodes.Node) -> nodes.Node:
        while self.at(lexer.OPERATOR, "?"):
            self.advance()
            then = node
            if not self.at(lexer.OPERATOR, ":"):
                then = self._expression(0)
            self.expect(lexer.OPERATOR, ":")
            otherwise = self._expression(0)
            node = nodes.Conditional(at=self.token.at, test=node, then=then, otherwise=otherwise)
        return node

    # --- words with a form of their own

    def _let(self) -> nodes.Node:
        self.advance()
        name = self.expect(lexer.IDENTIFIER)
        self.expect(lexer.OPERATOR, "=")
        value = self._expression(0)
        self.expect(lexer.OPERATOR, ";")
        return nodes.Let(at=name.at, name=name.value, value=value, body=self.sequence())

    def _if(self) -> nodes.Node:
        self.advance()
        test = self._expression(0)
        then = self._block()
        self.expect(lexer.OPERATOR, "else")
        otherwise = self._expression(0) if self.at(lexer.OPERATOR, "if") else self._block()
        return nodes.Conditional(test=test, then=then, otherwise=otherwise)

    def _block(self) -> nodes.Node:
        self.expect(lexer.BRACKET, "{")
        body = self.sequence()
        self.expect(lexer.BRACKET, "}")
        return body

    # --- operands

    def _primary(self) -> nodes.Node:
        token = self.token
        if token.kind == lexer.OPERATOR and token.value in grammar.UNARY:
            self.advance()
            operand = self._expression(grammar.UNARY[token.value])
            return self._postfix(nodes.Unary(at=token.at, op=token.value, operand=operand))
        if self.at(lexer.BRACKET, "("):
            self.advance()
            node = self.sequence()
            self.expect(lexer.BRACKET, ")")
            return self._postfix(node)
        if self._predicates and token.kind == lexer.OPERATOR and token.value in {"#", "."}:
            return self._postfix(self._pointer())
        if self.at(lexer.OPERATOR, "::"):
            self.advance()
            return self._postfix(self._call(self.expect(lexer.IDENTIFIER), ()))
        return self._operand()

    def _pointer(self) -> nodes.Node:
        token, name = self.token, ""
        if token.value == "#":
            self.advance()
            name = self.advance().value if self.at_kind(lexer.IDENTIFIER) else ""
        return nodes.Pointer(at=token.at, name=name)

    def _operand(self) -> nodes.Node:
        token = self.token
        if token.kind == lexer.IDENTIFIER:
            self.advance()
            if token.value in _WORDS:
                return nodes.Constant(at=token.at, value=_WORDS[token.value])
            if self.at(lexer.BRACKET, "("):
                return self._postfix(self._call(token, ()))
            return self._postfix(nodes.Name(at=token.at, name=token.value))
        if token.kind == lexer.NUMBER:
            self.advance()
            return nodes.Constant(at=token.at, value=lexer.number_literal(token.value, self.token.at))
        if token.kind == lexer.STRING:
            self.advance()
            return self._postfix(nodes.Constant(at=token.at, value=token.value))
        if self.at(lexer.BRACKET, "["):
            return self._postfix(self._array())
        if self.at(lexer.BRACKET, "{"):
            return self._postfix(self._map())
        raise self.unexpected()

    def _array(self) -> nodes.Node:
        opening = self.advance()
        return nodes.ArrayLiteral(at=opening.at, items=self._listed("]"))

    def _listed(self, closing: str) -> tuple[nodes.Node, ...]:
        """Expressions with commas between them up to `closing`, which is taken; a comma may trail."""
        items: list[nodes.Node] = []
        while not self.at(lexer.BRACKET, closing):
            if items:
                self.expect(lexer.OPERATOR, ",")
                if self.at(lexer.BRACKET, closing):
                    break
            items.append(self._expression(0))
        self.advance()
        return tuple(items)

    def _map(self) -> nodes.Node:
        opening = self.advance()
        pairs: list[tuple[nodes.Node, nodes.Node]] = []
        while not self.at(lexer.BRACKET, "}"):
            if pairs:
                self.expect(lexer.OPERATOR, ",")
                if self.at(lexer.BRACKET, "}"):
                    break
            key = self._map_key()
            self.expect(lexer.OPERATOR, ":")
            pairs.append((key, self._expression(0)))
        self.advance()
        return nodes.MapLiteral(at=opening.at, pairs=tuple(pairs))

    def _map_key(self) -> nodes.Node:
        token = self.token
        if token.kind in {lexer.NUMBER, lexer.STRING, lexer.IDENTIFIER}:
            self.advance()
            return nodes.Constant(at=token.at, value=token.value)
        if self.at(lexer.BRACKET, "("):
            return self._expression(0)
        raise Fault(
            "a map key must be a quoted string, a number, a identifier, or an expression enclosed in parentheses"
            f" (unexpected token {token})",
            token.at,
        )

    # --- what follows an operand

    def _postfix(self, node: nodes.Node) -> nodes.Node:
        while True:
            if self.at(lexer.OPERATOR, ".") or self.at(lexer.OPERATOR, "?."):
                optional = self.advance().value == "?."
                if optional and self.at(lexer.BRACKET, "["):
                    node = self._index(node, optional=True)
                else:
                    node = self._property(node, optional=optional)
            elif self.at(lexer.BRACKET, "["):
                node = self._index(node, optional=False)
            else:
                return node

    def _property(self, base: nodes.Node, *, optional: bool) -> nodes.Node:
        token = self.advance()
        if token.kind != lexer.IDENTIFIER and token.value not in lexer.WORD_OPERATORS:
            raise Fault("expected name", self.token.at)
        chained = isinstance(base, nodes.Chain)
        inner = base.body if isinstance(base, nodes.Chain) else base
        key = nodes.Constant(at=token.at, value=token.value)
        node: nodes.Node = nodes.Member(at=token.at, base=inner, key=key, optional=optional)
        if self.at(lexer.BRACKET, "("):
            self.advance()
            node = nodes.Call(at=token.at, callee=node, arguments=self._listed(")"))
        return nodes.Chain(at=token.at, body=node) if chained or optional else node

    def _index(self, base: nodes.Node, *, optional: bool) -> nodes.Node:
        opening = self.advance()
        start = None if self.at(lexer.OPERATOR, ":") else self._expression(0)
        if self.at(lexer.OPERATOR, ":"):
            self.advance()
            stop = None if self.at(lexer.BRACKET, "]") else self._expression(0)
            self.expect(lexer.BRACKET, "]")
            return nodes.Slice(at=opening.at, base=base, start=start, stop=stop)
        self.expect(lexer.BRACKET, "]")
        assert start is not None
        node = nodes.Member(at=opening.at, base=base, key=start, optional=optional)
        return nodes.Chain(at=opening.at, body=node) if optional else node

    # --- calls

    def _call(self, name: Token, first: tuple[nodes.Node, ...]) -> nodes.Node:
        if name.value in grammar.PREDICATE_ARGUMENTS:
            return nodes.Builtin(at=name.at, name=name.value, arguments=self._predicate_arguments(name, first))
        self.expect(lexer.BRACKET, "(")
        arguments = first + self._listed(")")
        if name.value in BUILTINS:
            return nodes.Builtin(at=name.at, name=name.value, arguments=arguments)
        return nodes.Call(at=name.at, callee=nodes.Name(at=name.at, name=name.value), arguments=arguments)

    def _predicate_arguments(self, name: Token, first: tuple[nodes.Node, ...]) -> tuple[nodes.Node, ...]:
        self.expect(lexer.BRACKET, "(")
        wanted = grammar.PREDICATE_ARGUMENTS[name.value]
        kinds = wanted.replace("?", "")[len(first) :]
        required = wanted.index("?") if "?" in wanted else len(wanted)
        arguments: list[nodes.Node] = []
        for kind in kinds:
            if self.at(lexer.BRACKET, ")"):
                if len(first) + len(arguments) >= required:
                    break
                raise Fault(f"expected at least {len(kinds)} arguments", self.token.at)
            if arguments:
                self.expect(lexer.OPERATOR, ",")
            arguments.append(self._predicate() if kind == "p" else self._expression(0))
        if self.at(lexer.OPERATOR, ","):
            self.advance()
        self.expect(lexer.BRACKET, ")")
        return first + tuple(arguments)

    def _predicate(self) -> nodes.Node:
        at, braced = self.token.at, self.at(lexer.BRACKET, "{")
        self._predicates += 1
        body = self._block() if braced else self._expression(0)
        self._predicates -= 1
        if not braced and self.at(lexer.OPERATOR, ";"):
            raise Fault("wrap predicate with brackets { and }", self.token.at)
        return nodes.Predicate(at=at, body=body)
