"""The operations `github.*`: issues, pull requests, labels and comments through the command line tool `gh`.

Registered by `registry.py`. Each is a function from inputs to outputs; `github.batch` runs several of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from awf_core.engine.operations import Operation, OperationFailed, OperationResult
from awf_core.engine.operations.gh import json_outputs, repository, run_gh
from awf_core.engine.operations.github_batch import GithubBatch
from awf_core.engine.operations.github_inputs import need, number, text, texts

if TYPE_CHECKING:
    from awf_core.engine.outward.context import OutwardContext

Inputs = Mapping[str, Any]
Call = Callable[[Inputs, "OutwardContext"], dict[str, Any]]

_ISSUE_FIELDS = "number,title,body,state,labels"
_PR_FIELDS = "number,title,body,state,headRefName,baseRefName,mergeable,mergedAt,labels"


class GithubOperation:
    """One of them; `call` does it."""

    def __init__(self, name: str, call: Call) -> None:
        self._name = name
        self._call = call

    def run(self, inputs: Inputs, context: OutwardContext) -> OperationResult:
        """Do it. Raises OperationFailed with the operation's name before the reason."""
        try:
            return OperationResult(outputs=self._call(inputs, context))
        except OperationFailed as problem:
            raise OperationFailed(f"{self._name}: {problem.text}", outputs=problem.outputs) from problem


def github_operations() -> dict[str, Operation]:
    """Every `github.*` operation by name."""
    single: dict[str, Operation] = {name: GithubOperation(name, call) for name, call in _CALLS.items()}
    return {**single, "github.batch": GithubBatch(single)}


def _get_issue(inputs: Inputs, context: OutwardContext) -> dict[str, Any]:
    return _ask(["issue", "view", number(inputs), "--json", _ISSUE_FIELDS], inputs, context)


def _get_pr(inputs: Inputs, context: OutwardContext) -> dict[str, Any]:
    return _ask(["pr", "view", number(inputs), "--json", _PR_FIELDS], inputs, context)


def _list_comments(inputs: Inputs, context: OutwardContext) -> dict[str, Any]:
    return _ask(["issue", "view", number(inputs), "--json", "comments"], inputs, context)


def _ask(arguments: list[str], inputs: Inputs, context: OutwardContext) -> dict[str, Any]:
    return json_outputs(_gh(arguments, inputs, context))


def _create_pr(inputs: Inputs, context: OutwardContext) -> dict[str, Any]:
    title, head, base = need(inputs, "title", "head", "base")
    arguments = ["pr", "create", "--title", title, "--head", head, "--base", base, "--body", text(inputs, "body")]
    where = repository(inputs.get("repo"), context)
    draft = ["--draft"] if inputs.get("draft") in (True, "true", "draft") else []
    try:
        url = run_gh([*arguments, *where, *draft], context).strip()
    except OperationFailed as problem:
        if "already exists" not in problem.text:
            raise
        return _existing_pr(head, where, context)
    return {"number": _last_part(url), "url": url, "already_exists": "false"}


def _existing_pr(head: str, where: list[str], context: OutwardContext) -> dict[str, Any]:
    try:
        found = json_outputs(run_gh(["pr", "view", head, "--json", "number,url", *where], context))
    except OperationFailed as problem:
        raise OperationFailed(f"fetch existing PR: {problem.text}") from problem
    return {"number": str(found.get("number", "")), "url": found.get("url", ""), "already_exists": "true"}


def _create_issue(inputs: Inputs, context: OutwardContext) -> dict[str, Any]:
    (title,) = need(inputs, "title")
    labels = [part for label in texts(inputs, "labels") for part in ("--label", label)]
    assignees = [part for name in texts(inputs, "assignees") for part in ("--assignee", name)]
    where = repository(inputs.get("repo"), context)
    arguments = ["issue", "create", "--title", title, "--body", text(inputs, "body"), *where, *labels, *assignees]
    url = run_gh(arguments, context).strip()
    return {"number": _last_part(url), "url": url}


def _add_labels(inputs: Inputs, context: OutwardContext) -> dict[str, Any]:
    which, labels = number(inputs), texts(inputs, "labels")
    if not labels:
        raise OperationFailed("labels is required")
    added = [part for label in labels for part in ("--add-label", label)]
    _gh(["issue", "edit", which, *added], inputs, context)
    return {"labels": ",".join(labels)}


def _add_comment(inputs: Inputs, context: OutwardContext) -> dict[str, Any]:
    which = number(inputs)
    (body,) = need(inputs, "body")
    url = _gh(["issue", "comment", which, "--body", body], inputs, context).strip()
    return {"comment_id": "", "url": url}


def _gh(arguments: list[str], inputs: Inputs, context: OutwardContext) -> str:
    return run_gh([*arguments, *repository(inputs.get("repo"), context)], context)


def _last_part(url: str) -> str:
    return url.rstrip("/").rpartition("/")[2]


_CALLS: dict[str, Call] = {
    "github.get_issue": _get_issue,
    "github.get_pr": _get_pr,
    "github.create_pr": _create_pr,
    "github.create_issue": _create_issue,
    "github.add_labels": _add_labels,
    "github.list_comments": _list_comments,
    "github.add_comment": _add_comment,
}
