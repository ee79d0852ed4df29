"""Errors and warnings before the first message, and their texts."""

from __future__ import annotations

import socket
import threading
from contextlib import closing

import pytest
import redis
from awf_mq_redis.checks import refuse_server, server_warnings

from awf_core.contract import Ack, DeadLetter, Nack, Outgoing, Remember, StateEntry
from awf_core.errors import BrokerBlocked, BrokerMisconfigured, BrokerUnavailable, Unroutable


@pytest.mark.parametrize(
    ("key", "role", "wanted"),
    [
        ("work", "work", "list"),
        ("{work}:lease", "work", "zset"),
        ("{work}:body", "work", "hash"),
        ("work", "reply", "list"),
    ],
)
def test_a_key_that_holds_another_type_is_refused_at_start(backend, external, key, role, wanted):
    external.set(key, "something else")

    with pytest.raises(BrokerMisconfigured) as caught:
        backend.awf_mq_ensure("work", role, "dead" if role == "work" else None)

    assert f"key '{key}' holds a string, and has to be a {wanted}" in str(caught.value)
    assert "key_prefix" in caught.value.hint


@pytest.mark.parametrize(
    ("key", "ensured", "wanted"),
    [
        ("dead", ("work", "work", "dead"), "stream"),
        ("{dead}:sources", ("work", "work", "dead"), "hash"),
        ("dead", ("dead", "dead", None), "list or stream"),
    ],
)
def test_a_dead_letter_queue_whose_key_is_taken_is_reported_and_stops_no_work(
    backend, external, caplog, key, ensured, wanted
):
    external.set(key, "something else")
    external.lpush("work", b"good", b"bad")

    backend.awf_mq_ensure(*ensured)
    good, bad = sorted(backend.awf_mq_consume("work", 2, 1), key=lambda each: each.body, reverse=True)
    done = backend.awf_mq_ack([Ack(delivery=good)])
    (refused,) = backend.awf_mq_dead_letter([DeadLetter(delivery=bad, queue="dead", reason="r", error="e")])
    released = backend.awf_mq_nack([Nack(delivery=bad, counted=False)])

    assert f"key '{key}' holds a string, and has to be a {wanted}; until that is repaired" in caplog.text
    assert (done, type(refused), released) == ([None], BrokerMisconfigured, [None])
    assert [each.body for each in backend.awf_mq_consume("work", 2, 1)] == [b"bad"]
    assert external.get(key) == b"something else"


@pytest.mark.parametrize("name", ["", "{work}:lease", "{t}x::body", "x" * 1025, "\ud800"])
def test_a_name_that_no_queue_can_have_is_refused_at_start(mq, name):
    with pytest.raises(Unroutable):
        mq.ensure(name, "work")


def test_a_key_that_changes_its_type_later_is_named_and_nothing_is_changed(backend, external, take):
    delivery = take()
    external.set("work", "oops")
    external.set("other", "oops")

    with pytest.raises(BrokerMisconfigured, match="key 'work' holds a string, and has to be a list"):
        backend.awf_mq_consume("work", 1, 0)
    (refused,) = backend.awf_mq_ack([Ack(delivery=delivery, replies=[Outgoing(queue="answers", body=b"r")])])
    (published,) = backend.awf_mq_publish([Outgoing(queue="other", body=b"x")])

    assert isinstance(refused, BrokerMisconfigured)
    assert isinstance(published, BrokerMisconfigured)
    assert "publish to 'other': a key of that name holds something else" in str(published)
    assert external.exists("answers") == 0


def test_ensuring_a_queue_leaves_only_what_it_is_for(backend, external):
    backend.awf_mq_ensure("work", "work", "dead")

    assert sorted(external.keys()) == [b"{dead}:role", b"{work}:role"]
    assert external.mget("{dead}:role", "{work}:role") == [b"dead", b"work"]


