"""`awf worker` processes on servers that die, hang, fill up or change their mind: no message lost, no result twice."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from datetime import datetime
from itertools import pairwise

import pytest
import redis

from awf_core.testing.eventually import eventually
from awf_core.testing.process import LoggedProcess, awf_command
from awf_core.testing.project import Project
from awf_core.testing.proxy import Proxy

BACK_WITHIN_S = 5.0
COMPLAINTS = ("broker.unavailable", "settle.retried")


class Site:
    """A project, its workers, and a foreign client's view of the server."""

    def __init__(self, directory, port):
        self.project = Project(directory)
        self.client = redis.Redis(port=port)
        self.workers = []

    def worker(self, url, *options, env=None, mq=None, is_awaited=True, **section):
        """A worker that notices trouble soon; it has said `worker.ready` unless not awaited."""
        section = {"url": url, "block": "200ms", "socket_timeout": "500ms", "connect_timeout": "500ms", **section}
        config = self.project.configure(
            f"worker-{len(self.workers)}",
            {"type": "redis", "redis": section, "concurrency": 2, "dead_letter": {"queue": "dead"}, **(mq or {})},
        )
        command = awf_command("worker", "--queue", "work", "--log-format", "json", *options)
        environment = self.project.environment(config, env)
        self.workers.append(LoggedProcess(command, directory=self.project.directory, env=environment))
        if is_awaited:
            self.workers[-1].await_line("worker.ready")
        return self.workers[-1]

    def push(self, workflow, *ids):
        self.client.lpush("work", *[message(workflow, each) for each in ids])

    def begin(self, workflow="kit-slow", message_id="m"):
        """Push a message, and return when its run has begun."""
        self.push(workflow, message_id)
        eventually(lambda: self.project.runs(workflow), what="the run began")

    def results(self, count=1, within_s=10.0, client=None):
        """The message ids of all results, once there are `count`."""
        client = client or self.client
        eventually(lambda: client.llen("results") >= count, within_s, what=f"{count} results")
        return sorted(json.loads(body)["message_id"] for body in client.lrange("results", 0, -1))

    def assert_settled(self, *, client=None):
        """Nothing is left in any key but results."""
        client = client or self.client
        eventually(lambda: client.keys() == [b"results"], what="the queue's keys are gone")

    def close(self):
        for worker in self.workers:
            worker.kill()
        self.client.close()


def message(workflow, message_id):
    return json.dumps({"id": message_id, "workflow": workflow, "reply_to": "results"})


def assert_calm(worker):
    """Its complaints are about a second apart at the least."""
    complaints = [line for line in worker.log if line.get("event") in COMPLAINTS]
    at = sorted(datetime.fromisoformat(line["timestamp"]).timestamp() for line in complaints)
    assert all(later - earlier > 0.95 for earlier, later in pairwise(at)), worker.tail()


def assert_back_soon(site, worker, message_id="after", *, client=None, count=1):
    """From now on, when the server is there again, a message is answered within five seconds."""
    back_at = time.monotonic()
    (client or site.client).lpush("work", message("kit-done", message_id))
    found = site.results(count, within_s=BACK_WITHIN_S, client=client)
    assert time.monotonic() - back_at < BACK_WITHIN_S
    assert message_id in found
    assert Counter(found).most_common(1)[0][1] == 1
    assert_calm(worker)


@pytest.fixture
def make_site(tmp_path):
    made = []

    def make(server):
        made.append(Site(tmp_path / "project", server.port))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def proxy(server):
    with Proxy("127.0.0.1", server.port) as running:
        yield running


def test_a_server_killed_while_the_worker_idles_is_found_again(make_server, make_site):
    server = make_server()
    site = make_site(server)
    worker = site.worker(server.url)

    server.kill()
    worker.await_line("broker.unavailable", count=2)
    server.start()

    assert_back_soon(site, worker)
    worker.await_line("broker.recovered")


def test_a_server_killed_with_a_claim_under_way_loses_nothing(make_server, make_site):
    server = make_server()
    site = make_site(server)
    worker = site.worker(server.url)
    site.push("kit-done", "before")
    site.results()

    server.pause()
    worker.await_line("broker.unavailable")
    server.restart()

    assert_back_soon(site, worker, count=2)
    site.assert_settled()


def test_a_run_goes_on_while_its_server_is_gone_and_is_answered_once_after(make_server, make_site):
    server = make_server()
    site = make_site(server)
    worker = site.worker(server.url)
    site.begin()

    server.kill()
    site.project.open_gate()
    worker.await_line("run.finished")
    worker.await_line("broker.unavailable", count=2)
    server.start()

    assert_back_soon(site, worker, count=2)
    assert site.project.runs("kit-slow") == ["m"]
    site.assert_settled()


