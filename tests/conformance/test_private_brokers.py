"""Private brokers: they start, end, restart with their data, and leave no process behind."""

from __future__ import annotations

import os
import socket
import ssl
from pathlib import Path

import pytest
from tls_files import can_make_certificates, make_certificates

from awf_core.testing.brokers import (
    PrivateMoto,
    PrivateRabbitMq,
    PrivateRedis,
    moto_program,
    rabbitmq_script,
    redis_program,
)
from awf_core.testing.pytest_plugin import KINDS, find_source
from awf_core.testing.server_process import ServerFailed, free_port

needs_redis = pytest.mark.skipif(redis_program() is None, reason="no redis-server")


def redis_says(server: PrivateRedis, *lines: str) -> str:
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        connection.sendall("".join(f"{line}\r\n" for line in lines).encode())
        return "".join(connection.recv(1000).decode() for _ in lines[:1])


def processes_with(text: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and text.encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return [pid for pid in found if pid != os.getpid()]


@needs_redis
def test_a_redis_has_the_same_port_and_data_after_a_kill(tmp_path):
    with PrivateRedis(tmp_path / "redis") as server:
        url = server.url
        redis_says(server, "SET kept yes")

        server.restart()

        assert server.url == url
        assert "yes" in redis_says(server, "GET kept")
    assert not server.is_running
    assert processes_with(str(tmp_path)) == []


@needs_redis
def test_a_redis_with_a_password_refuses_commands_without_it(tmp_path):
    with PrivateRedis(tmp_path / "redis", password="p@ss/word") as server:
        assert server.url == f"redis://:p%40ss%2Fword@127.0.0.1:{server.port}/0"
        assert redis_says(server, "GET x").startswith("-NOAUTH")


@needs_redis
@pytest.mark.skipif(not can_make_certificates(), reason="no openssl")
def test_a_redis_with_tls_answers_over_tls(tmp_path):
    files = make_certificates(tmp_path / "tls")

    with PrivateRedis(tmp_path / "redis", tls=files) as server:
        assert server.url.startswith("rediss://")
        context = ssl.create_default_context(cafile=str(files.authority))
        plain = socket.create_connection(("127.0.0.1", server.port), timeout=5)
        with context.wrap_socket(plain, server_hostname="localhost") as connection:
            connection.sendall(b"PING\r\n")
            assert connection.recv(100).startswith(b"+PONG")


@needs_redis
def test_a_paused_redis_is_silent_until_it_is_resumed(tmp_path):
    with PrivateRedis(tmp_path / "redis") as server:
        server.pause()
        with socket.create_connection(("127.0.0.1", server.port), timeout=0.2) as connection:
            connection.sendall(b"PING\r\n")
            with pytest.raises(TimeoutError):
                connection.recv(1)
            server.resume()
            connection.settimeout(5)
            assert connection.recv(100) == b"+PONG\r\n"


@needs_redis
def test_a_server_that_cannot_start_shows_its_log(tmp_path):
    server = PrivateRedis(tmp_path / "redis", port=free_port(), extra=("--no-such-option", "1"))

    with pytest.raises(ServerFailed, match="no-such-option"):
        server.start()

    assert not server.is_running
    with pytest.raises(ServerFailed, match="is not running"):
        _ = server.pid


@pytest.mark.skipif(rabbitmq_script() is None, reason="no rabbitmq-server")
def test_a_rabbitmq_ends_with_its_port_mapper(tmp_path):
    with PrivateRabbitMq(tmp_path / "rabbit", settings={"consumer_timeout": "60000"}) as server:
        epmd_port = server.epmd_port
        running = processes_with(str(tmp_path))

    assert running
    assert processes_with(str(tmp_path)) == []
    assert processes_with(f"-port\0{epmd_port}") == []
    assert "consumer_timeout = 60000" in (tmp_path / "rabbit" / "rabbitmq.conf").read_text()


@pytest.mark.skipif(moto_program() is None, reason="no moto_server")
def test_an_sqs_endpoint_answers_and_ends(tmp_path):
    with PrivateMoto(tmp_path / "moto") as server:
        assert server.url == f"http://127.0.0.1:{server.port}"
        assert server.is_answering()
    assert not server.is_running


@pytest.mark.parametrize("name", KINDS)
def test_an_address_in_the_environment_is_the_first_source(name):
    kind = KINDS[name]

    assert find_source(kind, {kind.variable: "somewhere"}) == "url"


@pytest.mark.parametrize(("name", "is_there"), [("redis", redis_program() is not None)])
def test_an_installed_program_is_the_second_source(name, is_there):
    assert (find_source(KINDS[name], {}, wanted="process") == "process") == is_there


def test_a_wanted_source_that_is_not_available_is_none():
    assert find_source(KINDS["redis"], {}, wanted="url") is None


@pytest.mark.parametrize(("ci", "outcome"), [("", "skipped"), ("1", "failed")])
def test_a_missing_broker_skips_on_a_developers_machine_and_fails_in_ci(ci, outcome, monkeypatch):
    from awf_core.testing import pytest_plugin

    monkeypatch.setattr(pytest_plugin, "ENVIRONMENT", {"CI": ci})
    kinds = {"skipped": pytest.skip.Exception, "failed": pytest.fail.Exception}

    with pytest.raises(kinds[outcome], match="no redis to test against"):
        pytest_plugin.broker_missing("no redis to test against: install redis-server")
