"""The type check before the run: it rejects what fails for all values, such as `1 == '1'`.

Called by `expression.py` on every tree; the emitter uses nothing of it. Pure; raises Fault at the first error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from awf_core.lang.expressions import natures, nodes, signatures
from awf_core.lang.expressions.builtin_table import BUILTINS, NAMES
from awf_core.lang.expressions.check_operators import binary_nature, unary_nature
from awf_core.lang.expressions.errors import Fault
from awf_core.lang.expressions.natures import Nature
from awf_core.lang.expressions.operators import pattern_found
from awf_core.lang.expressions.signatures import Overload

_CONSTANTS: dict[type, Nature] = {
    bool: natures.BOOL,
    int: natures.INT,
    float: natures.FLOAT,
    str: natures.TEXT,
    type(None): natures.NIL,
}
_POINTERS: dict[str, dict[str, Nature]] = {
    "map": {"index": natures.INT},
    "reduce": {"index": natures.INT, "acc": natures.UNKNOWN},
}
"""What may follow a `#` in the predicates of some builtins."""


def check(tree: nodes.Node, names: Mapping[str, Nature], functions: Mapping[str, tuple[Overload, ...]]) -> Nature:
    """The type of `tree`. `names` are the variables whose types are known, `functions` those that can be called."""
    return _Checker(names, functions).visit(tree)


class _Checker:
    def __init__(self, names: Mapping[str, Nature], functions: Mapping[str, tuple[Overload, ...]]) -> None:
        self._names = names
        self._functions = functions
        self._variables: dict[str, Nature] = {}
        self._scopes: list[tuple[Nature, dict[str, Nature]]] = []
        self._visitors: dict[type[nodes.Node], Callable[..., Nature]] = {
            nodes.Constant: lambda node: _CONSTANTS[type(node.value)],
            nodes.Name: self._name,
            nodes.Unary: lambda node: unary_nature(node, self.visit(node.operand)),
            nodes.Binary: self._binary,
            nodes.Member: self._member,
            nodes.Chain: lambda node: self.visit(node.body),
            nodes.Slice: self._slice,
            nodes.Call: self._call,
            nodes.Builtin: self._builtin,
            nodes.Predicate: lambda node: self.visit(node.body),
            nodes.Pointer: self._pointer,
            nodes.Let: self._let,
            nodes.Sequence: lambda node: [self.visit(item) for item in node.items][-1],
            nodes.Conditional: self._conditional,
            nodes.ArrayLiteral: self._array,
            nodes.MapLiteral: self._map,
        }

    def visit(self, node: nodes.Node) -> Nature:
        return self._visitors[type(node)](node)

    def _name(self, node: nodes.Name) -> Nature:
        if node.name in self._variables:
            return self._variables[node.name]
        if node.name in self._functions or node.name in NAMES:
            return natures.FUNCTION
        return self._names.get(node.name, natures.UNKNOWN)

    def _binary(self, node: nodes.Binary) -> Nature:
        left, right = self.visit(node.left), self.visit(node.right)
        if node.op == "matches" and isinstance(node.right, nodes.Constant) and isinstance(node.right.value, str):
            _check_pattern(node.right.value, node.at)
        return binary_nature(node, left, right)

    def _member(self, node: nodes.Member) -> Nature:
        base, key = self.visit(node.base), self.visit(node.key)
        if base.unknown:
            return natures.UNKNOWN
        name = node.key.value if isinstance(node.key, nodes.Constant) and isinstance(node.key.value, str) else None
        if name is not None and base.kind == "nil":
            raise Fault(f"type nil has no field {name}", node.at)
        if base.kind == "map":
            if not key.unknown and key.kind != "nil" and not natures.assignable(key, natures.key_of(base)):
                raise Fault(f"cannot use {key.text} to get an element from {base.text}", node.key.at)
            return natures.element(base)
        if base.kind == "array":
            if key.kind != "int" and not key.unknown:
                raise Fault(f"array elements can only be selected using an integer (got {key.text})", node.key.at)
            return natures.element(base)
        if name is not None and base.kind in {"time", "duration"}:
            return natures.UNKNOWN
        if name is not None:
            raise Fault(f"type {base.text} has no field {name}", node.at)
        raise Fault(f"type {base.text}[{key.text}] is undefined", node.at)

    def _slice(self, node: nodes.Slice) -> Nature:
        base = self.visit(node.base)
        if base.unknown:
            return natures.UNKNOWN
        if base.kind not in {"string", "array"}:
            raise Fault(f"cannot slice {base.text}", node.at)
        for bound in (node.start, node.stop):
            nature = self.visit(bound) if bound is not None else natures.INT
            if bound is not None and nature.kind != "int" and not nature.unknown:
                raise Fault(f"non-integer slice index {nature.text}", bound.at)
        return base

    def _call(self, node: nodes.Call) -> Nature:
        if isinstance(node.callee, nodes.Name) and node.callee.name in self._functions:
            arguments = [(self.visit(argument), argument.at) for argument in node.arguments]
            name = node.callee.name
            return signatures.overloaded(name, self._functions[name], arguments, node.at)
        callee = self.visit(node.callee)
        if callee.unknown or callee is natures.FUNCTION:
            return natures.UNKNOWN
        name = _called_name(node.callee)
        if callee.kind == "nil":
            raise Fault(f"{name} is nil; cannot call nil as function", node.at)
        raise Fault(f"{callee.text} is not callable", node.at)

    def _builtin(self, node: nodes.Builtin) -> Nature:
        if node.name not in BUILTINS:
            return self._predicate_call(node)
        builtin = BUILTINS[node.name]
        arguments = [(self.visit(argument), argument.at) for argument in node.arguments]
        if node.name == "get":
            return signatures.result_of_get(arguments, node.at)
        if builtin.result_of is None:
            return signatures.overloaded(node.name, builtin.overloads, arguments, node.at)
        try:
            return builtin.result_of([nature for nature, _ in arguments])
        except Fault as fault:
            raise Fault(fault.message, node.at) from None

    def _predicate_call(self, node: nodes.Builtin) -> Nature:
        subject = node.arguments[0]
        collection = self.visit(subject)
        if collection.kind != "array" and not collection.unknown:
            raise Fault(f"builtin {node.name} takes only array (got {collection.text})", subject.at)
        extra = _POINTERS.get(node.name, {})
        result: Nature | None = None
        for argument in node.arguments[1:]:
            if not isinstance(argument, nodes.Predicate):
                self.visit(argument)
                continue
            self._scopes.append((collection, extra))
            result = self.visit(argument)
            self._scopes.pop()
            signatures.check_predicate(node.name, result, argument.at)
        return signatures.predicate_result(node.name, collection, result)

    def _pointer(self, node: nodes.Pointer) -> Nature:
        if not self._scopes:
            raise Fault("cannot use pointer accessor outside predicate", node.at)
        collection, extra = self._scopes[-1]
        if not node.name:
            return natures.UNKNOWN if collection.unknown else natures.element(collection)
        if node.name not in extra:
            raise Fault(f"unknown pointer #{node.name}", node.at)
        return extra[node.name]

    def _let(self, node: nodes.Let) -> Nature:
        if node.name in self._names or node.name in self._functions:
            raise Fault(f"cannot redeclare {node.name}", node.at)
        if node.name in NAMES:
            raise Fault(f"cannot redeclare builtin {node.name}", node.at)
        if node.name in self._variables:
            raise Fault(f"cannot redeclare variable {node.name}", node.at)
        value = self.visit(node.value)
        self._variables[node.name] = value
        body = self.visit(node.body)
        del self._variables[node.name]
        return body

    def _conditional(self, node: nodes.Conditional) -> Nature:
        test = self.visit(node.test)
        if test.kind != "bool" and not test.unknown:
            raise Fault(f"non-bool expression (type {test.text}) used as condition", node.test.at)
        then, otherwise = self.visit(node.then), self.visit(node.otherwise)
        if then.kind == "nil":
            return otherwise
        if otherwise.kind == "nil" or (natures.assignable(then, otherwise) and then.elem == otherwise.elem):
            return then
        return natures.ARRAY if then.kind == otherwise.kind == "array" else natures.UNKNOWN

    def _array(self, node: nodes.ArrayLiteral) -> Nature:
        found = [self.visit(item) for item in node.items]
        if found and all(nature.kind == found[0].kind for nature in found):
            return natures.array_of(found[-1])
        return natures.ARRAY if found else natures.array_of(natures.UNKNOWN)

    def _map(self, node: nodes.MapLiteral) -> Nature:
        for key, value in node.pairs:
            self.visit(key)
            self.visit(value)
        return natures.MAP


def _check_pattern(pattern: str, at: int) -> None:
    try:
        pattern_found(pattern, "")
    except Fault as fault:
        raise Fault(fault.message, at) from None


def _called_name(callee: nodes.Node) -> str:
    if isinstance(callee, nodes.Name):
        return callee.name
    if isinstance(callee, nodes.Member) and isinstance(callee.key, nodes.Constant):
        return str(callee.key.value)
    return "function"
