"""The remaining reference pages against the code: hooks, messages and results, exit codes, the queue file's columns."""

from __future__ import annotations

import inspect
import json
import re
import tomllib
from typing import TYPE_CHECKING

from docs_pages import ROOT, read_page, table

from awf_core import errors
from awf_core.backends.sqlite.backend import Backend, SqliteSettings
from awf_core.cli.schema import MESSAGE, RESULT
from awf_core.clock import SystemClock
from awf_core.contract import BackendContext
from awf_core.hookspecs import SPEC_CLASSES

if TYPE_CHECKING:
    from pathlib import Path

MESSAGES = read_page("docs/reference/messages-and-results.md")
EXIT_CODES = read_page("docs/reference/exit-codes.md")
HOOKS = read_page("docs/reference/hooks.md")
QUEUE = read_page("docs/explanation/embedded-queue.md")


def names(rows: list[dict[str, str]], heading: str) -> list[str]:
    return [row[heading].strip("`") for row in rows]


def test_every_hook_is_documented_with_its_parameters() -> None:
    specs = {name: function for one in SPEC_CLASSES for name, function in vars(one).items() if name.startswith("awf_")}
    real = {name: [p for p in inspect.signature(spec).parameters if p != "self"] for name, spec in specs.items()}

    headings = re.findall(r"^### `(\w+)\((.*)\)`$", HOOKS.prose, re.MULTILINE)

    assert {name: arguments.split(", ") if arguments else [] for name, arguments in headings} == real


def test_the_documented_keys_of_a_message_are_those_of_its_schema() -> None:
    assert names(table(MESSAGES.section("## The message"), "Key"), "Key") == list(MESSAGE["properties"])


def test_the_documented_keys_of_a_result_are_those_of_its_schema() -> None:
    assert names(table(MESSAGES.section("## The result"), "Key"), "Key") == list(RESULT["properties"])


def test_the_example_of_a_result_has_every_key() -> None:
    example = next(block for block in MESSAGES.blocks if '"duration_ms"' in block.text)

    assert list(json.loads(example.text)) == list(RESULT["properties"])


def test_every_reason_for_dead_lettering_is_documented() -> None:
    code = "".join(
        (ROOT / "awf_core" / "worker" / name).read_text(encoding="utf-8")
        for name in ("plan.py", "decide.py", "settlement.py")
    )
    given = r'(?m:^[A-Z_]+ = |reason=|_dead\()"(\w+)"'

    assert set(names(table(MESSAGES.section("## Reasons for dead-lettering"), "Reason"), "Reason")) == set(
        re.findall(given, code)
    )


def test_every_error_is_documented_with_its_exit_code() -> None:
    classes = [item for item in vars(errors).values() if isinstance(item, type) and issubclass(item, errors.AwfError)]
    real = {item.__name__: str(item.exit_code) for item in classes if item is not errors.AwfError}

    shown = {row["Error"].strip("`"): row["Exit code"] for row in table(EXIT_CODES.section("## Errors"), "Error")}

    assert shown == real


def test_every_exit_code_of_a_worker_is_documented() -> None:
    from awf_core.worker import serve

    codes = {str(value) for name, value in vars(serve).items() if name.startswith("EXIT_")}
    codes |= {str(errors.ConfigError.exit_code), str(errors.BrokerUnavailable.exit_code)}

    rows = table(EXIT_CODES.section("## Exit codes"), "Code")

    assert {row["Code"] for row in rows if row["`awf worker`"] != "–"} == codes


def test_the_documented_columns_are_those_of_a_new_queue_file(tmp_path: Path) -> None:
    import sqlite3

    context = BackendContext(worker="docs", clock=SystemClock(), directory=str(tmp_path))
    backend = Backend(SqliteSettings(), context)
    backend.awf_mq_open()
    backend.awf_mq_close()

    with sqlite3.connect(tmp_path / "queue.db") as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(message)")]

    assert sorted(names(table(QUEUE.section("## The table"), "Column"), "Column")) == sorted(columns)


def test_the_documented_capabilities_are_those_of_the_backend(tmp_path: Path) -> None:
    context = BackendContext(worker="docs", clock=SystemClock(), directory=str(tmp_path))
    real = Backend(SqliteSettings(), context).capabilities

    shown = {
        row["Capability"].strip("`"): row["Value"].strip("`")
        for row in table(QUEUE.section("## Capabilities"), "Capability")
    }

    assert shown == {name: str(getattr(real, name)) for name in real.__slots__}


def test_the_documented_layers_are_those_of_the_import_contract() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = next(one["layers"] for one in project["tool"]["importlinter"]["contracts"] if "layers" in one)

    shown = [block.text.splitlines() for block in read_page("docs/explanation/architecture.md").blocks]

    assert layers in shown


def test_the_readme_names_the_step_types_that_run() -> None:
    from awf_core.engine.steps import builtin_step_types

    sentence = re.search(r"These step types run: ([^.]*)\.", read_page("README.md").prose)

    assert sentence is not None
    assert set(re.findall(r"`(\w+)`", sentence[1])) == set(builtin_step_types().names()) - {"command"}
