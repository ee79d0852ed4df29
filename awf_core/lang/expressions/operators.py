"""The binary operators that need both sides, each as a function of two values. Called by emitted code. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from awf_core.lang.expressions import arithmetic, equality
from awf_core.lang.expressions.access import map_key
from awf_core.lang.expressions.equality import equal
from awf_core.lang.expressions.errors import Fault
from awf_core.lang.expressions.regex import found
from awf_core.lang.expressions.values import NilMap, as_text, is_array, is_nil, type_name


def contains(left: object, right: object) -> bool:
    """Whether the text `left` has `right` in it; false when one of them is nil."""
    return not (is_nil(left) or is_nil(right)) and as_text(right) in as_text(left)


def starts_with(left: object, right: object) -> bool:
    """Whether the text `left` begins with `right`; false when one of them is nil."""
    return not (is_nil(left) or is_nil(right)) and as_text(left).startswith(as_text(right))


def ends_with(left: object, right: object) -> bool:
    """Whether the text `left` ends with `right`; false when one of them is nil."""
    return not (is_nil(left) or is_nil(right)) and as_text(left).endswith(as_text(right))


def matches(left: object, right: object) -> bool:
    """Whether the pattern `right` is found in the text `left`; false when one of them is nil."""
    return not (is_nil(left) or is_nil(right)) and found(as_text(right), as_text(left))


def is_in(needle: object, haystack: object) -> bool:
    """Whether `needle` is an element of an array or a key of a map. Raises Fault for other haystacks."""
    if haystack is None or isinstance(haystack, NilMap):
        return False
    if isinstance(haystack, range):
        return isinstance(needle, (int, float)) and not isinstance(needle, bool) and needle in haystack
    if is_array(haystack):
        return any(equal(item, needle) for item in haystack)
    if isinstance(haystack, Mapping):
        return map_key(haystack, needle) in haystack
    raise Fault(f'operator "in" not defined on {type_name(haystack)}')


def is_in_texts(needle: object, texts: frozenset[str]) -> bool:
    """Whether `needle` is one of the texts of a literal array. Raises Fault when it is neither text nor nil."""
    return map_key({}, needle) in texts


BINARY: dict[str, Callable[[object, object], object]] = {
    "==": equal,
    "!=": lambda left, right: not equal(left, right),
    "<": equality.less,
    ">": equality.more,
    "<=": equality.less_or_equal,
    ">=": equality.more_or_equal,
    "+": arithmetic.add,
    "-": arithmetic.subtract,
    "*": arithmetic.multiply,
    "/": arithmetic.divide,
    "%": arithmetic.modulo,
    "**": arithmetic.power,
    "^": arithmetic.power,
    "in": is_in,
    "contains": contains,
    "startsWith": starts_with,
    "endsWith": ends_with,
    "matches": matches,
}
