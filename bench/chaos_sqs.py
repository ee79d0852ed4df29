"""Kill workers on SQS at random, and count the results of every message.

    python -m bench.chaos_sqs [--messages 600] [--workers 3] [--kills 20] [--lease 3] [--seed 1]

Real `awf worker` processes run a short command for each message; SIGKILL hits them at any moment and each is replaced.
Afterwards every message must have a result, and no queue but that of the results may hold a message. SQS has no
transaction: a result is sent before its message is deleted, so a kill in between has the message run again. Each
second result is compared with the kills, and one that no kill explains is a broken promise. Prints the counts; exits 1
when a promise was broken.

The endpoint is moto's. It keeps its queues in memory, so it is not killed here.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from awf_core.testing.process import Project
from bench.chaos_crew import CONCURRENCY, POLL_S, Crew, moments, parser, play, result_of, was_killed_while_settling
from bench.sqs_queue import PrivateSqs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from bench.chaos_crew import WorkerKill

WORK, RESULTS = "awf-workflows", "chaos-results"
WORKFLOW = "chaos"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The counts of a round; all from `unexplained` to `left_in_queues` have to be 0.

    `runs` counts every start of a workflow, those that a kill cut short included. `second_results` came of messages
    that had one already, `by_worker_kill` of them because their first worker died before it deleted the message.
    """

    messages: int
    kills: int
    runs: int
    seconds: float
    distinct_results: int
    second_results: int
    by_worker_kill: int
    unexplained: int
    lost: int
    not_completed: int
    left_in_queues: int

    @property
    def is_good(self) -> bool:
        """Whether every promise held."""
        return not any((self.unexplained, self.lost, self.not_completed, self.left_in_queues))


class Chaos:
    """One round: an endpoint, a project, a crew of workers, and the kills."""

    def __init__(self, directory: Path, *, workers: int, lease_s: int, seed: int) -> None:
        self.dice = random.Random(seed)
        self.server = PrivateSqs(directory / "moto")
        self.project = Project(directory)
        self.project.workflow(WORKFLOW, f"echo x >> '{self.project.marks / WORKFLOW}'; sleep 0.01")
        section = {"queue_url": self.server.queue_url(WORK), "lease": f"{lease_s}s", "wait": "1s"}
        mq = {"type": "sqs", "sqs": section, "concurrency": CONCURRENCY}
        config = self.project.configure("chaos", mq)
        log = directory / "workers.log"
        self.crew = Crew(self.project, config, log, size=workers, dice=self.dice, environment=self.server.login)

    def start(self, ids: Sequence[str]) -> None:
        """Start the endpoint, send a message for each of `ids`, start the workers."""
        self.server.start()
        for queue in (WORK, RESULTS):
            self.server.create(queue)
        self.server.send(WORK, [json.dumps({"id": name, "workflow": WORKFLOW, "reply_to": RESULTS}) for name in ids])
        self.crew.start()

    def results(self) -> int:
        """The number of results, second ones included."""
        return self.server.stored(RESULTS)

    def unsettled(self) -> int:
        """The number of messages in all queues but that of the results, in flight and delayed ones included."""
        return sum(self.server.stored(queue) for queue in self.server.queues() if queue != RESULTS)

    def end(self) -> None:
        """End every process of the round."""
        self.crew.end()
        self.server.end()


def run(
    directory: Path,
    *,
    messages: int,
    workers: int,
    kills: int,
    server_kills: int,
    lease_s: int,
    seed: int,
    limit_s: float,
) -> Report:
    """One round in `directory`; after `limit_s` seconds it ends and reports the missing results.

    Raises ValueError for `server_kills`: the queues are in the memory of the server.
    """
    if server_kills:
        raise ValueError("server_kills is not 0, but a killed moto server loses all queues: use --server-kills 0")
    ids = [f"m-{number}" for number in range(messages)]
    chaos = Chaos(directory, workers=workers, lease_s=lease_s, seed=seed)
    started_s = time.monotonic()
    try:
        chaos.start(ids)
        for at_results, _ in moments(messages, kills, 0, chaos.dice):
            while chaos.results() < at_results and time.monotonic() < started_s + limit_s:
                time.sleep(POLL_S)
            time.sleep(chaos.dice.uniform(0, 0.1))
            chaos.crew.kill_one()
        while not (chaos.results() >= messages and not chaos.unsettled()) and time.monotonic() < started_s + limit_s:
            time.sleep(POLL_S)
        return _report(chaos, ids, seconds=time.monotonic() - started_s)
    finally:
        chaos.end()


def second_results(by_id: Mapping[str, Sequence[Mapping[str, Any]]], kills: Iterable[WorkerKill]) -> list[bool]:
    """For each result of a message that had one before: whether a kill explains it. Pure."""
    known = list(kills)
    return [
        was_killed_while_settling(first, second, known)
        for bodies in by_id.values()
        for first, second in pairwise(sorted(map(result_of, bodies), key=lambda result: result.finished_s))
    ]


def _report(chaos: Chaos, ids: Sequence[str], *, seconds: float) -> Report:
    left, runs = chaos.unsettled(), len(chaos.project.runs(WORKFLOW))
    bodies = [json.loads(body) for body in chaos.server.take(RESULTS)]
    by_id: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for body in bodies:
        by_id[body["message_id"]].append(body)
    explained = second_results(by_id, chaos.crew.kills)
    return Report(
        messages=len(ids),
        kills=len(chaos.crew.kills),
        runs=runs,
        seconds=round(seconds, 2),
        distinct_results=len(by_id),
        second_results=len(explained),
        by_worker_kill=explained.count(True),
        unexplained=explained.count(False),
        lost=sum(1 for name in ids if name not in by_id),
        not_completed=sum(1 for body in bodies if body["status"] != "completed"),
        left_in_queues=left,
    )


def main() -> int:
    reader = parser("Kill workers on SQS, and count the messages.")
    reader.set_defaults(messages=600, workers=3, kills=20, server_kills=0)
    reader.add_argument("--lease", type=int, default=3, help="whole seconds")
    options = reader.parse_args()
    return play(run, options, lease_s=options.lease)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        sys.exit(main())
