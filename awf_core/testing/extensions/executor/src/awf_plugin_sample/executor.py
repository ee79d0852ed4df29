"""The executor: it runs whole workflows in place of the built-in engine. Called from several threads at once."""

from __future__ import annotations

import json
import time
import uuid

from awf_core.errors import SystemFailure
from awf_core.extensions.executors import ExecutionRequest
from awf_core.extensions.results import Run, RunError

FOLDER = "orders"


class Orders:
    """`executor: sample`: writes each run into a file of the directory `orders`."""

    def check(self) -> None:
        """Called once before the first message: raise ConfigError if nothing can run here."""

    def execute(self, request: ExecutionRequest) -> Run:
        """Run the workflow to its end. A workflow that fails is a Run with that status, and no exception.

        An executor that waits checks `request.cancel`, and stops everything that it has started.
        """
        run_id, started_at = str(uuid.uuid4()), time.time()
        if request.cancel.requested:
            return self._ended(request, run_id, started_at, "cancelled")
        path = request.cwd / FOLDER / f"{run_id}.json"
        order = {"workflow": request.workflow, "file": str(request.path), "inputs": dict(request.inputs)}
        try:
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps(order), encoding="utf-8")
        except OSError as problem:
            raise SystemFailure(f"{path}: {problem.strerror or problem}") from problem
        return self._ended(request, run_id, started_at, "completed")

    @staticmethod
    def _ended(request: ExecutionRequest, run_id: str, started_at: float, status: str) -> Run:
        is_complete = status == "completed"
        finished_at = time.time()
        return Run(
            run_id=run_id,
            workflow=request.workflow,
            status=status,
            exit_code=0 if is_complete else 3,
            final_state="ordered" if is_complete else "",
            inputs=request.inputs,
            output="ordered" if is_complete else "",
            error=None if is_complete else RunError(message="cancelled before the order was written"),
            cancel_reason=None if is_complete else request.cancel.reason,
            started_at=started_at,
            finished_at=finished_at,
            duration_ms=round((finished_at - started_at) * 1000),
        )
