"""The names under which a workflow can be found.

Called by discovery before any path is built. A name that passes is one path component, so no lookup by name can leave
the workflow directories. Pure.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from awf_core.errors import UsageError
from awf_core.lang.go.quoting import quoted

SUFFIX = ".yaml"
MAX_NAME_BYTES = 200
"""File systems take 255 for a component."""
MALFORMED = "USER.FACADE.IDENTIFIER_MALFORMED"
EMPTY = "USER.FACADE.IDENTIFIER_EMPTY"
_PACK_PART = re.compile(r"[a-z][a-z0-9-]*")
_SHOWN = 80
_UNPRINTABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode categories: controls, lone surrogates, line and paragraph separators."""


class InvalidWorkflowName(UsageError):
    """A name under which no workflow can be looked up."""

    exit_code = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowName:
    """A name taken apart. `pack` is empty for a workflow outside of packs; `workflow` has no `.yaml`."""

    pack: str
    workflow: str


def parse_name(name: str) -> WorkflowName:
    """`name` as `workflow` or `pack/workflow`, a `.yaml` at the end tolerated. Raises InvalidWorkflowName."""
    if not name:
        raise InvalidWorkflowName("workflow name is empty", code=EMPTY, hint="Name a workflow; `awf list` shows them.")
    if len(name) > MAX_NAME_BYTES or len(name.encode("utf-8", "surrogatepass")) > MAX_NAME_BYTES:
        text = f"workflow name {_shown(name)} is longer than the {MAX_NAME_BYTES} bytes allowed"
        raise InvalidWorkflowName(text, code=MALFORMED)
    if any(unicodedata.category(char) in _UNPRINTABLE for char in name):
        raise InvalidWorkflowName(f"workflow name {_shown(name)} contains a control character", code=MALFORMED)
    pack, slash, workflow = name.partition("/")
    if slash:
        return WorkflowName(pack=_pack_part("pack", pack), workflow=_pack_part("workflow", _bare(workflow)))
    return WorkflowName(pack="", workflow=_plain(_bare(name)))


def bare_name(name: str) -> str:
    """`name` as a message has to give it: the name that policies are looked up by. Raises InvalidWorkflowName.

    A second spelling of the same workflow would avoid the policy of the first.
    """
    if name.endswith(SUFFIX):
        raise InvalidWorkflowName(
            f"workflow name {_shown(name)} ends with {quoted(SUFFIX)}, and a message names a workflow, not a file",
            code=MALFORMED,
            hint=f"Leave the {SUFFIX} out.",
        )
    return name


def _bare(name: str) -> str:
    return name.removesuffix(SUFFIX)


def _plain(name: str) -> str:
    if not name or name.startswith(".") or ".." in name or "\\" in name:
        raise InvalidWorkflowName(
            f"invalid workflow name {_shown(name)}: it must not be empty, begin with '.', or contain '..' or '\\'",
            code=MALFORMED,
            hint="Use the name that `awf list` shows.",
        )
    return name


def _pack_part(what: str, part: str) -> str:
    if not _PACK_PART.fullmatch(part):
        raise InvalidWorkflowName(
            f"{what} name: invalid name {_shown(part)}: must match ^[a-z][a-z0-9-]*$",
            code=MALFORMED,
            hint="A name with a slash means a workflow of a pack, `pack/workflow`.",
        )
    return part


def _shown(name: str) -> str:
    return quoted(name if len(name) <= _SHOWN else name[:_SHOWN] + "…")
