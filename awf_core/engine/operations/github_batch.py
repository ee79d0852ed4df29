"""The operation `github.batch`: several `github.*` operations side by side.

Registered with them. Its strategies are those of a parallel state; results come in the order asked for.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from awf_core.engine.allowance import CANCELLED_TEXT
from awf_core.engine.operations import Operation, OperationFailed, OperationResult
from awf_core.engine.steps.parallel_branches import Branches
from awf_core.lang.go.text import type_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from awf_core.engine.cancel import Cancel
    from awf_core.engine.outward.context import OutwardContext

_DEFAULT_CONCURRENCY = 3
_MAX_CONCURRENCY = 32
_STOPS_AFTER = {"all_succeed": False, "any_succeed": True}
"""Strategy -> after which kind of outcome (success or not) the rest is not worth doing."""


class GithubBatch:
    """Inputs: `operations` (a list of `{name, inputs}`), `strategy`, `concurrency`."""

    def __init__(self, operations: Mapping[str, Operation]) -> None:
        self._operations = operations

    def run(self, inputs: Mapping[str, Any], context: OutwardContext) -> OperationResult:
        """Do them. Raises OperationFailed when the strategy is not fulfilled."""
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
            return self._one(wanted[int(index)], replace(context, allowance=context.allowance.under(cancel)))

        stops_after = _STOPS_AFTER.get(strategy)
        branches = Branches(run=run, decides=lambda result: (not result.error) is stops_after)
        indexes = [str(index) for index in range(len(wanted))]
        outcomes = dict(
            branches.run_all(indexes, at_once=concurrency, parent=context.allowance.cancel, label="github.batch")
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
