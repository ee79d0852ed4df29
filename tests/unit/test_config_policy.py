"""What applies to one workflow when several rules match it."""

from __future__ import annotations

import pytest

from awf_core.config.model import MqSettings, longest_run_s, policy_for

MQ = MqSettings.model_validate(
    {
        "max_run": "1h",
        "retry": {"max_attempts": 4, "jitter": 0.5},
        "workflows": {
            "build": {"retry": {"max_attempts": 9}},
            "b*": {"max_run": "10m", "retry": {"max_attempts": 2, "backoff": "linear"}},
            "*-long": {"max_run": None},
            "big-*": {"max_run": "2h"},
        },
    }
)


def test_a_workflow_without_rules_has_the_general_ones():
    policy = policy_for(MQ, "other")

    assert policy.retry == MQ.retry
    assert policy.max_run_s == 3600.0


def test_only_the_keys_that_are_given_are_overridden():
    policy = policy_for(MQ, "bake")

    assert (policy.retry.max_attempts, policy.retry.backoff, policy.retry.jitter) == (2, "linear", 0.5)


def test_the_own_name_beats_every_glob_wherever_it_stands():
    policy = policy_for(MQ, "build")

    assert policy.retry.max_attempts == 9
    assert policy.retry.backoff == "linear"
    assert policy.max_run_s == 600.0


@pytest.mark.parametrize(("name", "max_run_s"), [("x-long", None), ("big-x-long", 7200.0), ("big-x", 7200.0)])
def test_later_globs_beat_earlier_ones_and_null_lifts_the_limit(name, max_run_s):
    assert policy_for(MQ, name).max_run_s == max_run_s


def test_globs_distinguish_upper_and_lower_case():
    assert policy_for(MQ, "Big-x").max_run_s == 3600.0


@pytest.mark.parametrize(
    ("mq", "expected_s"),
    [
        ({}, None),
        ({"max_run": "10m"}, 600.0),
        ({"max_run": "10m", "workflows": {"a": {"max_run": "1h"}, "b": {"retry": {"max_attempts": 1}}}}, 3600.0),
        ({"max_run": "10m", "workflows": {"a": {"max_run": None}}}, None),
        ({"workflows": {"a": {"max_run": "1h"}}}, None),
    ],
)
def test_the_longest_run_is_the_longest_that_any_rule_allows(mq, expected_s):
    assert longest_run_s(MqSettings.model_validate(mq)) == expected_s
