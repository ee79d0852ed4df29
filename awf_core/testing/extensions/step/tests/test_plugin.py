"""The step type in workflows, with the plugin as it is installed."""

import pytest

from awf_core.errors import AwfError
from awf_core.plugin.doctor import diagnose
from awf_core.testing.workflow_run import run_workflow

WORKFLOW = """
name: waiting
states:
  initial: wait
  wait: {type: sample.wait, config: {path: "{{.inputs.file}}"}, timeout: 1, on_success: done, on_failure: late}
  late: {type: terminal, status: failure, message: "it did not come"}
  done: {type: terminal}
"""


def test_a_file_that_is_there_ends_the_wait(tmp_path):
    (tmp_path / "ready").write_text("")

    run = run_workflow(WORKFLOW, {"file": "ready"}, cwd=tmp_path)

    assert (run.status, run.path) == ("completed", ("wait", "done"))
    assert run.states["wait"].output == str(tmp_path / "ready")


def test_the_time_limit_ends_the_wait_and_on_failure_follows(tmp_path):
    run = run_workflow(WORKFLOW, {"file": "never"}, cwd=tmp_path)

    assert (run.status, run.path) == ("failed", ("wait", "late"))
    assert run.states["wait"].error == "never: context deadline exceeded"


def test_an_undefined_name_ends_the_run(tmp_path):
    run = run_workflow(WORKFLOW, {}, cwd=tmp_path)

    assert (run.status, run.path) == ("failed", ("wait",))
    assert "undefined variable" in run.error.message


def test_a_state_without_a_path_does_not_load(tmp_path):
    with pytest.raises(AwfError, match=r"waiting.yaml:5: step 'wait': config needs a `path`"):
        run_workflow(WORKFLOW.replace("path:", "file:"), {"file": "x"}, cwd=tmp_path)


def test_the_plugin_is_installed_without_a_problem():
    (fact,) = [fact for fact in diagnose() if fact.name == "sample"]

    assert fact.problem is None
