"""docs/reference/configuration.md against the models that read the configuration."""

from __future__ import annotations

import json
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin

import pytest
from awf_mq_rabbitmq.settings import RabbitMqSettings
from awf_mq_redis.settings import RedisSettings
from awf_mq_sqs.settings import SqsSettings
from docs_pages import read_page, table

from awf_core.backends.sqlite.backend import SqliteSettings
from awf_core.config.backend_names import twin
from awf_core.config.keys import fields_by_key, nested_model
from awf_core.config.model import MqSettings, WorkflowSettings
from awf_core.config.problems import _allowed
from awf_core.units import DurationS, format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

PAGE = read_page("docs/reference/configuration.md")


def leaves(model: type[BaseModel], prefix: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    for key, field in fields_by_key(model).items():
        below = nested_model(field.annotation)
        if below is None:
            yield (*prefix, key), field
        else:
            yield from leaves(below, (*prefix, key))


def is_duration(field: FieldInfo) -> bool:
    reads_durations = get_args(DurationS)[1]
    metadata = [*field.metadata, *(item for part in get_args(field.annotation) for item in get_args(part)[1:])]
    return reads_durations in metadata


def shown_default(field: FieldInfo) -> str:
    if field.is_required():
        return "–"
    if field.default is None:
        return "null"
    if isinstance(field.default, tuple):
        return ", ".join(map(format_duration, field.default))
    if is_duration(field):
        return format_duration(field.default)
    if field.default == "":
        return "empty"
    return field.default if isinstance(field.default, str) else json.dumps(field.default)


def shown_allowed(field: FieldInfo) -> str:
    values = get_args(field.annotation)
    if values and get_origin(field.annotation) is tuple:
        return "list of durations"
    if values and all(isinstance(value, str) for value in values):
        return ", ".join(values)
    bounds = _allowed(field.metadata).removeprefix(" (allowed: ").removesuffix(")")
    if is_duration(field):
        return f"duration {bounds} s" if bounds else "duration"
    return " ".join(filter(None, [kind(field.annotation), bounds]))


def kind(annotation: Any) -> str:
    """The type of a value as the page names it, `X | None` as X."""
    if get_origin(annotation) in (Union, UnionType):
        annotation = get_args(annotation)[0]
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    named = {bool: "true or false", int: "whole number", float: "number", str: "text"}
    return named.get(annotation) or {list: "list of texts", dict: "mapping"}[get_origin(annotation)]


def expected_rows(model: type[BaseModel], *prefix: str) -> dict[str, tuple[str, str, str]]:
    return {
        ".".join(path): (shown_default(field), shown_allowed(field), twin(*path))
        for path, field in leaves(model, prefix)
    }


def documented_rows(heading: str) -> dict[str, tuple[str, str, str]]:
    rows = table(PAGE.section(heading), "Key")
    plain = [{name: text.replace("`", "") for name, text in row.items()} for row in rows]
    return {row["Key"]: (row["Default"], row["Allowed"], row["Variable"]) for row in plain}


@pytest.mark.parametrize(
    ("heading", "model", "prefix"),
    [
        ("## Keys under `mq`", MqSettings, ("mq",)),
        ("## Keys under `mq.sqlite`", SqliteSettings, ("mq", "sqlite")),
        ("## Keys under `mq.redis`", RedisSettings, ("mq", "redis")),
        ("## Keys under `mq.rabbitmq`", RabbitMqSettings, ("mq", "rabbitmq")),
        ("## Keys under `mq.sqs`", SqsSettings, ("mq", "sqs")),
    ],
)
def test_every_key_is_documented_with_its_default_its_range_and_its_variable(
    heading: str, model: type[BaseModel], prefix: tuple[str, ...]
) -> None:
    assert documented_rows(heading) == expected_rows(model, *prefix)


def test_every_row_says_what_its_key_is_for() -> None:
    for row in table(PAGE.text, "Key"):
        assert len(row["Meaning"]) > 10, row["Key"]


def test_the_keys_of_one_workflow_are_those_its_model_reads() -> None:
    shown = {row["Key"].strip("`") for row in table(PAGE.section("## Keys of one workflow"), "Key")}

    assert shown == {
        "executor",
        "max_run",
        *(".".join(path) for path, _ in leaves(WorkflowSettings, ()) if path[0] == "retry"),
    }


def test_the_keys_outside_of_mq_are_those_the_project_file_knows() -> None:
    from awf_core.config.project import TOP_KEYS

    shown = {row["Key"].strip("`").partition(".")[0] for row in table(PAGE.section("## Keys outside `mq`"), "Key")}

    assert shown == set(TOP_KEYS) - {"mq"}
