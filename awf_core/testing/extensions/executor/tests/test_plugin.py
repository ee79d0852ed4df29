"""The executor, chosen by a project's configuration, with the plugin as it is installed."""

import json

import pytest
from awf_plugin_sample.executor import Orders

from awf_core.errors import AwfError
from awf_core.extensions.deadline import Cancel
from awf_core.extensions.executors import ExecutionRequest
from awf_core.plugin.doctor import diagnose
from awf_core.testing.workflow_run import run_workflow

WORKFLOW = "name: errand\nstates: {initial: done, done: {type: terminal}}\n"
CONFIG = "executor: sample\n"


def test_a_run_becomes_an_order(tmp_path):
    run = run_workflow(WORKFLOW, {"what": "milk"}, cwd=tmp_path, config=CONFIG)

    (order,) = (tmp_path / "orders").iterdir()
    assert (run.status, run.final_state, run.run_id) == ("completed", "ordered", order.stem)
    assert json.loads(order.read_text())["inputs"] == {"what": "milk"}


def test_a_place_that_can_not_be_written_is_an_error_of_the_machine(tmp_path):
    (tmp_path / "orders").write_text("a file")

    with pytest.raises(AwfError, match="orders") as caught:
        run_workflow(WORKFLOW, {}, cwd=tmp_path, config=CONFIG)

    assert caught.value.exit_code == 4


def test_a_cancelled_run_writes_nothing(tmp_path):
    cancel = Cancel()
    cancel.request("test")
    request = ExecutionRequest(
        workflow="errand", path=tmp_path / "errand.yaml", inputs={}, cwd=tmp_path, env={}, cancel=cancel
    )

    run = Orders().execute(request)

    assert (run.status, run.cancel_reason) == ("cancelled", "test")
    assert list(tmp_path.iterdir()) == []


def test_the_plugin_is_installed_without_a_problem():
    (fact,) = [fact for fact in diagnose() if fact.name == "sample"]

    assert fact.problem is None
