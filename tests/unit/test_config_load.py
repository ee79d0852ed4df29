"""The whole configuration: precedence, defaults, every refusal with file, line, key, value and what is allowed."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from awf_core.config.load import Config, load_config
from awf_core.config.origins import Flag
from awf_core.config.project import load_project
from awf_core.config.show import show
from awf_core.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def write(directory: Path, text: str) -> Path:
    path = directory / ".awf" / "config.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def load(cwd: Path, text: str = "", env=None, overrides=None) -> Config:
    write(cwd, text)
    return load_config(cwd=cwd, env=env or {}, overrides=overrides or {})


def refusal(cwd: Path, text: str = "", env=None, overrides=None) -> str:
    with pytest.raises(ConfigError) as caught:
        load(cwd, text, env, overrides)
    assert caught.value.exit_code == 2
    return caught.value.message


def test_without_a_file_the_documented_defaults_hold(tmp_path):
    config = load_config(cwd=tmp_path, env={})

    mq = config.mq
    assert (mq.type, mq.concurrency, mq.grace_s, mq.max_run_s, mq.declare) == (None, 5, 25.0, None, "auto")
    assert (mq.dead_letter.enabled, mq.dead_letter.queue) == (True, "awf-dlq")
    assert mq.undeliverable.queue == "awf-undeliverable"
    assert (mq.retry.max_attempts, mq.retry.backoff) == (3, "exponential")
    assert (mq.retry.initial_delay_s, mq.retry.max_delay_s) == (5.0, 300.0)
    assert (mq.retry.jitter, mq.retry.multiplier) == (1.0, 2.0)
    assert (mq.retry.max_age_s, mq.retry.defer_unknown_s) == (86400.0, 600.0)
    assert (mq.reply.allow, mq.reply.ttl_s) == (["*"], 86400.0)
    assert (mq.max_body_bytes, mq.max_depth, mq.result.max_output_bytes) == (1048576, 64, 65536)
    assert config.file is None
    assert config.directory == tmp_path / ".awf"
    assert config.warnings == ()


def test_flags_beat_environment_beats_file_beats_default(tmp_path):
    text = "mq:\n  concurrency: 6\n  max_depth: 7\n  grace: 8s\n"
    env = {"AWF_MQ_CONCURRENCY": "9", "AWF_MQ_MAX_DEPTH": "10"}

    config = load(tmp_path, text, env, {"mq.concurrency": 11})

    assert (config.mq.concurrency, config.mq.max_depth, config.mq.grace_s) == (11, 10, 8.0)
    assert str(config.origins["mq.concurrency"]) == "flag --concurrency"
    assert str(config.origins["mq.max_depth"]) == "environment AWF_MQ_MAX_DEPTH"
    assert str(config.origins["mq.grace"]) == "file .awf/config.yaml:4"
    assert str(config.origins["mq.declare"]) == "default"


def test_a_flag_that_was_not_given_changes_nothing(tmp_path):
    config = load(
        tmp_path, "mq: {concurrency: 6}", {}, {"mq.concurrency": None, "mq.grace": Flag(option="--wait", value="3s")}
    )

    assert config.mq.concurrency == 6
    assert config.mq.grace_s == 3.0
    assert str(config.origins["mq.grace"]) == "flag --wait"


@pytest.mark.parametrize(
    ("variable", "text", "read", "value"),
    [
        ("AWF_MQ_RETRY_MAX_ATTEMPTS", "7", lambda mq: mq.retry.max_attempts, 7),
        ("AWF_MQ_RETRY_MAX_AGE", "null", lambda mq: mq.retry.max_age_s, None),
        ("AWF_MQ_RETRY", "{max_attempts: 8, jitter: 0}", lambda mq: (mq.retry.max_attempts, mq.retry.jitter), (8, 0)),
        ("AWF_MQ_REPLY_ALLOW", '["a-*", b]', lambda mq: mq.reply.allow, ["a-*", "b"]),
        ("AWF_MQ_DEAD_LETTER_ENABLED", "false", lambda mq: mq.dead_letter.enabled, False),
        ("AWF_MQ_DEAD_LETTER_QUEUE", "007", lambda mq: mq.dead_letter.queue, "007"),
        ("AWF_MQ_MAX_RUN", "1h", lambda mq: mq.max_run_s, 3600.0),
        ("AWF_MQ_DECLARE", "never", lambda mq: mq.declare, "never"),
        ("AWF_MQ_WORKFLOWS", "{a: {max_run: 1m}}", lambda mq: mq.workflows["a"].max_run_s, 60.0),
        ("AWF_MQ_CONCURRENCY", "", lambda mq: mq.concurrency, 5),
    ],
)
def test_every_key_has_an_environment_variable(tmp_path, variable, text, read, value):
    assert read(load(tmp_path, "", {variable: text}).mq) == value


def test_a_single_keys_variable_beats_that_of_its_group(tmp_path):
    env = {"AWF_MQ_RETRY": "{max_attempts: 8, jitter: 0.5}", "AWF_MQ_RETRY_MAX_ATTEMPTS": "9"}

    retry = load(tmp_path, "mq: {retry: {jitter: 0.1, multiplier: 3}}", env).mq.retry

    assert (retry.max_attempts, retry.jitter, retry.multiplier) == (9, 0.5, 3.0)


AT = ".awf/config.yaml:1: "


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mq: {concurrency: x}", "mq.concurrency: 'x' is not a whole number (allowed: 1 to 1000)"),
        ("mq: {concurrency: true}", "mq.concurrency: true is not a number"),
        ("mq: {concurrency: 1.5}", "mq.concurrency: 1.5 is not a whole number (allowed: 1 to 1000)"),
        ("mq: {concurrency: 0}", "mq.concurrency: 0 is out of range (allowed: 1 to 1000)"),
        ("mq: {max_body_bytes: 0}", "mq.max_body_bytes: 0 is out of range (allowed: at least 1)"),
        ("mq: {retry: {jitter: 1.5}}", "mq.retry.jitter: 1.5 is out of range (allowed: 0 to 1)"),
        ("mq: {retry: {multiplier: .inf}}", "mq.retry.multiplier: Infinity is out of range (allowed: 1 to 100)"),
        (
            "mq: {retry: {backoff: expo}}",
            (
                "mq.retry.backoff: 'expo' is not allowed. Did you mean 'exponential'? "
                "(allowed: constant, linear, exponential)"
            ),
        ),
        (
            "mq: {grace: soon}",
            'mq.grace: \'soon\' is not a duration such as "250ms", "30s", "1m30s", "24h" or a number of seconds',
        ),
        ("mq: {dead_letter: {enabled: maybe}}", "mq.dead_letter.enabled: 'maybe' is not true or false"),
        ("mq: {dead_letter: {queue: 5}}", "mq.dead_letter.queue: 5 is not a text"),
        ("mq: {dead_letter: [a]}", 'mq.dead_letter: ["a"] is not a mapping of keys'),
        ("mq: {reply: {allow: x}}", "mq.reply.allow: 'x' is not a list"),
        ("mq: {workflows: [a]}", 'mq.workflows: ["a"] is not a mapping of keys'),
        ("mq: {workflows: {a: 5}}", "mq.workflows.a: 5 is not a mapping of keys"),
        (
            "mq: {workflows: {a: {retry: {max_attempts: 0}}}}",
            "mq.workflows.a.retry.max_attempts: 0 is out of range (allowed: 1 to 1000)",
        ),
        (
            "mq: {workflows: {a: {maxrun: 1s}}}",
            "mq.workflows.a.maxrun: unknown key 'maxrun'. Did you mean 'max_run'? (allowed: executor, max_run, retry)",
        ),
        (
            "mq: {reply: {alow: []}}",
            "mq.reply.alow: unknown key 'alow'. Did you mean 'allow'? (allowed: allow, ttl)",
        ),
        ("mq: 5", "mq: 5 is not a mapping of keys"),
        ("inputs: [1]", "inputs: not a mapping (allowed: keys, as in `inputs: {a: 1}`)"),
        ("notify: x", "notify: not a mapping (allowed: keys, as in `notify: {a: 1}`)"),
        ("notify: {default_backend: [x]}", "notify.default_backend: ['x'] is not a text (put quotes around it)"),
    ],
)
def test_a_bad_value_is_reported_with_file_line_key_value_and_what_is_allowed(tmp_path, text, said):
    assert refusal(tmp_path, text) == AT + said


def test_an_unknown_key_is_offered_the_likely_one_backends_included(tmp_path):
    assert "Did you mean 'concurrency'?" in refusal(tmp_path, "mq: {concurency: 5}")
    assert "Did you mean 'redis'?" in refusal(tmp_path, "mq: {rediss: {}}")


@pytest.mark.parametrize(
    "text", ["mq: {retry: {unknown_hold: 1m}}", "mq: {workflows: {a: {retry: {unknown_hold: 1m}}}}"]
)
def test_a_renamed_key_is_refused_with_its_new_name(tmp_path, text):
    assert "unknown key 'unknown_hold'. Did you mean 'defer_unknown'?" in refusal(tmp_path, text)


def test_all_problems_are_reported_at_once(tmp_path):
    text = "mq:\n  concurrency: 0\n  typo: 1\n  retry: {jitter: 2}\n"

    lines = refusal(tmp_path, text, {"AWF_MQ_MAX_DEPTH": "deep"}, {"mq.grace": "x"}).splitlines()

    assert lines[0] == "5 problems in the configuration:"
    assert {line.split(":", 2)[0].strip() for line in lines[1:]} == {
        ".awf/config.yaml",
        "AWF_MQ_MAX_DEPTH",
        "--grace",
    }


@pytest.mark.parametrize(
    ("env", "said"),
    [
        (
            {"AWF_MQ_CONCURRENCY": "many"},
            "AWF_MQ_CONCURRENCY: mq.concurrency: 'many' is not a whole number (allowed: 1 to 1000)",
        ),
        ({"AWF_MQ_RETRY": "5"}, "AWF_MQ_RETRY: mq.retry: 5 is not a mapping of keys"),
        ({"AWF_MQ_REPLY_ALLOW": "[a"}, "AWF_MQ_REPLY_ALLOW: mq.reply.allow: '[a' can't be read: not valid YAML: "),
        (
            {"AWF_MQ_RETRY": "{jiter: 1}"},
            "AWF_MQ_RETRY: mq.retry.jiter: unknown key 'jiter'. Did you mean 'jitter'?",
        ),
    ],
)
def test_a_bad_variable_is_named(tmp_path, env, said):
    assert refusal(tmp_path, "", env).startswith(said)


def test_a_password_never_shows_in_an_error(tmp_path):
    message = refusal(tmp_path, "mq:\n  concurrency: redis://me:hunter2@host\n  reply: {allow: 'x://a:hunter2@h'}\n")

    assert "hunter2" not in message
    assert "redis://me:***@host" in message


def test_an_unknown_variable_is_warned_of_with_the_likely_one(tmp_path):
    config = load(tmp_path, "", {"AWF_MQ_CONCURENCY": "1", "AWF_MQ_REDIS_LEASE": "1s", "AWF_MQ_AMQP_URL": "x"})

    assert config.warnings == ("AWF_MQ_CONCURENCY: unknown variable is ignored. Did you mean 'AWF_MQ_CONCURRENCY'?",)


def test_unknown_keys_outside_mq_only_warn(tmp_path):
    config = load(tmp_path, "inptus: {}\nlog_level: info\nnotify: {backend: x}\n")

    assert config.warnings == (
        ".awf/config.yaml:1: unknown key 'inptus' is ignored. Did you mean 'inputs'?",
        ".awf/config.yaml:3: unknown key 'backend' is ignored. Did you mean 'default_backend'?",
    )


def test_inputs_keep_their_types(tmp_path):
    config = load(
        tmp_path, "inputs: {n: 5, b: true, t: yes, f: 1.5, l: [1], z: '5'}\nnotify: {default_backend: webhook}"
    )

    assert config.inputs == {"n": 5, "b": True, "t": "yes", "f": 1.5, "l": [1], "z": "5"}
    assert config.notify_backend == "webhook"


def test_inputs_without_a_value_are_none(tmp_path):
    assert load(tmp_path, "inputs:\n").inputs == {}


def test_the_section_of_a_backend_is_given_as_it_stands(tmp_path):
    config = load(tmp_path, "mq: {redis: {url: x, lease: 1s}, sqs: 5}")

    assert config.section("redis") == {"url": "x", "lease": "1s"}
    assert config.section("sqs") == {}
    assert config.section("rabbitmq") == {}


def test_the_file_can_be_elsewhere_and_its_folder_is_the_directory(tmp_path):
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "my.yaml").write_text("mq: {concurrency: 2}")

    config = load_config(cwd=tmp_path, env={"AWF_CONFIG_PATH": "conf/my.yaml"})

    assert config.mq.concurrency == 2
    assert config.file == tmp_path / "conf" / "my.yaml"
    assert config.directory == tmp_path / "conf"
    assert str(config.origins["mq.concurrency"]) == "file conf/my.yaml:1"


def test_a_file_named_by_variable_that_is_missing_stops_queue_commands_and_warns_others(tmp_path):
    env = {"AWF_CONFIG_PATH": "nowhere.yaml"}

    with pytest.raises(ConfigError) as caught:
        load_config(cwd=tmp_path, env=env)
    project = load_project(cwd=tmp_path, env=env)

    assert caught.value.message == "AWF_CONFIG_PATH: nowhere.yaml does not exist"
    assert project.warnings == ("AWF_CONFIG_PATH: nowhere.yaml does not exist; defaults are used",)


def test_a_mistake_under_mq_does_not_stop_commands_that_need_no_queue(tmp_path):
    write(tmp_path, "inputs: {a: 1}\nmq: {nonsense: 1}\n")

    assert load_project(cwd=tmp_path, env={}).inputs == {"a": 1}


def test_show_has_every_value_with_its_origin_and_no_secret(tmp_path):
    text = (
        "inputs: {password: hunter2, n: 1}\nmq:\n  redis: {url: 'redis://me:hunter2@h', token: hunter2}\n  grace: 90s\n"
    )

    rows = {row.key: row for row in show(load(tmp_path, text))}

    assert (rows["mq.grace"].value, rows["mq.grace"].origin) == ("1m30s", "file .awf/config.yaml:4")
    assert (rows["mq.concurrency"].value, rows["mq.concurrency"].origin) == (5, "default")
    assert (rows["mq.redis.url"].value, rows["mq.redis.url"].origin) == (
        "redis://me:***@h",
        "file .awf/config.yaml:3",
    )
    assert rows["mq.redis.token"].value == "***"
    assert rows["inputs.password"].value == "***"
    assert rows["inputs.n"].value == 1
    assert "hunter2" not in str(rows)


def test_show_lists_the_rules_of_single_workflows(tmp_path):
    rows = {row.key: row for row in show(load(tmp_path, "mq: {workflows: {a: {retry: {max_attempts: 1}}}}"))}

    assert rows["mq.workflows"].value == {"a": {"retry": {"max_attempts": 1}}}


def test_reading_the_project_imports_no_pydantic():
    code = "import sys; import awf_core.config.project; print('pydantic' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"
