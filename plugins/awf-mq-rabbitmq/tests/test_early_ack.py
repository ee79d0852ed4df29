"""`ack: on_accept`: messages are acknowledged before they run, and outlive whatever happens to the worker."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from awf_core.contract import Ack, DeadLetter, Nack, Outgoing
from awf_core.errors import BrokerMisconfigured, LeaseLost
from awf_core.testing.eventually import eventually

if TYPE_CHECKING:
    from awf_core.testing.brokers import PrivateRabbitMq
    from awf_core.testing.proxy import Proxy

MakeBackend = Callable[..., Any]
AWF = str(Path(sys.executable).with_name("awf"))
WORKFLOW = """
name: once
states:
  initial: run
  run: {type: step, command: "echo $AWF_MESSAGE_ID >> starts", on_success: done, on_failure: failed}
  done: {type: terminal}
  failed: {type: terminal, status: failure}
"""


def _take(backend: Any, queue: str, count: int = 1) -> list[Any]:
    taken: list[Any] = []
    eventually(lambda: taken.extend(backend.awf_mq_consume(queue, count - len(taken), 1.0)) or len(taken) == count)
    return taken


def _accepting(make_backend: MakeBackend, queue: str, *bodies: bytes, **settings: Any) -> Any:
    """A backend that accepts, with a queue of such messages."""
    backend = make_backend(ack="on_accept", **settings)
    backend.awf_mq_ensure(queue, "work", None)
    sent = [Outgoing(queue=queue, body=body, id=body.decode(), headers={"trace": "t1"}) for body in bodies]
    assert backend.awf_mq_publish(sent) == [None] * len(bodies)
    return backend


def _journals(directory: Path) -> list[Path]:
    return sorted((directory / "rabbitmq-journal").glob("*.db"))


def test_an_accepted_message_outlives_its_connection_and_ends_with_a_confirmed_result(
    make_backend: MakeBackend, external: Any, server: PrivateRabbitMq, proxy: Proxy, queue: str, tmp_path: Path
) -> None:
    backend = _accepting(make_backend, queue, b"a", b"b", url=proxy.through(server.url))
    results = f"{queue}-results"
    external.queue_declare(results, durable=True, arguments={"x-queue-type": "quorum"})
    first, second = _take(backend, queue, 2)

    proxy.cut()
    reply = Outgoing(queue=results, body=b"result", id="r")
    assert backend.awf_mq_extend([first, second]) == [None, None]
    eventually(
        lambda: backend.awf_mq_ack([Ack(delivery=first, replies=[reply])]) == [None], what="it is connected anew"
    )
    assert backend.awf_mq_ack([Ack(delivery=second)]) == [None]

    assert [each.body for each in _take(make_backend(), results)] == [b"result"]
    assert backend.awf_mq_stats(queue).ready == 0
    (again,) = backend.awf_mq_ack([Ack(delivery=first, replies=[reply])])
    assert isinstance(again, LeaseLost)
    backend.awf_mq_close()
    assert _journals(tmp_path) == []


def test_the_broker_has_nothing_unacknowledged_after_an_accept_and_sends_no_more_than_was_asked_for(
    make_backend: MakeBackend, external: Any, queue: str
) -> None:
    backend = _accepting(make_backend, queue, *(b"%d" % number for number in range(6)))

    taken = _take(backend, queue, 2)

    assert [each.body for each in taken] == [b"0", b"1"]
    eventually(lambda: external.queue_declare(queue, passive=True).method.message_count == 4)
    assert [each.body for each in _take(backend, queue, 4)] == [b"2", b"3", b"4", b"5"]


def test_retries_releases_and_dead_letters_of_accepted_messages_go_through_the_broker_with_their_counts(
    make_backend: MakeBackend, queue: str
) -> None:
    backend, dead = _accepting(make_backend, queue, b"a", b"b", b"c"), f"{queue}-dead"
    backend.awf_mq_ensure(dead, "dead", None)
    failed, released, dead_lettered = _take(backend, queue, 3)

    nacks = [Nack(delivery=failed, delay_s=0.0), Nack(delivery=released, counted=False, reason="drain")]
    assert backend.awf_mq_nack(nacks) == [None, None]
    dead_letter = DeadLetter(delivery=dead_lettered, queue=dead, reason="max_attempts", error="no")
    assert backend.awf_mq_dead_letter([dead_letter]) == [None]

    back = {each.body: each for each in _take(make_backend(), queue, 2)}
    assert {body: (each.attempt, each.deliveries) for body, each in back.items()} == {b"a": (2, 2), b"b": (1, 2)}
    assert {each.headers["trace"] for each in back.values()} == {"t1"}
    (item,) = backend.awf_mq_browse(dead, 10, None).items
    assert (item.body, item.reason, item.source) == (b"c", "max_attempts", queue)


def test_a_closed_backend_puts_back_what_it_had_accepted_at_once(make_backend: MakeBackend, queue: str) -> None:
    backend = _accepting(make_backend, queue, b"a")
    (held,) = _take(backend, queue)

    backend.awf_mq_close()

    (again,) = _take(make_backend(), queue)
    assert (again.body, again.id, again.attempt, again.deliveries) == (b"a", "a", 1, 2)
    assert (held.crashes, again.crashes) == (0, 0)


def test_a_worker_without_free_slots_puts_back_what_others_left(
    make_backend: MakeBackend, queue: str, tmp_path: Path
) -> None:
    backend = _accepting(make_backend, queue, b"a")
    _take(backend, queue)
    (journal,) = _journals(tmp_path)
    left = journal.with_name("left.db")
    shutil.copy(journal, left)
    left.with_suffix(".lock").touch()

    make_backend().awf_mq_extend([])

    assert [(each.body, each.deliveries) for each in _take(make_backend(), queue)] == [(b"a", 2)]
    assert _journals(tmp_path) == [journal]


def test_a_journal_that_cannot_be_written_takes_no_message(
    make_backend: MakeBackend, queue: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("not a directory")
    backend = _accepting(make_backend, queue, b"a", journal="file")

    with pytest.raises(BrokerMisconfigured) as caught:
        backend.awf_mq_consume(queue, 1, 1.0)

    assert "file" in str(caught.value)
    assert "mq.rabbitmq.journal" in str(caught.value.hint)
    assert backend.awf_mq_stats(queue).ready == 1


def test_a_broken_journal_releases_what_came_and_takes_nothing_until_it_is_repaired(
    make_backend: MakeBackend, queue: str, tmp_path: Path
) -> None:
    backend = _accepting(make_backend, queue, b"a")
    backend.awf_mq_consume(queue, 0, 0.0)
    (journal,) = _journals(tmp_path)
    whole = journal.read_bytes()
    journal.write_bytes(b"broken" * 2000)

    for _ in range(3):
        with pytest.raises(BrokerMisconfigured):
            backend.awf_mq_consume(queue, 1, 1.0)
    journal.write_bytes(whole)

    (held,) = _take(backend, queue)
    assert (held.body, held.deliveries) == (b"a", 2)


def test_early_acknowledgement_is_loaded_only_where_it_is_configured() -> None:
    code = "import sys, awf_mq_rabbitmq.backend; print('awf_mq_rabbitmq.early_ack' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["False"]


@pytest.mark.parametrize(("moment", "runs"), [("journaled", 2), ("accepted", 1), ("", 1)])
def test_no_message_is_lost_whenever_its_worker_is_killed(
    server: PrivateRabbitMq, external: Any, queue: str, tmp_path: Path, moment: str, runs: int
) -> None:
    (tmp_path / ".awf/workflows").mkdir(parents=True)
    (tmp_path / ".awf/workflows/once.yaml").write_text(WORKFLOW)
    crash_at = f"rabbitmq.{moment}" if moment else "pipeline.claimed"
    environment = {**os.environ, "AWF_MQ_AMQP_URL": server.url, "AWF_MQ_RABBITMQ_ACK": "on_accept"}
    command = [AWF, "worker", "--queue", queue, "--burst"]

    def run(**more: str) -> subprocess.CompletedProcess[str]:
        env = {**environment, **more}
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60)

    assert run().returncode == 0
    external.queue_declare(f"{queue}-results", durable=True)
    body = json.dumps({"id": "m1", "workflow": "once", "reply_to": f"{queue}-results"})
    external.basic_publish("", queue, body.encode())

    assert run(AWF_CRASH_AT=crash_at).returncode == -9
    after = run()

    assert after.returncode == 0, after.stderr
    assert "1 of 1 messages that a worker had accepted and not finished are back" in after.stderr
    # Killed between the journal and the ack, both the journal and the broker have it: done twice, and never lost.
    assert (tmp_path / "starts").read_text().split() == ["m1"] * runs
    assert external.queue_declare(f"{queue}-results", passive=True).method.message_count == runs
