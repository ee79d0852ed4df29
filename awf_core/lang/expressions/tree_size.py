"""Whether a tree is small enough to walk recursively. Called by the parser once a tree stands; itself not recursive."""

from __future__ import annotations

from typing import TYPE_CHECKING

from awf_core.lang.expressions import grammar
from awf_core.lang.expressions.errors import Fault

if TYPE_CHECKING:
    from awf_core.lang.expressions.nodes import Node


def check_size(tree: Node) -> None:
    """Raises Fault when `tree` has too many nodes or is too deep. Shared nodes count each time they are reached."""
    count, pending = 0, [(tree, 1)]
    while pending:
        node, depth = pending.pop()
        count += 1
        if count > grammar.MAX_NODES:
            raise Fault("compilation failed: expression exceeds maximum allowed nodes", node.at)
        if depth > grammar.MAX_TREE_DEPTH:
            raise Fault(f"the expression nests or chains more than {grammar.MAX_TREE_DEPTH} operations", node.at)
        pending.extend((child, depth + 1) for child in node.children())
