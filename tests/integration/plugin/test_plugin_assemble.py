"""From a configuration to a constructed backend, everything checked before anything connects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from awf_core.config.load import Config, load_config
from awf_core.config.show import show
from awf_core.errors import BrokerMisconfigured, ConfigError
from awf_core.plugin.assemble import assemble, choose_backend

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def configured(tmp_path: Path):
    def load(text: str = "", env: dict[str, str] | None = None, **overrides: object) -> Config:
        (tmp_path / ".awf").mkdir(exist_ok=True)
        (tmp_path / ".awf" / "config.yaml").write_text(text)
        flags = {name.replace("__", "."): value for name, value in overrides.items()}
        return load_config(cwd=tmp_path, env=env or {}, overrides=flags)

    return load


def refusal(config: Config) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        assemble(config, worker="w")
    return caught.value


def test_the_backend_gets_its_settings_and_what_the_core_knows(packages, configured, tmp_path):
    packages.install("awf-mq-fake", mq="fake")
    config = configured(
        "mq:\n  type: fake\n  fake: {lease: 90s, url: file}\n  declare: never\n  reply: {ttl: 1h}\n",
        {"AWF_MQ_FAKE_URL": "environment"},
    )

    assembly = assemble(config, worker="w-1", concurrency=9)

    backend = assembly.backend
    assert (backend.settings.url, backend.settings.lease_s) == ("environment", 90.0)
    assert backend.context.worker == "w-1"
    assert backend.context.concurrency == 9
    assert backend.context.directory == str(tmp_path / ".awf")
    assert (backend.context.declare, backend.context.reply_ttl_s) == ("never", 3600.0)
    assert not hasattr(backend, "opened")


def test_mq_calls_the_backend(packages, configured):
    packages.install("awf-mq-fake", mq="fake")

    assembly = assemble(configured("mq: {type: fake}"), worker="w")
    assembly.mq.open()

    assert assembly.backend.opened
    assert assembly.mq.stats("q").ready == 7
    assert assembly.backend_name == "fake"
    assert assembly.choice.label.startswith("awf-mq-fake 1.0 (")


def test_a_flag_beats_the_environment_for_a_backends_key(packages, configured):
    packages.install("awf-mq-fake", mq="fake")
    config = configured("mq: {type: fake}", {"AWF_MQ_FAKE_URL": "environment"}, mq__fake__url="flag")

    assert assemble(config, worker="w").settings.url == "flag"


@pytest.mark.parametrize(
    ("env", "overrides", "origin"),
    [
        ({"AWF_MQ_AMQP_URL": "fake://h"}, {}, "environment AWF_MQ_AMQP_URL"),
        ({"AWF_MQ_TYPE": "fake"}, {}, "environment AWF_MQ_TYPE"),
        ({}, {"mq__type": "fake"}, "flag --type"),
    ],
)
def test_the_type_comes_from_flag_environment_or_address(packages, configured, env, overrides, origin):
    packages.install("awf-mq-fake", mq="fake", env="AWF_MQ_AMQP_URL")

    choice = choose_backend(configured("", env, **overrides))

    assert choice.name == "fake"
    assert str(choice.origin) == origin


def test_a_variable_of_another_name_fills_the_url(packages, configured):
    packages.install("awf-mq-fake", mq="fake", env="AWF_MQ_AMQP_URL")
    config = configured("mq: {fake: {url: file}}", {"AWF_MQ_AMQP_URL": "amqp://me:hunter2@host"})

    choice = choose_backend(config)
    shown = {row.key: row for row in show(config, choice.filled)}

    assert choice.filled.settings.url == "amqp://me:hunter2@host"
    assert shown["mq.fake.url"].value == "amqp://me:***@host"
    assert shown["mq.fake.url"].origin == "environment AWF_MQ_AMQP_URL"
    assert shown["mq.fake.lease"].value == "1m"
    assert shown["mq.fake.lease"].origin == "default"


@pytest.mark.parametrize(
    ("text", "queues", "expected"),
    [
        ("mq: {type: fake}", (), ("awf-workflows",)),
        ("mq: {type: fake, fake: {queue: mine}}", (), ("mine",)),
        ("mq: {type: fake, fake: {queue: mine}}", ("a", "b"), ("a", "b")),
    ],
)
def test_the_queue_is_the_override_else_the_backends_else_the_default(packages, configured, text, queues, expected):
    packages.install("awf-mq-fake", mq="fake")

    assert assemble(configured(text), worker="w", queues=queues).queues == expected


def test_a_queue_url_comes_before_a_queue(packages, configured, changed):
    packages.install(
        "awf-mq-fake", source=changed('    queue: str = "awf-workflows"', '    queue_url: str = ""'), mq="fake"
    )
    config = configured("mq: {type: fake, fake: {queue_url: 'https://sqs/1/q'}}")

    assert assemble(config, worker="w").default_queue == "https://sqs/1/q"
    assert assemble(configured("mq: {type: fake}"), worker="w").default_queue == "awf-workflows"


def test_an_unknown_type_says_where_it_was_written(packages, configured):
    error = refusal(configured("mq:\n  type: redsi\n"))

    assert error.message.startswith(".awf/config.yaml:2: mq.type 'redsi': no such backend is installed")
    assert "Did you mean 'redis'?" in error.message


def test_a_bad_section_of_the_chosen_backend_is_quoted_with_file_line_key_and_value(packages, configured):
    packages.install("awf-mq-fake", mq="fake")

    error = refusal(configured("mq:\n  type: fake\n  fake:\n    lease: long\n    quue: x\n"))

    assert error.message.splitlines() == [
        "2 problems in the configuration:",
        "  .awf/config.yaml:5: mq.fake.quue: unknown key 'quue'. Did you mean 'queue'? (allowed: lease, queue, url)",
        (
            "  .awf/config.yaml:4: mq.fake.lease: 'long' is not a duration such as "
            '"250ms", "30s", "1m30s", "24h" or a number of seconds'
        ),
    ]


def test_a_required_setting_that_is_missing_names_its_variable(packages, configured, changed):
    packages.install("awf-mq-fake", source=changed('url: str = "fake://localhost"', "url: str"), mq="fake")

    error = refusal(configured("mq: {type: fake}"))

    assert error.message == ("mq.fake.url: required, and not set (set it in the file, or as AWF_MQ_FAKE_URL)")


def test_sections_of_backends_that_are_not_chosen_are_not_checked(packages, configured):
    packages.install("awf-mq-fake", mq="fake")

    config = configured("mq: {type: fake, redis: {nonsense: [1]}, sqs: 5}")

    assert assemble(config, worker="w").backend_name == "fake"


def test_unknown_variables_of_the_chosen_backend_are_warned_of(packages, configured):
    packages.install("awf-mq-fake", mq="fake")

    assembly = assemble(configured("mq: {type: fake}", {"AWF_MQ_FAKE_LEESE": "1s"}), worker="w")

    assert assembly.warnings == ("AWF_MQ_FAKE_LEESE: unknown variable is ignored. Did you mean 'AWF_MQ_FAKE_LEASE'?",)


def test_an_address_that_no_backend_reads_is_refused_even_with_a_type(packages, configured):
    packages.install("awf-mq-fake", mq="fake")

    error = refusal(configured("mq: {type: fake}", {"AWF_MQ_NATS_URL": "nats://h"}))

    assert error.message.endswith("pip install awf-mq-nats")


def test_a_constructor_that_raises_is_named_with_its_package_and_no_password(packages, configured, changed):
    source = changed("self.settings, self.context = settings, context", "raise KeyError('x://me:hunter2@h')")
    module = packages.install("awf-mq-fake", source=source, mq="fake")

    error = refusal(configured("mq: {type: fake}"))

    assert error.message == (
        f"mq.type 'fake': awf-mq-fake 1.0 ({module}:Backend) can't be set up: KeyError: 'x://me:***@h'"
    )


def test_an_error_of_our_own_tree_leaves_a_constructor_as_it_is(packages, configured, changed):
    source = changed(
        "self.settings, self.context = settings, context",
        "from awf_core.errors import BrokerMisconfigured; raise BrokerMisconfigured('no such region')",
    )
    packages.install("awf-mq-fake", source=source, mq="fake")

    with pytest.raises(BrokerMisconfigured, match="no such region"):
        assemble(configured("mq: {type: fake}"), worker="w")


def test_a_backend_without_capabilities_is_refused(packages, configured, changed):
    source = changed("self.capabilities = Capabilities(lease_s=settings.lease_s)", "pass")
    packages.install("awf-mq-fake", source=source, mq="fake")

    error = refusal(configured("mq: {type: fake}"))

    assert "sets no `capabilities` (expected: a contract.Capabilities)" in error.message


def test_a_disabled_backend_is_refused_by_name_and_all_plugins_disabled_leave_it(packages, configured):
    packages.install("awf-mq-fake", mq="fake")

    error = refusal(configured("mq: {type: fake}", {"AWF_DISABLE_PLUGINS": "other, fake"}))

    assert error.message == "mq.type 'fake': AWF_DISABLE_PLUGINS keeps this backend out"
    assert "take it out of AWF_DISABLE_PLUGINS" in (error.hint or "")
    assert assemble(configured("mq: {type: fake}", {"AWF_DISABLE_PLUGINS": "*"}), worker="w").backend_name == "fake"
