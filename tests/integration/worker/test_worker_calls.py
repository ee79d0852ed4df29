"""A message whose workflow calls others: they are found by the names that messages may use."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from queue_project import Project

    from .conftest import Work

CALLING = """
name: {name}
states:
  initial: a
  a: {{type: call_workflow, workflow: {target}, inputs: {{text: hi}}, on_success: done}}
  done: {{type: terminal}}
"""


def test_a_message_can_name_a_workflow_that_calls_another(project: Project, work: Work) -> None:
    project.workflow("child", f"echo $text $AWF_MESSAGE_ID >> {project.marks}/said")
    project.workflow_text("caller", CALLING.format(name="caller", target="child"))
    project.put({"id": "m-1", "workflow": "caller", "reply_to": "results"})

    served = work()

    assert served.exit_code == 0
    assert [result["status"] for result in project.results()] == ["completed"]
    assert (project.marks / "said").read_text() == "hi m-1\n"


def test_a_call_by_path_is_refused_as_in_a_message(project: Project, work: Work) -> None:
    project.mq(retry={"max_attempts": 1})
    project.workflow("child", "true")
    project.workflow_text("caller", CALLING.format(name="caller", target="./.awf/workflows/child.yaml"))
    project.put({"workflow": "caller", "reply_to": "results"})

    work()

    (result,) = project.results()
    assert result["status"] == "failed"
    assert result["error"]["code"] == "USER.FACADE.IDENTIFIER_MALFORMED"
    assert result["error"]["message"].startswith('step a: load sub-workflow "./.awf/workflows/child.yaml": ')
