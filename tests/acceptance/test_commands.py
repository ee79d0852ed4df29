"""The command line as a user meets it: submit and wait, exit codes, streams, and what starting it costs."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import awf_process
import pytest
from plugin_package import install_plugin

if TYPE_CHECKING:
    from queue_project import Project

    from .conftest import Awf, StartWorker


def test_submit_wait_gives_the_output_and_exit_code_that_run_would(
    project: Project, awf: Awf, start_worker: StartWorker
) -> None:
    project.mq(retry={"max_attempts": 1, "defer_unknown": "0s"})
    project.workflow("hello", "echo Hello, {{.inputs.name}}!", inputs=[{"name": "name", "required": True}])
    project.workflow("fails", "echo broken pump >&2; exit 9")
    project.workflow_text("invalid", "name: invalid\nstates: {initial: nowhere}\n")
    worker = start_worker()
    worker.await_line("worker.ready")

    good = awf("submit", "hello", "--input", "name=Ada", "--wait", "--timeout", "20s")
    failed = awf("submit", "fails", "--wait", "--timeout", "20s")
    user = awf("submit", "hello", "--wait", "--timeout", "20s", "--format", "json")
    unknown = awf("submit", "absent", "--wait", "--timeout", "20s")
    invalid = awf("submit", "invalid", "--wait", "--timeout", "20s")

    assert (good.returncode, good.stdout) == (0, "Hello, Ada!\n")
    assert "waiting for its result" in good.stderr
    assert "hello: completed after attempt 1" in good.stderr
    assert (failed.returncode, failed.stdout) == (3, "")
    assert "Error: broken pump" in failed.stderr
    assert (user.returncode, unknown.returncode, invalid.returncode) == (1, 1, 2)
    assert json.loads(user.stdout)["status"] == "rejected"
    assert "Error: workflow not found: absent" in unknown.stderr
    assert [awf("run", name).returncode for name in ("fails", "absent", "invalid")] == [3, 1, 2]
    assert worker.stop() == 0
    # What waits in a reply queue has been taken; only the dead-lettered messages stay.
    assert project.sql("SELECT DISTINCT queue FROM message") == [("awf-dlq",)]


def test_a_first_project_works_from_init_to_result(project: Project, awf: Awf) -> None:
    fresh = project.directory / "fresh"
    assert awf("init", "fresh").returncode == 0
    run = [awf_process.AWF, "submit", "hello", "--input", "name=Ada", "--reply-to", "results"]
    submitted = subprocess.run(run, cwd=fresh, capture_output=True, text=True)
    assert submitted.returncode == 0

    worked = awf_process.awf(fresh, "worker", "--burst")

    assert worked.returncode == 0
    browsed = awf_process.awf(fresh, "queue", "browse", "results", "--format", "json")
    (item,) = json.loads(browsed.stdout)
    result = json.loads(item["body"])
    assert (result["output"], result["outputs"]) == ("Hello, Ada!\n", {"greeting": "Hello, Ada!\n"})
    assert browsed.stderr == ""


def test_a_dead_lettered_message_is_replayed_and_completes(project: Project, awf: Awf) -> None:
    project.mq(retry={"max_attempts": 1})
    project.workflow("deploy", "echo no disk >&2; exit 1")
    project.put({"id": "m-1", "workflow": "deploy", "reply_to": "results"})
    assert awf("worker", "--burst").returncode == 3
    (dead,) = json.loads(awf("dlq", "list", "--format", "json").stdout)
    assert (dead["message_id"], dead["reason"], dead["error"].strip()) == ("m-1", "max_attempts", "no disk")

    project.workflow("deploy", "echo deployed")
    assert awf("dlq", "replay", "m-1").stdout == "1\n"

    assert awf("worker", "--burst").returncode == 0
    assert [result["status"] for result in project.results()] == ["failed", "completed"]
    assert project.results()[1]["attempt"] == 1
    assert project.dead_messages() == []


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["list"]])
def test_a_command_that_needs_no_queue_imports_nothing_heavy(project: Project, arguments: list[str]) -> None:
    program = (
        "import sys\n"
        "from awf_core.cli.main import main\n"
        "try: main(sys.argv[1:])\n"
        "finally:\n"
        "    heavy = {'pydantic', 'stevedore', 'awf_core.config.model', 'sqlite3'} & set(sys.modules)\n"
        "    print('heavy:', *sorted(heavy), file=sys.stderr)\n"
    )

    ended = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=project.directory, capture_output=True, text=True
    )

    assert ended.returncode == 0
    assert ended.stderr.splitlines()[-1] == "heavy:"


def test_a_worker_imports_no_backend_but_its_own(project: Project) -> None:
    program = (
        "import sys\n"
        "from awf_core.cli.main import main\n"
        "try: main(['worker', '--burst'])\n"
        "finally: print('clients:', *sorted({'redis', 'pika', 'boto3'} & set(sys.modules)))\n"
    )

    ended = subprocess.run([sys.executable, "-c", program], cwd=project.directory, capture_output=True, text=True)

    assert ended.stdout == "clients:\n"


def test_a_command_of_a_plugin_runs_and_its_exception_is_shown_as_an_internal_error(project: Project, awf: Awf) -> None:
    site = project.directory / "site"
    site.mkdir()
    install_plugin(
        site,
        "commanding",
        "import click\n"
        "@click.command('audit')\n"
        "def audit():\n"
        "    'Audits the queue.'\n"
        "    click.echo('audited')\n"
        "@click.command('broken')\n"
        "def broken(): 1 / 0\n"
        "@hookimpl\n"
        "def awf_register_commands(register):\n"
        "    register(audit)\n"
        "    register(broken)\n",
    )
    env = {"PYTHONPATH": str(site)}

    audited = awf("audit", env=env)
    broken = awf("broken", env=env)

    assert (audited.returncode, audited.stdout) == (0, "audited\n")
    assert "Audits the queue." in awf("--help", env=env).stdout
    assert broken.returncode == 4
    error, hint = broken.stderr.splitlines()
    assert error == "Error: ZeroDivisionError: division by zero"
    assert hint == "Hint: this is an internal error of awf; run again with `awf --debug …` and report the output"


@pytest.mark.parametrize("command", [[f"{awf_process.AWF}q"], [sys.executable, "-m", "awf_core"]])
def test_the_command_has_two_more_names(project: Project, command: list[str]) -> None:
    ended = subprocess.run([*command, "--version"], cwd=project.directory, capture_output=True, text=True)

    assert (ended.returncode, ended.stdout.split()[0]) == (0, "awf,")
