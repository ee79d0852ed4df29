"""Hostile messages, real workers: whatever a producer sends, it stays data, and the messages beside it are run."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pika
import pytest
import redis
from fault_project import FaultProject
from hostile_messages import HIDDEN
from hostile_run import LISTINGS, MAX_RSS_KB, PASSWORD, SECRETS, HostileSide, Seen, run_hostile

from awf_core.testing.brokers import PrivateRabbitMq, PrivateRedis, rabbitmq_script, redis_program

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hostile_messages import Hostile

COUNT, SEED = 1600, 20_261_124
BROKERS = ("sqlite", "redis", "rabbitmq")


class EmbeddedSide:
    """A producer that writes rows."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "queue.db"
        self.settings = {"type": "sqlite", "sqlite": {"path": str(self._path)}}

    def publish(self, queue: str, messages: Sequence[Hostile]) -> None:
        rows = [(queue, _text_or_bytes(each.body), json.dumps(each.headers)) for each in messages]
        with closing(sqlite3.connect(self._path)) as connection, connection:
            connection.executemany("INSERT INTO message(queue, body, headers) VALUES (?, ?, ?)", rows)

    def close(self) -> None:
        pass


class RedisSide:
    """A producer that pushes to lists."""

    def __init__(self, directory: Path) -> None:
        self._server = PrivateRedis(directory / "redis", append_only=False, password=PASSWORD).start()
        self.settings = {"type": "redis", "redis": {"url": self._server.url}}

    def publish(self, queue: str, messages: Sequence[Hostile]) -> None:
        with redis.Redis(port=self._server.port, password=PASSWORD) as client:
            client.lpush(queue, *[each.body for each in messages])

    def close(self) -> None:
        self._server.kill()


class RabbitMqSide:
    """A producer that publishes with properties of its own."""

    def __init__(self, directory: Path) -> None:
        (directory / "rabbitmq").mkdir()
        account = {"default_user": "guest", "default_pass": PASSWORD}
        self._server = PrivateRabbitMq(directory / "rabbitmq", settings=account).start()
        self._url = self._server.url.replace("guest:guest", f"guest:{PASSWORD}")
        self.settings = {"type": "rabbitmq", "rabbitmq": {"url": self._url}}

    def publish(self, queue: str, messages: Sequence[Hostile]) -> None:
        with pika.BlockingConnection(pika.URLParameters(self._url)) as connection:
            channel = connection.channel()
            for each in messages:
                channel.basic_publish("", queue, each.body, pika.BasicProperties(headers=each.headers or None))

    def close(self) -> None:
        self._server.stop()


SIDES = {"sqlite": EmbeddedSide, "redis": RedisSide, "rabbitmq": RabbitMqSide}
MISSING = {
    "redis": "no redis-server is installed" if redis_program() is None else "",
    "rabbitmq": "no rabbitmq-server is installed" if rabbitmq_script() is None else "",
}


def _run(broker: str, directory: Path) -> Seen:
    """What one worker of the broker leaves behind."""
    if reason := MISSING.get(broker):
        pytest.skip(reason)
    side: Any = SIDES[broker](directory)
    project = FaultProject(directory / "project")
    try:
        checked: HostileSide = side
        return run_hostile(project, checked, count=COUNT, seed=SEED)
    finally:
        project.close()
        side.close()


def _text_or_bytes(body: bytes) -> str | bytes:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body


def _every_message_is_settled_and_the_worker_lives(seen: Seen) -> None:
    assert seen.exit_code == 0
    assert seen.left == dict.fromkeys(seen.left, 0)
    expected = Counter(each.body for each in seen.hostile if not each.runs)
    assert Counter(seen.dead) == expected, "dead-lettered byte for byte, each once"


def _the_innocent_messages_beside_them_are_run_once_and_answered_once(seen: Seen) -> None:
    answered = Counter(r["message_id"] for r in seen.results if r["message_id"] in set(seen.innocents))

    assert Counter(seen.runs) == Counter(seen.innocents)
    assert answered == Counter(seen.innocents)


def _no_message_runs_code(seen: Seen) -> None:
    assert seen.canaries == []


def _text_of_a_message_comes_through_a_step_as_it_is(seen: Seen) -> None:
    sent = Counter(json.loads(each.body)["inputs"]["text"] for each in seen.hostile if each.runs)
    printed = [r for r in seen.results if r["workflow"] == "escaped"]

    assert [r["status"] for r in printed] == ["completed"] * len(printed)
    assert Counter(r["output"].removesuffix("\n") for r in printed) == Counter(
        {text.removesuffix("\n"): count for text, count in sent.items()}
    )


def _no_secret_is_shown_anywhere(seen: Seen) -> None:
    shown = {place: secret for place, text in seen.texts.items() for secret in SECRETS if secret in text}

    assert shown == {}


def _no_hidden_character_reaches_a_terminal(seen: Seen) -> None:
    for name in LISTINGS:
        assert not set(seen.texts[name]) & {char for char in HIDDEN if not char.isprintable()}, name
    assert max(map(len, seen.texts["dlq list"].splitlines())) < 600


def _the_memory_of_the_worker_is_bounded(seen: Seen) -> None:
    assert seen.peak_kb < MAX_RSS_KB


PROMISES = (
    _every_message_is_settled_and_the_worker_lives,
    _the_innocent_messages_beside_them_are_run_once_and_answered_once,
    _no_message_runs_code,
    _text_of_a_message_comes_through_a_step_as_it_is,
    _no_secret_is_shown_anywhere,
    _no_hidden_character_reaches_a_terminal,
    _the_memory_of_the_worker_is_bounded,
)


# One test a broker: the promises are those of one worker, and a run of it takes seconds.
@pytest.mark.parametrize("broker", BROKERS)
def test_hostile_messages_are_contained(broker: str, tmp_path: Path) -> None:
    seen = _run(broker, tmp_path)

    for promise in PROMISES:
        promise(seen)


def test_the_messages_are_as_many_as_promised_and_distinct() -> None:
    from hostile_messages import MAKES, Aims, hostile_messages

    aims = Aims(canary="c", work="w", dead="d", other="o", results="r", secret="S")

    found = hostile_messages(COUNT, aims, seed=SEED)

    assert len({(each.body, repr(each.headers)) for each in found}) == COUNT >= 1500
    assert {each.kind for each in found} == set(MAKES)
    assert found == hostile_messages(COUNT, aims, seed=SEED)
