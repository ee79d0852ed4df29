"""The settings: what is accepted, what is refused, and that no password is shown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import redis
from awf_mq_redis.address import parse_url
from awf_mq_redis.pools import target_of
from awf_mq_redis.settings import RedisSettings
from pydantic import ValidationError


def target(**values):
    return target_of(RedisSettings.model_validate(values), worker="host 1/é", directory="/etc/awf")


def test_the_defaults_are_those_of_the_documentation():
    settings = RedisSettings()

    assert settings.url == "redis://localhost:6379/0"
    assert (settings.queue, settings.key_prefix) == ("awf-workflows", "")
    assert (settings.lease_s, settings.block_s) == (60.0, 2.0)
    assert not settings.cluster


def test_the_readme_names_every_setting():
    readme = (Path(__file__).parent.parent / "README.md").read_text("utf-8")
    table = readme.partition("## Settings")[2].partition("## ")[0]

    named = {name for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}

    assert named == {field.alias or name for name, field in RedisSettings.model_fields.items()}


@pytest.mark.parametrize(
    ("url", "nodes", "db", "shown"),
    [
        ("redis://h", (("h", 6379),), 0, "redis://h:6379/0"),
        ("rediss://u:p%40ss@h:1/3", (("h", 1),), 3, "rediss://h:1/3"),
        ("redis://:p@[::1]:7/", (("::1", 7),), 0, "redis://[::1]:7/0"),
        ("redis://h:1?db=4", (("h", 1),), 4, "redis://h:1/4"),
        ("redis+sentinel://a,b:5/main/2", (("a", 26379), ("b", 5)), 2, "redis+sentinel://a:26379,b:5/main/2"),
    ],
)
def test_a_url_is_parsed_and_shown_without_its_account(url, nodes, db, shown):
    address = parse_url(url)

    assert (address.nodes, address.db, address.shown) == (nodes, db, shown)


def test_user_and_password_are_unquoted():
    address = parse_url("redis://us%3Aer:p%40ss@h")

    assert (address.username, address.password) == ("us:er", "p@ss")
    assert "p@ss" not in repr(address)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"url": "http://u:s3cret@h"}, "unknown scheme"),
        ({"url": "localhost:6379"}, "unknown scheme"),
        ({"url": "redis://u:s3cret@h:99999"}, "is not a host:port"),
        ({"url": "redis://:s3cret@"}, "is not a host:port"),
        ({"url": "redis://u:s3cret@h/one"}, "'one' is not the number of a database"),
        ({"url": "redis://u:s3cret@h?ssl_cert_reqs=none"}, "option 'ssl_cert_reqs' is not allowed"),
        ({"url": "redis://h?password=s3cret"}, "option 'password' is not allowed"),
        ({"url": "redis+sentinel://h:1"}, "the master's name is missing"),
        ({"url": "unix://relative"}, "absolute path after three slashes"),
        ({"url": "redis://a,b"}, "set cluster: true, or use redis+sentinel"),
        ({"url": "redis://h", "tls_ca_file": "ca.pem"}, "write rediss://"),
        ({"url": "rediss://h", "tls_key_file": "k.pem"}, "tls_key_file needs tls_cert_file"),
        ({"url": "redis://h/1", "cluster": True}, "a cluster has database 0 only"),
        ({"cluster": True, "sentinel": {"service": "m", "nodes": ["a"]}}, "exclude each other"),
        ({"url": "redis+sentinel://h/m", "sentinel": {"service": "m", "nodes": ["a"]}}, "not both"),
        ({"sentinel": {"service": "m", "nodes": ["a:x"]}}, "is not a host:port"),
        ({"block": "10s"}, "less than or equal to 5"),
        ({"lease": "soon"}, "'soon' is not a duration"),
        ({"leese": "60s"}, "Extra inputs are not permitted"),
    ],
)
def test_a_wrong_setting_is_refused_with_its_name_and_without_a_password(values, text):
    with pytest.raises(ValidationError) as caught:
        RedisSettings.model_validate(values)

    messages = " ".join(error["msg"] for error in caught.value.errors())
    assert text in messages
    if "?password" not in str(values):
        assert "s3cret" not in messages


def test_the_sentinels_come_from_the_setting_or_from_the_url():
    by_setting = target(sentinel={"service": "main", "nodes": ["a", "b:1"], "password": "s3cret"}, password="p4ss")
    by_url = target(url="redis+sentinel://:p4ss@a,b:1/main")

    assert (by_setting.sentinels, by_setting.service) == (by_url.sentinels, by_url.service)
    assert by_setting.shown == by_url.shown == "redis+sentinel://a:26379,b:1/main/0"
    assert by_setting.options["password"] == by_url.options["password"] == "p4ss"
    assert by_setting.sentinel_options["password"] == "s3cret"
    assert "s3cret" not in repr(by_setting)
    assert "p4ss" not in repr(by_setting)


def test_relative_files_start_at_the_directory_of_the_configuration():
    options = target(url="rediss://h", tls_ca_file="ca.pem", tls_cert_file="/abs/c.pem").options

    assert (options["ssl_ca_certs"], options["ssl_certfile"]) == ("/etc/awf/ca.pem", "/abs/c.pem")
    assert options["ssl_check_hostname"] is True


def test_the_client_library_repeats_nothing_and_answers_in_bytes():
    found = target()
    calls = []

    def call():
        calls.append("sent")
        raise redis.ConnectionError

    with pytest.raises(redis.ConnectionError):
        found.options["retry"].call_with_retry(call, lambda error: None)

    assert calls == ["sent"]
    assert found.options["decode_responses"] is False
    assert found.options["client_name"] == "awf:host-1/-"
    assert found.block_timeout_s > RedisSettings().block_s
