"""What one bad thing may cost: a queue, a right, a body, a server that hangs, an answer that is late."""

from __future__ import annotations

import signal

import pytest
import redis
from answer_hold import AnswerHold
from fault_project import QUEUE, SETTLED, UNAVAILABLE, limit_memory, status_kb
from redis_faults import RedisFaults

from awf_core.contract import Ack, Outgoing
from awf_core.errors import QueueMissing
from awf_core.testing.eventually import eventually
from awf_core.testing.proxy import Proxy

CONCURRENCY = 5
BODY_BYTES = 60_000_000
GRACE_S = 1.0
KEYS = ("~{work}:*", "~work", "~dead", "~{dead}:*", "~{awf-reply-*}:*", "~awf-reply-*", "~awf:state:*")
STORES = ("~results", "~{results}:role", "~undeliverable", "~{undeliverable}:*")


@pytest.fixture
def project(tmp_path, server):
    made = RedisFaults(tmp_path / "project", redis.Redis(port=server.port))
    yield made
    made.close()


@pytest.fixture
def as_user(server, external):
    """Let a user work on these keys only; returns the URL to log in as them."""

    def make(*keys):
        external.execute_command("ACL", "SETUSER", "worker", "on", ">s3cret", "+@all", "resetkeys", *keys)
        return server.url.replace("redis://", "redis://worker:s3cret@")

    yield make
    external.acl_deluser("worker")


def test_a_worker_that_may_store_no_result_anywhere_says_so_at_its_start(project, as_user):
    worker = project.worker(project.redis(as_user(*KEYS)), is_awaited=False)

    code = worker.end(20)

    assert code == 2
    assert "undeliverable" in worker.tail()
    assert "not allowed" in worker.tail()


def test_work_whose_results_may_be_stored_nowhere_is_bounded_and_not_repeated(project, as_user):
    url = as_user(*KEYS, *STORES)
    worker = project.worker(project.redis(url, concurrency=CONCURRENCY))
    ids = [f"m-{number}" for number in range(40)]

    as_user(*KEYS)
    project.put(*ids, workflow="short")
    worker.await_line("settle.retried", count=2)  # a line a second at most: a second to overrun the bound in
    executed = project.starts()
    as_user(*KEYS, *STORES)

    assert executed <= 2 * CONCURRENCY, f"{executed} executed, and none could be settled"
    assert project.await_results(len(ids), within_s=40) == sorted(ids)
    project.assert_ran_once(*ids)
    assert worker.stop() == 0


def test_a_body_that_no_worker_can_hold_is_dead_lettered_and_the_message_behind_it_runs(project, server):
    worker = project.worker(project.redis(server.url), "--concurrency", "1")
    project.put("warm", workflow="short")
    project.await_results(1)
    limit_memory(worker.pid, room_mb=40)
    peak_kb = status_kb(worker.pid, "VmHWM")

    project.client.lpush(QUEUE, bytes(BODY_BYTES))
    project.put("behind", workflow="short")

    assert project.await_results(2) == ["behind", "warm"]
    eventually(lambda: project.client.xlen("dead") == 1, what="the large body is dead-lettered")
    assert status_kb(worker.pid, "VmHWM") - peak_kb < 24 * 1024
    ((_, fields),) = project.client.xrange("dead")
    assert fields[b"body"] == bytes(BODY_BYTES)
    assert worker.stop() == 0


def test_a_queue_that_can_not_be_used_takes_no_turn_of_one_that_can(project, server):
    queues = ("--queue", "work", "--queue", "broken")
    worker = project.worker(project.redis(server.url), "--concurrency", "1", *queues)
    project.client.set("broken", "no list")
    worker.await_line(UNAVAILABLE, queue="broken", count=4)  # by now its pauses are long

    ids = [f"m-{number}" for number in range(10)]
    project.put(*ids, workflow="short")

    # A pause a message would make it 20 seconds and more.
    assert project.await_results(len(ids), within_s=8) == sorted(ids)


def test_burst_does_not_end_while_the_answer_to_a_claim_is_under_way(project, server):
    with AnswerHold(server.port, b'"held-back"') as hold:
        project.put("held-back", workflow="short")
        queues = ("--queue", "empty", "--queue", "work")
        config = project.redis(hold.through(server.url), section={"socket_timeout": "30s"})
        worker = project.worker(config, "--burst", *queues, is_awaited=False)
        eventually(hold.holding.is_set, 15, what="the claim was made and its answer is held back")

        # The worker polls the other queue again and again meanwhile.
        eventually(lambda: hold.passed >= 12 or worker.exit_code is not None, 15)
        assert worker.exit_code is None, f"ended with {worker.exit_code} and a message in hand: {worker.tail()}"
        hold.let_go()

        assert worker.end() == 0
    assert project.await_results(1) == ["held-back"]
    assert [key for key in project.client.keys() if not key.endswith(b":role")] == [b"results"]  # noqa: SIM118


def test_fifty_queues_on_a_server_that_hangs_stop_side_by_side(project, server):
    queues = [word for number in range(50) for word in ("--queue", f"q-{number}")]
    with Proxy("127.0.0.1", server.port) as proxy:
        section = {"socket_timeout": "60s", "block": "5s"}
        config = project.redis(proxy.through(server.url), section=section, grace=f"{GRACE_S}s")
        worker = project.worker(config, "--concurrency", "50", *queues)
        eventually(lambda: proxy.live >= 50, 20, what="every queue has its connection")

        proxy.blackhole()
        worker.signal(signal.SIGTERM)

        assert worker.end(GRACE_S + 5.0) in (0, 5)


def test_a_private_reply_queue_that_has_expired_is_missing(backend, external):
    gone = backend.awf_mq_reply_queue(1.0)
    there = backend.awf_mq_reply_queue(600.0)
    seconds, _ = external.time()
    eventually(lambda: external.time()[0] > seconds + 1, 10, what="the server's clock is past its end")
    backend.awf_mq_publish([Outgoing(queue="work", body=b"x")])
    (delivery,) = backend.awf_mq_consume("work", 1, 5)

    published = backend.awf_mq_publish([Outgoing(queue=queue, body=b"r") for queue in (gone, there)])
    (acked,) = backend.awf_mq_ack([Ack(delivery=delivery, replies=[Outgoing(queue=gone, body=b"r")])])

    assert [type(error) for error in published] == [QueueMissing, type(None)]
    assert isinstance(acked, QueueMissing)
    assert gone in str(acked)
    assert external.exists(gone) == 0
    # The delivery is still ours, to be settled without the reply.
    assert backend.awf_mq_ack([Ack(delivery=delivery)]) == [None]


def test_the_result_for_a_private_reply_queue_that_has_expired_is_kept(project, server, backend):
    gone = backend.awf_mq_reply_queue(1.0)
    seconds, _ = project.client.time()
    eventually(lambda: project.client.time()[0] > seconds + 1, 10, what="the server's clock is past its end")
    project.reply_to = gone
    worker = project.worker(project.redis(server.url))

    project.put("m", workflow="short")

    worker.await_line(SETTLED, message_id="m", settlement="ack")
    assert worker.lines("reply.undeliverable", message_id="m")
    assert project.client.llen("undeliverable") == 1
    assert project.client.exists(gone) == 0
