"""Kill workers on RabbitMQ, and RabbitMQ itself, at random, and count what became of every message.

    python -m bench.chaos_rabbitmq [--messages 6000] [--workers 4] [--kills 40] [--server-kills 2] [--seed 1]

Replicated (quorum) queues; real `awf worker` processes run a short command for each message. SIGKILL hits them at any
moment, and the broker twice. Afterwards every message must have a result, and nothing may be left to do. A result is
published and confirmed before its message is acknowledged, so a kill in between has the message done again: each
second result is held against the kills, and one that no kill explains is a broken promise. Prints the counts; exits 1
when a promise was broken.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pika

from awf_core.testing.brokers import PrivateRabbitMq
from awf_core.testing.process import Project, awf_command
from bench.chaos_crew import (
    BACK_WITHIN_S,
    CONCURRENCY,
    POLL_S,
    SETTLE_S,
    Crew,
    Result,
    moments,
    parser,
    play,
    result_of,
    was_killed_while_settling,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from bench.chaos_crew import WorkerKill

WORK, RESULTS = "awf-workflows", "chaos-results"
WORKFLOW = "chaos"
QUORUM = {"x-queue-type": "quorum"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerKill:
    """From the broker's death until the next result, in epoch seconds, and how long after its return that was."""

    at_s: float
    over_s: float
    return_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What happened; `lost`, `unexplained`, `not_completed` and `left_in_queue` have to be 0.

    `extra_results` came of messages that had one already, `by_worker_kill` and `by_broker_kill` of them because of one.
    `slowest_return_s` is the longest time from the broker's return to the next result, at most `BACK_WITHIN_S`.
    """

    messages: int
    kills: int
    server_kills: int
    seconds: float
    slowest_return_s: float
    distinct_results: int
    extra_results: int
    by_worker_kill: int
    by_broker_kill: int
    unexplained: int
    lost: int
    not_completed: int
    left_in_queue: int

    @property
    def is_good(self) -> bool:
        """Whether every promise held."""
        broken = (self.lost, self.unexplained, self.not_completed, self.left_in_queue)
        return not any(broken) and self.slowest_return_s <= BACK_WITHIN_S


def explanation(
    first: Result, second: Result, kills: Iterable[WorkerKill], server_kills: Iterable[ServerKill]
) -> str | None:
    """What had a message done again that had a result: "worker", "broker", or None where no kill explains it. Pure."""
    if was_killed_while_settling(first, second, kills):
        return "worker"
    for outage in server_kills:
        was_held = first.started_s <= outage.over_s and first.finished_s + SETTLE_S >= outage.at_s
        if was_held and second.finished_s >= outage.at_s:
            return "broker"
    return None


class Chaos:
    """One round: a broker, a project, a crew of workers, and what was done to them."""

    def __init__(self, directory: Path, *, workers: int, seed: int) -> None:
        self.dice = random.Random(seed)
        (directory / "rabbitmq").mkdir()
        self.server = PrivateRabbitMq(directory / "rabbitmq")
        self.project = Project(directory)
        self.project.workflow(WORKFLOW, "sleep 0.01")
        section = {"url": self.server.url, "connect_timeout": "3s", "publish_timeout": "3s"}
        mq = {"type": "rabbitmq", "rabbitmq": section, "concurrency": CONCURRENCY}
        self._config = self.project.configure("chaos", mq)
        log = directory / "workers.log"
        self.crew = Crew(self.project, self._config, log, size=workers, dice=self.dice)
        self.server_kills: list[ServerKill] = []

    def start(self, ids: Sequence[str]) -> None:
        """Everything is there, and there is something to do."""
        self.server.start()
        subprocess.run(
            awf_command("queue", "ensure"),
            cwd=self.project.directory,
            env=self.project.environment(self._config),
            check=True,
            capture_output=True,
        )
        connection = self._connect()
        channel = connection.channel()
        channel.queue_declare(RESULTS, durable=True, arguments=QUORUM)
        channel.confirm_delivery()
        for name in ids:
            body = json.dumps({"id": name, "workflow": WORKFLOW, "reply_to": RESULTS}).encode()
            channel.basic_publish("", WORK, body, pika.BasicProperties(delivery_mode=2), mandatory=True)
        connection.close()
        # It writes down which replicated queues it has a moment after it says that they are declared (3.10).
        self.server.control("eval", "[dets:sync(Table) || Table <- dets:all()].")
        self.crew.start()

    def results(self) -> int:
        """How many there are, second ones included."""
        connection = self._connect()
        frame = connection.channel().queue_declare(RESULTS, passive=True)
        connection.close()
        return int(frame.method.message_count)

    def kill_server(self, *, limit_s: float) -> None:
        """And start it again; returns when a result has come since."""
        at_s = time.time()
        self.server.restart()
        back_s = time.time()
        before = self.results()
        while self.results() == before and time.time() < back_s + limit_s:
            time.sleep(POLL_S)
        over_s = time.time()
        self.server_kills.append(ServerKill(at_s=at_s, over_s=over_s, return_s=over_s - back_s))

    def unsettled(self) -> int:
        """What is ready or held in the work queue."""
        rows = self.server.control("list_queues", "--quiet", "--no-table-headers", "name", "messages").splitlines()
        return sum(int(row.split("\t")[1]) for row in rows if row.split("\t")[0] != RESULTS)

    def all_results(self) -> list[dict[str, Any]]:
        """Take them."""
        connection = self._connect()
        channel = connection.channel()
        found = []
        while (got := channel.basic_get(RESULTS, auto_ack=True))[0] is not None:
            found.append(json.loads(got[2]))
        connection.close()
        return found

    def end(self) -> None:
        """Nothing of it runs any more."""
        self.crew.end()
        self.server.stop()

    def _connect(self) -> pika.BlockingConnection:
        return pika.BlockingConnection(pika.URLParameters(self.server.url))


def run(
    directory: Path, *, messages: int, workers: int, kills: int, server_kills: int, seed: int, limit_s: float
) -> Report:
    """One round in `directory`; gives up after `limit_s` and reports what is missing."""
    ids = [f"m-{number}" for number in range(messages)]
    chaos = Chaos(directory, workers=workers, seed=seed)
    try:
        chaos.start(ids)
        started_s = time.monotonic()
        for at_results, is_server in moments(messages, kills, server_kills, chaos.dice):
            while chaos.results() < at_results and time.monotonic() < started_s + limit_s:
                time.sleep(POLL_S)
            time.sleep(chaos.dice.uniform(0, 0.1))
            if is_server:
                chaos.kill_server(limit_s=limit_s)
            else:
                chaos.crew.kill_one()
        while not (chaos.results() >= messages and not chaos.unsettled()) and time.monotonic() < started_s + limit_s:
            time.sleep(POLL_S)
        return _report(chaos, ids, left=chaos.unsettled(), seconds=time.monotonic() - started_s)
    finally:
        chaos.end()


def _report(chaos: Chaos, ids: Sequence[str], *, left: int, seconds: float) -> Report:
    bodies = chaos.all_results()
    by_id: dict[str, list[Result]] = defaultdict(list)
    for body in bodies:
        by_id[body["message_id"]].append(result_of(body))
    why = [
        explanation(first, second, chaos.crew.kills, chaos.server_kills)
        for found in by_id.values()
        for first, second in pairwise(sorted(found, key=lambda result: result.finished_s))
    ]
    return Report(
        messages=len(ids),
        kills=len(chaos.crew.kills),
        server_kills=len(chaos.server_kills),
        seconds=round(seconds, 2),
        slowest_return_s=round(max((kill.return_s for kill in chaos.server_kills), default=0.0), 2),
        distinct_results=len(by_id),
        extra_results=len(bodies) - len(by_id),
        by_worker_kill=why.count("worker"),
        by_broker_kill=why.count("broker"),
        unexplained=why.count(None),
        lost=sum(1 for name in ids if name not in by_id),
        not_completed=sum(1 for body in bodies if body["status"] != "completed"),
        left_in_queue=left,
    )


def main() -> int:
    return play(run, parser("Kill workers on RabbitMQ, and RabbitMQ, and count the messages.").parse_args())


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        sys.exit(main())