def test_a_settlement_that_died_with_its_server_is_made_again(make_server, make_site):
    server = make_server()
    site = make_site(server)
    worker = site.worker(server.url, "--concurrency", "1")
    site.begin()

    server.pause()
    site.project.open_gate()
    worker.await_line("settle.retried")
    server.restart()

    assert_back_soon(site, worker, count=2)
    assert site.project.runs("kit-slow") == ["m"]
    site.assert_settled()


def test_a_settlement_whose_answer_died_with_its_server_is_not_made_twice(make_server, make_site):
    server = make_server()
    site = make_site(server)
    with Proxy("127.0.0.1", server.port) as proxy:
        # With its last message in hand the worker asks for no more, so the next answer is the settlement's.
        worker = site.worker(proxy.through(server.url), "--concurrency", "1", "--max-messages", "2")
        site.push("kit-done", "first")  # the scripts are known from here on
        worker.await_line("message.settled")
        site.begin()

        proxy.cut_after(0, towards="client")
        proxy.refuse()
        site.project.open_gate()
        worker.await_line("settle.retried")
        taken = site.client.llen("results")
        server.restart()
        proxy.restore()
        code = worker.end()

    assert (taken, code) == (2, 0)
    assert site.results(2) == ["first", "m"]
    assert site.project.runs("kit-slow") == ["m"]
    site.assert_settled()


def test_a_stream_of_messages_over_two_kills_of_the_server_is_answered_one_by_one(make_server, make_site):
    server = make_server()
    site = make_site(server)
    ids = [f"{number:03}" for number in range(120)]
    worker = site.worker(server.url, lease="1s")

    site.push("kit-done", *ids)
    for part in (30, 70):
        site.results(part)
        server.restart()

    assert site.results(len(ids), within_s=20) == ids
    site.assert_settled()
    assert worker.stop() == 0
    assert site.client.llen("results") == len(ids)


def test_a_link_that_went_silent_is_given_up_and_the_run_answered_once(server, proxy, make_site):
    site = make_site(server)
    worker = site.worker(proxy.through(server.url), lease="3s")
    site.begin()

    proxy.blackhole()
    site.project.open_gate()
    worker.await_line("run.finished")
    silent_until = time.monotonic() + 1.2  # beyond the patience of whoever waits for an answer, settlement included
    eventually(lambda: time.monotonic() > silent_until)
    proxy.cut()
    proxy.restore()

    assert_back_soon(site, worker, count=2)
    assert site.project.runs("kit-slow") == ["m"]
    site.assert_settled()


def test_connections_that_are_reset_again_and_again_cost_no_message(server, proxy, make_site):
    site = make_site(server)
    ids = [f"{number:03}" for number in range(60)]
    site.worker(proxy.through(server.url), lease="1s")

    site.push("kit-done", *ids)
    for part in range(10, 60, 10):
        site.results(part)
        proxy.cut()

    assert site.results(len(ids), within_s=20) == ids
    site.assert_settled()


def test_a_server_at_maxmemory_still_has_its_messages_run_and_answered(server, make_site):
    site = make_site(server)
    worker = site.worker(server.url, "--concurrency", "1", lease="600ms")
    site.begin()
    site.push("kit-done", "waiting")
    site.client.config_set("maxmemory", 1)

    renewed_at = time.monotonic() + 1.5
    eventually(lambda: time.monotonic() > renewed_at)  # its lease would be over twice by now
    site.project.open_gate()
    found = site.results(2)
    with pytest.raises(redis.OutOfMemoryError):
        site.push("kit-done", "refused")

    assert found == ["m", "waiting"]
    assert not worker.lines("lease.lost")
    assert site.project.runs("kit-slow") == ["m"]
    site.assert_settled()


def test_a_master_that_is_a_replica_for_a_while_is_worked_with_again_after(make_server, make_site):
    server = make_server(append_only=False)
    site = make_site(server)
    worker = site.worker(server.url)
    site.begin()

    site.client.replicaof("127.0.0.1", "1")
    site.project.open_gate()
    worker.await_line("run.finished")
    worker.await_line("broker.unavailable")
    site.client.replicaof("NO", "ONE")

    assert_back_soon(site, worker, count=2)
    assert site.project.runs("kit-slow") == ["m"]


