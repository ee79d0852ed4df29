"""The tables of the grammar: which operators bind how tightly, and which builtins take predicates.

Read by the parser; pure data.
"""

from __future__ import annotations

UNARY = {"not": 50, "!": 50, "-": 90, "+": 90}

BINARY = {
    "|": 0,
    "or": 10,
    "||": 10,
    "and": 15,
    "&&": 15,
    "==": 20,
    "!=": 20,
    "<": 20,
    ">": 20,
    ">=": 20,
    "<=": 20,
    "in": 20,
    "matches": 20,
    "contains": 20,
    "startsWith": 20,
    "endsWith": 20,
    "..": 25,
    "+": 30,
    "-": 30,
    "*": 60,
    "/": 60,
    "%": 60,
    "**": 100,
    "^": 100,
    "??": 500,
}
RIGHT_ASSOCIATIVE = frozenset({"**", "^"})
COMPARISONS = frozenset({"<", ">", "<=", ">="})
NEGATABLE = frozenset({"contains", "matches", "startsWith", "endsWith", "in"})

# What each argument of a predicate builtin is: a value, the predicate, and after "?" what may be left out.
PREDICATE_ARGUMENTS = {
    "all": "vp",
    "none": "vp",
    "any": "vp",
    "one": "vp",
    "filter": "vp",
    "map": "vp",
    "count": "v?p",
    "sum": "v?p",
    "find": "vp",
    "findIndex": "vp",
    "findLast": "vp",
    "findLastIndex": "vp",
    "groupBy": "vp",
    "sortBy": "vp?v",
    "reduce": "vp?v",
}

MAX_TEXT_CHARS = 16_384
MAX_NESTING = 80
MAX_TREE_DEPTH = 200
MAX_NODES = 10_000
