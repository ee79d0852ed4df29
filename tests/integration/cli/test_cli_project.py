"""`awf init`, `list`, `validate`, `config`, `plugins`, `schema`: everything about a project that needs no worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jsonschema
import pytest

from awf_core.cli.main import COMMANDS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from queue_project import Project

    from .conftest import Ended


def test_init_creates_a_project_that_lists_validates_and_submits(project: Project, cli: Callable[..., Ended]) -> None:
    ended = cli("init", "fresh")

    fresh = project.directory / "fresh" / ".awf"
    assert ended.exit_code == 0
    assert ended.stdout == ""
    assert "queue: awf-workflows (sqlite)" in ended.stderr
    assert sorted(path.name for path in fresh.iterdir() if not path.name.startswith("queue.db-")) == [
        "config.yaml",
        "queue.db",
        "workflows",
    ]
    assert "mq.type" not in (fresh / "config.yaml").read_text()
    assert cli("validate", "fresh/.awf/workflows/hello.yaml").exit_code == 0
    config = cli("config", "check", "--config", "fresh/.awf/config.yaml")
    assert (config.exit_code, config.stdout) == (0, "")


def test_init_overwrites_nothing(project: Project, cli: Callable[..., Ended]) -> None:
    config = project.config("mq: {concurrency: 2}\n")
    hello = project.workflow_text("hello", "mine")

    ended = cli("init")

    assert ended.exit_code == 0
    assert config.read_text() == "mq: {concurrency: 2}\n"
    assert hello.read_text() == "mine"
    assert ended.stderr.count("kept ") == 2


def test_list_shows_workflows_and_which_do_not_load(project: Project, cli: Callable[..., Ended]) -> None:
    hello = project.workflow("hello", description="Greets.")
    project.workflow_text("broken", "states: [")

    broken, good = cli("list", "--format", "json").data

    assert good == {"name": "hello", "path": str(hello), "description": "Greets.", "error": None}
    assert broken["name"] == "broken"
    assert broken["error"]
    heading, *rows = cli("list").stdout.splitlines()
    assert heading.split() == ["NAME", "DESCRIPTION", "PATH"]
    assert "does not load: " in rows[0]
    assert rows[1].split()[:2] == ["hello", "Greets."]


@pytest.mark.parametrize(
    "text",
    [
        "states: !!timestamp " + "9" * 5000 + "h",
        "states: !!int 9h",
        "name: [",
        "\xff\x00",
        "states: &a [*a]",
        "[" * 1500,
        "name: a\nstates: {initial: a, a: {type: !!binary " + "=" * 9 + "}}",
    ],
)
def test_no_file_hides_the_other_workflows(project: Project, cli: Callable[..., Ended], text: str) -> None:
    project.workflow("good", "true")
    (project.awf / "workflows" / "bad.yaml").write_text(text, encoding="latin-1")

    ended = cli("list")

    assert (ended.exit_code, ended.stderr) == (0, "")
    _, bad, good = ended.stdout.splitlines()
    assert bad.startswith("bad   does not load: ")
    assert "internal error" not in bad
    assert len(bad) < 1000
    assert good.startswith("good")


def test_an_empty_list_names_the_directories_that_were_searched(cli: Callable[..., Ended]) -> None:
    ended = cli("list")

    assert ended.stdout == ""
    assert ".awf/workflows" in ended.stderr
    assert "`awf init` creates a first one" in ended.stderr
    assert cli("list", "--format", "json").data == []


def test_validate_exits_with_0_for_valid_2_for_invalid_and_1_for_missing(
    project: Project, cli: Callable[..., Ended]
) -> None:
    good = project.workflow("good")
    project.workflow_text("bad", "name: bad\nstates:\n  initial: nowhere\n  a:\n    type: terminal\n")

    assert cli("validate", "good").exit_code == 0
    assert cli("validate", str(good)).exit_code == 0
    bad = cli("validate", "bad", "--format", "json")
    assert (bad.exit_code, bad.data["valid"], bad.data["workflow"]) == (2, False, "bad")
    assert "nowhere" in bad.data["errors"][0]["message"]
    assert set(bad.data["errors"][0]) == {"line", "message", "code", "hint"}
    text = cli("validate", "bad")
    assert text.stdout.startswith("error: ")
    missing = cli("validate", "godo")
    assert missing.exit_code == 1
    assert missing.stderr.startswith("Error: workflow not found: godo\nHint: Did you mean 'good'?")


def test_validate_warns_of_an_undeclared_input_that_a_run_is_given(
    project: Project, cli: Callable[..., Ended], tmp_path: Path
) -> None:
    project.workflow_text(
        "loose",
        "name: loose\nstates:\n  initial: a\n  a: {type: step, command: 'echo {{.inputs.q}}', on_success: b}\n"
        "  b: {type: terminal}\n",
    )
    (tmp_path / "inputs.json").write_text('{"q": 1}')

    without = cli("validate", "loose", "--format", "json")
    given = [
        cli("validate", "loose", "--format", "json", "--input", "q=x"),
        cli("validate", "loose", "--format", "json", "--inputs-file", str(tmp_path / "inputs.json")),
    ]
    project.config("inputs: {q: x}\n")
    given.append(cli("validate", "loose", "--format", "json"))

    assert (without.exit_code, without.data["valid"]) == (2, False)
    assert [error["message"] for error in without.data["errors"]] == ['undefined input "q" referenced in command']
    for ended in given:
        assert (ended.exit_code, ended.data["valid"], ended.data["errors"]) == (0, True, [])
        assert [warning["message"] for warning in ended.data["warnings"]] == [
            "states.a.command: input 'q' is not declared, so no message can give it"
        ]


def test_config_show_prints_every_value_with_its_origin_and_no_secret(
    project: Project, cli: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    project.config("mq:\n  grace: 3s\n")
    monkeypatch.setenv("AWF_MQ_CONCURRENCY", "7")

    ended = cli("config", "show", "--format", "json", "--type", "sqlite")

    rows = {row["key"]: (row["value"], row["origin"]) for row in ended.data}
    assert rows["mq.grace"] == ("3s", "file .awf/config.yaml:2")
    assert rows["mq.concurrency"] == (7, "environment AWF_MQ_CONCURRENCY")
    assert rows["mq.type"] == ("sqlite", "flag --type")
    assert rows["mq.retry.max_attempts"] == (3, "default")
    assert rows["mq.sqlite.lease"] == ("1m", "default")
    assert cli("config", "show").stdout.splitlines()[0].split() == ["KEY", "VALUE", "ORIGIN"]


def test_config_check_names_every_problem_with_file_line_key_and_value(
    project: Project, cli: Callable[..., Ended]
) -> None:
    project.queue_file.unlink()
    project.config("mq:\n  retry: {max_attempts: 0}\n  sqlite:\n    leese: 3s\n")

    ended = cli("config", "check")

    assert ended.exit_code == 2
    assert ".awf/config.yaml:2: mq.retry.max_attempts: 0 is out of range (allowed: 1 to 1000)" in ended.stderr
    assert not project.queue_file.exists()
    project.config("mq:\n  sqlite:\n    leese: 3s\n")
    assert ".awf/config.yaml:3: mq.sqlite.leese: unknown key 'leese'. Did you mean 'lease'?" in (
        cli("config", "check").stderr
    )


def test_unknown_keys_outside_of_mq_only_warn(project: Project, cli: Callable[..., Ended]) -> None:
    project.config("colour: red\n")

    ended = cli("config", "check")

    assert ended.exit_code == 0
    assert "warning: " in ended.stderr
    assert "colour" in ended.stderr


def test_plugins_are_listed_with_distribution_version_and_entry_point(cli: Callable[..., Ended]) -> None:
    found = cli("plugins", "--format", "json").data

    sqlite = next(plugin for plugin in found if plugin["name"] == "sqlite")
    assert sqlite == {
        "group": "awf.mq",
        "name": "sqlite",
        "distribution": "awf-core",
        "version": "0.1.0",
        "value": "awf_core.backends.sqlite.backend:Backend",
    }
    assert "awf_core.backends.sqlite.backend:Backend" in cli("plugins").stdout


def test_the_doctor_imports_plugins_and_exits_with_2_if_one_has_a_problem(
    project: Project, cli: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    well = cli("plugins", "doctor", "--format", "json")
    site = project.directory / "site"
    info = site / "ill-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ill\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[awf.mq]\nill = no_such_module:Backend\n")
    monkeypatch.syspath_prepend(str(site))

    ill = cli("plugins", "doctor", "--format", "json")

    assert well.exit_code == (2 if any(fact["problem"] for fact in well.data) else 0)
    assert [fact["problem"] for fact in well.data if fact["name"] == "sqlite"] == [None]
    assert ill.exit_code == 2
    fact = next(fact for fact in ill.data if fact["name"] == "ill")
    assert "no_such_module" in fact["problem"]
    assert len(ill.data) == len(well.data) + 1


@pytest.mark.parametrize("what", ["message", "result"])
def test_the_schema_is_a_valid_json_schema(cli: Callable[..., Ended], what: str) -> None:
    jsonschema.Draft202012Validator.check_schema(cli("schema", what).data)
    assert cli("schema").data["title"] == "AWF message"


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_has_a_help_page(cli: Callable[..., Ended], command: str) -> None:
    ended = cli(command, "--help")

    assert ended.exit_code == 0
    assert f"awf {command}" in ended.stdout
    assert ended.stderr == ""


def test_a_command_exits_with_two_or_four_if_its_queue_can_not_be_reached(
    project: Project, cli: Callable[..., Ended]
) -> None:
    project.mq(sqlite={"path": "/proc/awf/queue.db"})

    for command in (("queue", "stats"), ("dlq", "list"), ("submit", "hello"), ("init", ".")):
        ended = cli(*command)
        assert ended.exit_code in (2, 4), command
        assert "/proc/awf" in ended.stderr, command
        assert ended.stdout == "", command
