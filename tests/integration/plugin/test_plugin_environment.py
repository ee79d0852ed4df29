"""A set address variable chooses its backend when nothing else does, without importing any."""

from __future__ import annotations

import sys

import pytest

from awf_core.errors import ConfigError
from awf_core.plugin.environment import backend_from_environment, variables_of


def test_a_declared_variable_selects_its_backend_without_importing_it(packages):
    module = packages.install("awf-mq-fake", mq="fake", env="AWF_MQ_AMQP_URL")

    chosen = backend_from_environment({"AWF_MQ_AMQP_URL": "amqp://host"})

    assert chosen == ("fake", "AWF_MQ_AMQP_URL")
    assert module not in sys.modules


@pytest.mark.parametrize("variable", ["AWF_MQ_FAKE_URL", "AWF_MQ_FAKE_QUEUE_URL"])
def test_the_variable_of_an_installed_backends_address_selects_it(packages, variable):
    packages.install("awf-mq-fake", mq="fake")

    assert backend_from_environment({variable: "fake://host"}) == ("fake", variable)


def test_nothing_set_selects_nothing(packages):
    packages.install("awf-mq-fake", mq="fake", env="AWF_MQ_AMQP_URL")

    assert backend_from_environment({"AWF_MQ_AMQP_URL": "", "AWF_MQ_CONCURRENCY": "3"}) is None


def test_two_variables_of_one_backend_are_no_conflict(packages):
    packages.install("awf-mq-fake", mq="fake", env="AWF_MQ_AMQP_URL")

    chosen = backend_from_environment({"AWF_MQ_AMQP_URL": "a", "AWF_MQ_FAKE_URL": "b"})

    assert chosen is not None
    assert chosen[0] == "fake"


def test_variables_of_two_backends_are_an_error_naming_both(packages):
    packages.install("awf-mq-fake", mq="fake", env="AWF_MQ_AMQP_URL")
    packages.install("awf-mq-other", mq="other")

    with pytest.raises(ConfigError) as caught:
        backend_from_environment({"AWF_MQ_AMQP_URL": "a", "AWF_MQ_OTHER_URL": "b"})

    assert caught.value.message == (
        "AWF_MQ_AMQP_URL (fake) and AWF_MQ_OTHER_URL (other) are both set, and no mq.type is given: "
        "which backend is meant?"
    )
    assert "AWF_MQ_TYPE" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("variable", "package"),
    [
        ("AWF_MQ_AMQP_URL", "awf-mq-rabbitmq"),
        ("AWF_MQ_RABBITMQ_URL", "awf-mq-rabbitmq"),
        ("AWF_MQ_REDIS_URL", "awf-mq-redis"),
        ("AWF_MQ_SQS_URL", "awf-mq-sqs"),
        ("AWF_MQ_SQS_QUEUE_URL", "awf-mq-sqs"),
        ("AWF_MQ_NATS_URL", "awf-mq-nats"),
    ],
)
def test_a_set_address_that_no_backend_reads_says_what_to_install(packages, monkeypatch, variable, package):
    monkeypatch.setattr(sys, "path", [str(packages.site)])

    with pytest.raises(ConfigError) as caught:
        backend_from_environment({variable: "x://me:hunter2@host"})

    assert caught.value.message == (
        f"{variable} is set, but no installed backend reads it. Install one with: pip install {package}"
    )
    assert caught.value.exit_code == 2


def test_a_variable_named_otherwise_than_its_backend_stands_for_a_key(packages):
    packages.install("awf-mq-fake", mq="fake", env="AWF_MQ_AMQP_URL")

    assert variables_of("fake") == {"AWF_MQ_AMQP_URL": "url"}