def test_a_queue_that_is_in_use_can_be_ensured(backend, external, take):
    held = take()
    backend.awf_mq_dead_letter([DeadLetter(delivery=held, queue="dead", reason="r", error="e")])
    external.lpush("work", "x")

    backend.awf_mq_ensure("work", "work", "dead")
    backend.awf_mq_ensure("dead", "dead", None)
    backend.awf_mq_ensure("undeliverable", "dead", None)

    assert external.llen("work") == 1


def test_a_wrong_password_is_refused_at_once_without_showing_it(make_server, make_backend):
    server = make_server(password="right", append_only=False)
    backend = make_backend(server.url.replace("right", "wr0ng"), is_open=False)

    with pytest.raises(BrokerMisconfigured) as caught:
        backend.awf_mq_open()

    with redis.Redis(port=server.port, password="right") as client:
        failed = client.info("commandstats")["cmdstat_auth"]["failed_calls"]
    assert "refuses the login" in str(caught.value)
    assert "check user and password" in caught.value.hint
    assert failed == 1
    seen = f"{caught.value} {caught.value.hint} {backend.settings!r} {backend.address} {vars(backend)}"
    assert "wr0ng" not in seen


def test_a_password_may_be_given_beside_the_url(make_server, make_backend):
    server = make_server(password="p@ss/word", append_only=False)

    backend = make_backend(f"redis://127.0.0.1:{server.port}", password="p@ss/word")

    assert backend.awf_mq_publish([Outgoing(queue="work", body=b"x")]) == [None]


def test_a_login_without_the_required_password_is_refused(make_server, make_backend):
    server = make_server(password="right", append_only=False)

    with pytest.raises(BrokerMisconfigured, match="refuses the login to connect"):
        make_backend(f"redis://127.0.0.1:{server.port}")


def test_a_server_that_is_not_there_is_unavailable_and_leaves_nothing_in_doubt(make_backend, unused_port):
    backend = make_backend(f"redis://127.0.0.1:{unused_port}", is_open=False)

    with pytest.raises(BrokerUnavailable) as opened:
        backend.awf_mq_open()
    with pytest.raises(BrokerUnavailable) as published:
        backend.awf_mq_publish([Outgoing(queue="work", body=b"x")])
    with pytest.raises(BrokerUnavailable):
        backend.awf_mq_consume("work", 1, 1)

    assert f"redis://127.0.0.1:{unused_port}/0: can't connect" in str(opened.value)
    assert "check that the server runs" in opened.value.hint
    assert not published.value.in_doubt


def test_a_name_that_does_not_resolve_is_unavailable(make_backend):
    with pytest.raises(BrokerUnavailable, match=r"nowhere\.invalid"):
        make_backend("redis://nowhere.invalid:6379")


