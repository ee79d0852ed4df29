"""docs/reference/log-events.md against the names of events, and against the places that write them."""

from __future__ import annotations

import ast
from collections import defaultdict

from docs_pages import ROOT, read_page, table

from awf_core.observe import events

PAGE = read_page("docs/reference/log-events.md")
LEVELS = ("debug", "info", "warning", "error", "exception")
NO_FIELDS = {"exc_info"}
BROKER_ERROR = {"error", "hint", "muted"}
"""What `log_broker_error` adds to each line."""
NOT_WRITTEN = "not written by this version"
BY_THE_LOG_ITSELF = {events.LIBRARY, events.LOG_DROPPED}


def documented() -> dict[str, dict[str, str]]:
    return {row["Event"].strip("`"): row for row in table(PAGE.section("## Events"), "Event")}


def written() -> dict[str, tuple[set[str], set[str]]]:
    """The (levels, fields) of each event, from every call in the code that writes one."""
    found: dict[str, tuple[set[str], set[str]]] = defaultdict(lambda: (set(), set()))
    for path in (ROOT / "awf_core").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and node.args and is_event(node.args[0]):
                levels, fields = found[getattr(events, node.args[0].attr)]
                levels |= level_of(node)
                fields |= fields_of(node)
    return found


def is_event(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "events"


def level_of(call: ast.Call) -> set[str]:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    return {"error" if name == "exception" else name} if name in LEVELS else set()


def fields_of(call: ast.Call) -> set[str]:
    named = {keyword.arg for keyword in call.keywords if keyword.arg}
    spread = [keyword.value for keyword in call.keywords if not keyword.arg]
    dicts = [node for value in spread for node in ast.walk(value) if isinstance(node, ast.Dict)]
    keys = {str(key.value) for each in dicts for key in each.keys if isinstance(key, ast.Constant)}
    is_broker_error = isinstance(call.func, ast.Name) and call.func.id == "log_broker_error"
    return (named | keys | (BROKER_ERROR if is_broker_error else set())) - NO_FIELDS


def test_every_event_is_documented_in_the_words_of_the_code() -> None:
    assert {name: row["Meaning"] for name, row in documented().items()} == events.MEANING


def test_the_documented_levels_are_those_the_code_writes_at() -> None:
    shown = {name: set(row["Level"].split(", ")) for name, row in documented().items()}

    assert {name: levels for name, (levels, _) in written().items() if not levels <= shown[name]} == {}


def test_the_documented_fields_are_those_the_code_writes() -> None:
    shown = {name: {field.strip("` ") for field in row["Fields"].split(",")} for name, row in documented().items()}

    real = {name: fields for name, (_, fields) in written().items()}
    assert {name: shown[name] for name in real} == real


def test_an_event_that_no_code_writes_is_marked_as_such() -> None:
    silent = set(events.MEANING) - set(written()) - BY_THE_LOG_ITSELF

    assert {name for name, row in documented().items() if row["Level"] == NOT_WRITTEN} == silent
