"""The operations `github.*`: issues, pull requests, labels and comments through the command line tool `gh`.

Registered by `awf_core.integrations`. Each is a function from inputs to outputs. `github.batch` runs several of them at
the same time, with the strategies of a parallel state; its results come in the order of its inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from awf_core.engine.run.branches import Branches
from awf_core.extensions.deadline import CANCELLED_TEXT, Cancel
from awf_core.extensions.operations import Operation, OperationFailed, OperationResult
from awf_core.extensions.outward import OutwardContext
from awf_core.integrations.gh import json_outputs, need, number, repository, run_gh, text, texts
from awf_core.lang.go.text import type_name

Inputs = Mapping[str, Any]
Call = Callable[[Inputs, "OutwardContext"], dict[str, Any]]

_ISSUE_FIELDS = "number,title,body,state,labels"
_PR_FIELDS = "number,title,body,state,headRefName,baseRefName,mergeable,mergedAt,labels"
_DEFAULT_CONCURRENCY = 3
_MAX_CONCURRENCY = 32
_STOPS_AFTER = {"all_succeed": False, "any_succeed": True}
"""Strategy -> the outcome (success or not) after which the rest is stopped."""


class GithubOperation:
    """The operation `name`; `call` maps its inputs to its outputs."""

    def __init__(self, name: str, call: Call) -> None:
        self._name = name
        self._call = call

    def run(self, inputs: Inputs, context: OutwardContext) -> OperationResult:
        """See `Operation.run`. Raises OperationFailed with the operation's name before the reason."""
        try:
            return OperationResult(outputs=self._call(inputs, context))
        except OperationFailed as problem:
            raise OperationFailed(f"{self._name}: {problem.text}", outputs=problem.outputs) from problem


def github_operations() -> dict[str, Operation]:
    """Every `github.*` operation by name."""
    single: dict[str, Operation] = {name: GithubOperation(name, call) for name, call in _CALLS.items()}
    return {**single, "github.batch": GithubBatch(single)}


def _view(kind: str, fields: str) -> Call:
    """Reads `fields` of an issue or a pull request."""
    return lambda inputs, context: json_outputs(_gh([kind, "view", number(inputs), "--json", fields], inputs, context))


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


class GithubBatch:
    """Inputs: `operations` (a list of `{name, inputs}`), `strategy`, `concurrency`."""

    def __init__(self, operations: Mapping[str, Operation]) -> None:
        self._operations = operations

    def run(self, inputs: Mapping[str, Any], context: OutwardContext) -> OperationResult:
        """See `Operation.run`. Raises OperationFailed when the strategy is not fulfilled."""
        wanted = [item for item in inputs.get("operations") or [] if isinstance(item, dict)]
        strategy = inputs.get("strategy")
        for index, item in enumerate(wanted):
            _check(index, item)
        results = self._run_all(wanted, _concurrency(inputs), str(strategy), context)
        failed = [result for result in results if result.error]
        if strategy == "all_succeed" and failed:
            first = next(index for index, result in enumerate(results) if result.error)
            why = f"operation {wanted[first]['name']} failed: {results[first].error}"
            raise OperationFailed(f"github.batch: batch execution: {why}", outputs=_summary([], results=[]))
        if strategy == "any_succeed" and wanted and len(failed) == len(results):
            raise OperationFailed(
                f"github.batch: all {len(wanted)} operations failed", outputs=_summary([], results=[])
            )
        has_failed = bool(failed) and strategy != "any_succeed"
        error = f"github.batch: {len(failed)} of {len(results)} operations failed" if has_failed else ""
        return OperationResult(outputs=_summary(wanted, results=results), error=error)

    def _run_all(
        self, wanted: Sequence[dict[str, Any]], concurrency: int, strategy: str, context: OutwardContext
    ) -> list[OperationResult]:
        def run(index: str, cancel: Cancel) -> OperationResult:
            return self._one(wanted[int(index)], replace(context, deadline=context.deadline.with_cancel(cancel)))

        stops_after = _STOPS_AFTER.get(strategy)
        branches = Branches(run=run, decides=lambda result: (not result.error) is stops_after)
        indexes = [str(index) for index in range(len(wanted))]
        outcomes = dict(
            branches.run_all(indexes, at_once=concurrency, parent=context.deadline.cancel, label="github.batch")
        )
        return [outcomes.get(index, OperationResult(error=CANCELLED_TEXT)) for index in indexes]

    def _one(self, item: dict[str, Any], context: OutwardContext) -> OperationResult:
        operation = self._operations.get(item["name"])
        if operation is None:
            return OperationResult(error=f"unknown operation: {item['name']}")
        try:
            return operation.run(item.get("inputs") or {}, context)
        except OperationFailed as problem:
            return OperationResult(outputs=problem.outputs or {}, error=problem.text)


def _concurrency(inputs: Mapping[str, Any]) -> int:
    given = inputs.get("concurrency")
    is_usable = isinstance(given, int) and not isinstance(given, bool) and given > 0
    return min(given, _MAX_CONCURRENCY) if is_usable and given is not None else _DEFAULT_CONCURRENCY


def _check(index: int, item: dict[str, Any]) -> None:
    name = item.get("name")
    problem = ""
    if "name" not in item:
        problem = "operation missing required field: name"
    elif not isinstance(name, str):
        problem = f"operation name must be a string, got {type_name(name)}"
    elif not name:
        problem = "operation name cannot be empty"
    elif item.get("inputs") is not None and not isinstance(item["inputs"], dict):
        problem = f"operation inputs must be a map, got {type_name(item['inputs'])}"
    if problem:
        raise OperationFailed(f"github.batch: operation {index}: {problem}", outputs=_summary([], results=[]))


def _summary(wanted: Sequence[dict[str, Any]], *, results: Sequence[OperationResult]) -> dict[str, Any]:
    failed = sum(bool(result.error) for result in results)
    return {
        "total": len(wanted),
        "succeeded": len(results) - failed,
        "failed": failed,
        "results": [
            {"name": item["name"], "success": not result.error, "outputs": dict(result.outputs), "error": result.error}
            for item, result in zip(wanted, results, strict=True)
        ],
    }


_CALLS: dict[str, Call] = {
    "github.get_issue": _view("issue", _ISSUE_FIELDS),
    "github.get_pr": _view("pr", _PR_FIELDS),
    "github.create_pr": _create_pr,
    "github.create_issue": _create_issue,
    "github.add_labels": _add_labels,
    "github.list_comments": _view("issue", "comments"),
    "github.add_comment": _add_comment,
}
