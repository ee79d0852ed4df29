"""A reply address comes from an untrusted producer."""

from __future__ import annotations

import pytest

from awf_core.worker.outcome import ReplyRules, reply_fault

RULES = ReplyRules(reserved=frozenset({"workflows", "awf-dlq"}))


@pytest.mark.parametrize("address", ["results-queue", "a", "team.results:2", "https://sqs.eu-west-1.amazonaws.com/1/q"])
def test_ordinary_names_are_fine(address: str):
    assert reply_fault(address, RULES) is None


@pytest.mark.parametrize(
    ("address", "fault"),
    [
        ("x" * 256, "is longer than 255 characters"),
        ("with space", "holds characters a queue name must not"),
        ("new\nline", "holds characters"),
        ("nul\0", "holds characters"),
        ("{awf}:lease", "holds characters"),
        ("-starts-with-dash", "holds characters"),
        ("r\u00e9sultats", "holds characters"),
        ("workflows", "is a queue this worker consumes, or keeps dead or undeliverable messages in"),
        ("awf-dlq", "is a queue this worker consumes, or keeps dead or undeliverable messages in"),
    ],
)
def test_unsafe_addresses_are_named_with_the_reason(address: str, fault: str):
    assert fault in str(reply_fault(address, RULES))


def test_only_addresses_that_match_an_allowed_glob_pass():
    rules = ReplyRules(allow=("team-*", "results"))

    assert reply_fault("team-a", rules) is None
    assert reply_fault("results", rules) is None
    assert "matches none of mq.reply.allow (team-*, results)" in str(reply_fault("other", rules))


def test_a_long_address_is_not_repeated_whole():
    assert len(str(reply_fault("y" * 10_000, RULES))) < 200
