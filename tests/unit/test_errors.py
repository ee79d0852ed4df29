"""Errors carry an exit code, and no password leaves through one."""

from __future__ import annotations

import time

import pytest

from awf_core import errors
from awf_core.errors import redact_url


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("redis://localhost:6379/0", "redis://localhost:6379/0"),
        ("redis://:s3cret@h:1/0", "redis://:***@h:1/0"),
        ("amqp://u:p%40ss@h/v", "amqp://u:***@h/v"),
        ("amqp://u:p@ss@h/v", "amqp://u:***@h/v"),
        ("see amqp://a:b@h and redis://c:d@i", "see amqp://a:***@h and redis://c:***@i"),
        ("rediss://user:x/y:z@h", "rediss://user:***@h"),
        ("amqp://a:b@h1,amqp://c:d@h2", "amqp://a:***@h2"),
        ("no url: a:b@c", "no url: a:b@c"),
    ],
)
def test_passwords_in_urls_are_masked(text: str, shown: str):
    assert redact_url(text) == shown


@pytest.mark.parametrize(
    "text", ["w" * 1_000_000 + "://", "a://b:" * 200_000, "a://b:" * 200_000 + "@", "@" * 1_000_000]
)
def test_redacting_is_linear_for_a_text_made_to_take_long(text: str):
    began = time.process_time()

    redact_url(text)

    assert time.process_time() - began < 1


def test_redacting_twice_changes_nothing_more():
    once = redact_url("amqp://u:p@h")

    assert redact_url(once) == once


@pytest.mark.parametrize(
    ("kind", "exit_code"),
    [
        (errors.UsageError, 1),
        (errors.WorkflowNotFound, 1),
        (errors.InputError, 1),
        (errors.ConfigError, 2),
        (errors.WorkflowError, 2),
        (errors.ExecutionError, 3),
        (errors.SystemFailure, 4),
        (errors.BrokerUnavailable, 4),
        (errors.BrokerMisconfigured, 2),
        (errors.WaitTimeout, 124),
    ],
)
def test_every_error_knows_its_exit_code(kind: type[errors.AwfError], exit_code: int):
    assert kind("x").exit_code == exit_code