@pytest.fixture
def unused_port():
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def web_server():
    """A server that answers in another protocol than Redis's."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection:
            connection.recv(1000)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    thread = threading.Thread(target=serve)
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


def test_a_server_that_is_not_redis_is_refused_as_such(make_backend, web_server):
    with pytest.raises(BrokerMisconfigured, match="doesn't speak the Redis protocol"):
        make_backend(f"redis://127.0.0.1:{web_server}")


def test_a_unix_socket_works(make_server, make_backend, tmp_path):
    path = tmp_path / "r.sock"
    make_server(append_only=False, extra=("--unixsocket", str(path)))

    backend = make_backend(f"unix://{path}?db=2")

    assert backend.address == f"unix://{path}"
    assert backend.awf_mq_publish([Outgoing(queue="work", body=b"x")]) == [None]


@pytest.mark.parametrize(
    ("info", "kind", "text"),
    [
        ({"redis_version": "6.0.16"}, BrokerMisconfigured, "is Redis 6.0.16; this backend needs 6.2 or newer"),
        ({"redis_version": "7.0.1", "cluster_enabled": "1"}, BrokerMisconfigured, "part of a Redis Cluster"),
        (
            {"redis_version": "7.0.1", "role": "slave", "master_host": "m", "master_port": "1"},
            BrokerUnavailable,
            "replica of m:1",
        ),
    ],
)
def test_a_server_that_cannot_serve_is_refused(info, kind, text):
    with pytest.raises(kind, match=text):
        refuse_server(info, "redis://h", is_cluster=False)


@pytest.mark.parametrize(
    "info",
    [{"redis_version": "6.2.0"}, {"redis_version": "7.2.4", "valkey_version": "8.0.1"}, {}, {"redis_version": "x"}],
)
def test_a_server_that_can_serve_is_accepted(info):
    refuse_server(info, "redis://h", is_cluster=False)


SOUND = {"maxmemory_policy": "noeviction", "aof_enabled": "1"}


@pytest.mark.parametrize(
    ("info", "snapshots", "text"),
    [
        ({"maxmemory_policy": "allkeys-lru"}, None, "maxmemory-policy is allkeys-lru"),
        ({"maxmemory_policy": ""}, None, "doesn't report its maxmemory-policy"),
        ({"aof_enabled": "0"}, "", "stores nothing on disk"),
        ({"aof_enabled": "0"}, "3600 1", "a crash loses every write after the last snapshot; set appendonly yes"),
        ({"aof_enabled": "0"}, None, "if it makes any"),
    ],
)
def test_each_setting_that_may_lose_messages_has_a_warning(info, snapshots, text):
    (warning,) = server_warnings({**SOUND, **info}, snapshots, "redis://h")

    assert warning.startswith("redis://h: ")
    assert text in warning
    assert server_warnings(SOUND, None, "redis://h") == []


def test_the_log_warns_of_a_server_that_may_lose_messages(server, make_backend, external, caplog):
    external.config_set("maxmemory-policy", "allkeys-lru")

    make_backend(server.url)
    external.config_set("maxmemory-policy", "noeviction")

    texts = [record.getMessage() for record in caplog.records if record.name == "awf_mq_redis"]
    assert any("allkeys-lru" in text for text in texts)
    assert any("stores nothing on disk" in text for text in texts)


def test_a_server_at_maxmemory_refuses_new_messages_and_serves_those_it_has(backend, external, take):
    backend.awf_mq_publish([Outgoing(queue="work", body=b"%d" % n) for n in range(6)])
    held = take(publish=False)
    external.config_set("maxmemory", 1)

    published = backend.awf_mq_publish(
        [Outgoing(queue="work", body=b"x"), Outgoing(queue="work", body=b"y", delay_s=5)]
    )
    backend.awf_mq_ensure("work", "work", "dead")
    extended = backend.awf_mq_extend([held])
    more = backend.awf_mq_consume("work", 2, 0)
    answers = [
        *backend.awf_mq_ack([Ack(delivery=held, replies=[Outgoing(queue="answers", body=b"r")])]),
        *backend.awf_mq_nack([Nack(delivery=more[0], reason="x")]),
        *backend.awf_mq_dead_letter([DeadLetter(delivery=more[1], queue="dead", reason="r", error="e")]),
    ]
    waited = backend.awf_mq_consume("work", 10, 5)
    moved = backend.awf_mq_move("dead", "work", None, None)
    nothing = backend.awf_mq_consume("other", 1, 0.3)

    assert [type(answer) for answer in published] == [BrokerBlocked] * 2
    assert "accepts no more data to publish to 'work'" in str(published[0])
    assert "maxmemory" in published[0].hint
    assert extended == [None]
    assert answers == [None] * 3
    assert [d.body for d in waited] == [b"1", b"3", b"4", b"5"]
    assert moved == 1
    assert nothing == []
    assert external.rpop("answers") == b"r"


def test_an_ack_with_an_infinite_time_to_live_is_refused(backend, take):
    delivery = take()

    (error,) = backend.awf_mq_ack([Ack(delivery=delivery, remember=Remember(key="k", value="v", ttl_s=float("inf")))])

    assert "ttl_s is inf" in str(error)
    assert backend.awf_mq_state_put([StateEntry(key="k", value="v", if_absent=True)]) == [True]