def test_a_worker_follows_its_sentinels_to_the_new_master(sentinel_group, make_site):
    master, replica, sentinels = sentinel_group
    site = make_site(master)
    nodes = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in sentinels)
    worker = site.worker(f"redis+sentinel://{nodes}/mymaster")
    site.begin()
    assert site.client.wait(1, 5000) == 1

    with redis.Redis(port=replica.port) as promoted:
        master.kill()
        site.project.open_gate()
        worker.await_line("run.finished")
        eventually(lambda: promoted.info("replication")["role"] == "master", 20, what="the failover")

        assert_back_soon(site, worker, client=promoted, count=2)
        site.assert_settled(client=promoted)
    assert site.project.runs("kit-slow") == ["m"]


def test_a_server_that_forgot_the_scripts_is_told_them_without_a_word_in_the_log(server, make_site):
    site = make_site(server)
    worker = site.worker(server.url)
    site.begin()

    site.client.script_flush()
    site.project.open_gate()

    assert site.results() == ["m"]
    site.assert_settled()
    assert not [line for line in worker.log if line.get("event") in COMPLAINTS]


def test_a_refused_login_ends_a_starting_worker_at_its_first_try(make_server, make_site):
    server = make_server(append_only=False, password="s3cret")
    site = make_site(server)
    worker = site.worker(server.url.replace("s3cret", "wr0ng"), is_awaited=False)

    code = worker.end()
    with redis.Redis(port=server.port, password="s3cret") as client:
        refused = client.acl_log()

    said = "\n".join(line.get("text", json.dumps(line)) for line in worker.log)
    assert code == 2
    assert "refuses the login" in said
    assert "check user and password" in said
    assert "wr0ng" not in said
    assert [entry["count"] for entry in refused] == [1]


def test_a_name_nobody_knows_is_asked_for_calmly_until_the_time_is_over(server, make_site):
    site = make_site(server)
    worker = site.worker("redis://broker.invalid:6379", "--connect-timeout", "1.5s", is_awaited=False)

    code = worker.end()

    said = "\n".join(line.get("text", json.dumps(line)) for line in worker.log)
    assert code == 4
    assert "broker.invalid" in said
    assert 1 <= len(worker.lines("broker.unavailable")) <= 3


def test_a_password_that_is_changed_and_changed_back_costs_no_message(make_server, make_site):
    server = make_server(append_only=False)
    site = make_site(server)
    worker = site.worker(server.url)
    site.begin()

    site.client.config_set("requirepass", "s3cret")
    site.client.client_kill_filter(_type="normal", skipme=True)
    site.project.open_gate()
    worker.await_line("run.finished")
    worker.await_line("broker.unavailable")
    site.client.config_set("requirepass", "")

    assert_back_soon(site, worker, count=2)
    assert site.project.runs("kit-slow") == ["m"]
    site.assert_settled()


# The resolver is the system's and not ours: this is its answer while the file is there.
RESOLVER = """
import os, socket
known = socket.getaddrinfo
def getaddrinfo(host, *rest, **more):
    if host != "broker.test":
        return known(host, *rest, **more)
    if os.path.exists(os.environ["NO_DNS"]):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    return known("127.0.0.1", *rest, **more)
socket.getaddrinfo = getaddrinfo
"""


def test_a_name_that_is_forgotten_for_a_while_is_looked_up_again(server, proxy, make_site, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(RESOLVER)
    site = make_site(server)
    env = {"PYTHONPATH": str(tmp_path), "NO_DNS": str(tmp_path / "no-dns")}
    worker = site.worker(f"redis://broker.test:{proxy.port}", env=env)

    (tmp_path / "no-dns").touch()
    proxy.cut()
    worker.await_line("broker.unavailable", count=2)
    (tmp_path / "no-dns").unlink()

    assert_back_soon(site, worker)
    assert any("not known" in line["error"] for line in worker.lines("broker.unavailable"))


def test_a_worker_stopped_beyond_its_lease_loses_the_message_to_another_and_its_own_late_ack(server, make_site):
    site = make_site(server)
    stopped = site.worker(server.url, lease="1s")
    site.begin()

    stopped.signal(signal.SIGSTOP)
    heir = site.worker(server.url, lease="1s")
    eventually(lambda: len(site.project.runs("kit-slow")) == 2, what="another worker began it")
    site.project.open_gate()
    heir.await_line("message.settled", settlement="ack")
    stopped.signal(signal.SIGCONT)
    stopped.await_line("message.settled", settlement="lost")

    assert site.results() == ["m"]
    assert site.project.runs("kit-slow") == ["m", "m"]
    assert heir.lines("message.claimed", deliveries=2, attempt=1)
    site.assert_settled()
