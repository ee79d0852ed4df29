"""Kill workers on Redis, and Redis itself, at random, and count the results of every message.

    python -m bench.chaos_redis [--messages 6000] [--workers 4] [--kills 40] [--server-kills 2] [--lease 2] [--seed 1]

Real `awf worker` processes run a short command for each message; SIGKILL hits them at any moment and each is replaced.
The server is killed the same way and started on the same files. Afterwards every message must have exactly one result,
and no key but the list of results may be left. Prints the counts; exits 1 when a promise was broken.

The server has `appendonly yes` and `appendfsync everysec`: it writes to the kernel before it answers, so killing the
process loses nothing. A power cut is not tested here.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import redis

from awf_core.testing.brokers import PrivateRedis
from awf_core.testing.process import Project
from bench.chaos_crew import BACK_WITHIN_S, CONCURRENCY, POLL_S, Crew, moments, parser, play

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

WORK, RESULTS = "awf-workflows", "chaos-results"
WORKFLOW = "chaos"
AT_ONCE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The counts of a round; all from `lost` to `left_in_keys` have to be 0.

    `runs` counts every start of a workflow, those that a kill cut short included. `slowest_return_s` is the longest
    time from the server's return to the next result, at most `BACK_WITHIN_S`.
    """

    messages: int
    kills: int
    server_kills: int
    runs: int
    seconds: float
    slowest_return_s: float
    lost: int
    doubled_results: int
    not_completed: int
    left_in_keys: int

    @property
    def is_good(self) -> bool:
        """Whether every promise held."""
        broken = (self.lost, self.doubled_results, self.not_completed, self.left_in_keys)
        return not any(broken) and self.slowest_return_s <= BACK_WITHIN_S


class Chaos:
    """One round: a server, a project, a crew of workers, and the kills."""

    def __init__(self, directory: Path, *, workers: int, lease_s: float, seed: int) -> None:
        self.dice = random.Random(seed)
        self.server = PrivateRedis(directory / "redis", extra=("--appendfsync", "everysec"))
        self.client = redis.Redis(port=self.server.port)
        self.project = Project(directory)
        self.project.workflow(WORKFLOW, f"echo x >> '{self.project.marks / WORKFLOW}'; sleep 0.01")
        section = {"url": self.server.url, "lease": f"{lease_s}s", "block": "500ms", "socket_timeout": "1s"}
        mq = {"type": "redis", "redis": section, "concurrency": CONCURRENCY}
        config = self.project.configure("chaos", mq)
        self.crew = Crew(self.project, config, directory / "workers.log", size=workers, dice=self.dice)
        self.returns_s: list[float] = []

    def start(self, ids: Sequence[str]) -> None:
        """Start the server, push a message for each of `ids`, start the workers."""
        self.server.start()
        for first in range(0, len(ids), AT_ONCE):
            self.client.lpush(WORK, *[_message(name) for name in ids[first : first + AT_ONCE]])
        self.crew.start()

    def results(self) -> int:
        """The number of results."""
        return int(self.client.llen(RESULTS))

    def kill_server(self, *, limit_s: float) -> None:
        """Kill the server and start it again; returns at the next result, or after `limit_s` seconds."""
        self.server.restart()
        back_at = time.monotonic()
        before = self.results()
        while self.results() == before and time.monotonic() < back_at + limit_s:
            time.sleep(POLL_S)
        self.returns_s.append(time.monotonic() - back_at)

    def end(self) -> None:
        """End every process of the round."""
        self.crew.end()
        self.client.close()
        self.server.kill()

    def is_over(self, messages: int) -> bool:
        """Whether every message has a result and no other key is left."""
        return self.results() >= messages and self.keys() == 1

    def keys(self) -> int:
        """The number of keys that hold messages, or anything about them."""
        return sum(not key.endswith(b":role") for key in self.client.scan_iter())


def run(
    directory: Path,
    *,
    messages: int,
    workers: int,
    kills: int,
    server_kills: int,
    lease_s: float,
    seed: int,
    limit_s: float,
) -> Report:
    """One round in `directory`; after `limit_s` seconds it ends and reports the missing results."""
    started_s = time.monotonic()
    ids = [f"m-{number}" for number in range(messages)]
    chaos = Chaos(directory, workers=workers, lease_s=lease_s, seed=seed)
    try:
        chaos.start(ids)
        for at_results, is_server in moments(messages, kills, server_kills, chaos.dice):
            _wait_for(chaos, at_results, until_s=started_s + limit_s)
            time.sleep(chaos.dice.uniform(0, 0.1))
            if is_server:
                chaos.kill_server(limit_s=limit_s)
            else:
                chaos.crew.kill_one()
        while not chaos.is_over(messages) and time.monotonic() < started_s + limit_s:
            time.sleep(POLL_S)
        return _report(chaos, ids, seconds=time.monotonic() - started_s)
    finally:
        chaos.end()


def _wait_for(chaos: Chaos, results: int, *, until_s: float) -> None:
    while chaos.results() < results and time.monotonic() < until_s:
        time.sleep(POLL_S)


def _report(chaos: Chaos, ids: Sequence[str], *, seconds: float) -> Report:
    bodies = [json.loads(body) for body in chaos.client.lrange(RESULTS, 0, -1)]
    found = Counter(body["message_id"] for body in bodies)
    return Report(
        messages=len(ids),
        kills=len(chaos.crew.kills),
        server_kills=len(chaos.returns_s),
        runs=len(chaos.project.runs(WORKFLOW)),
        seconds=round(seconds, 2),
        slowest_return_s=round(max(chaos.returns_s, default=0.0), 2),
        lost=sum(1 for name in ids if not found[name]),
        doubled_results=sum(1 for count in found.values() if count > 1),
        not_completed=sum(1 for body in bodies if body["status"] != "completed"),
        left_in_keys=chaos.keys() - (1 if bodies else 0),
    )


def _message(name: str) -> str:
    return json.dumps({"id": name, "workflow": WORKFLOW, "reply_to": RESULTS})


def main() -> int:
    reader = parser("Kill workers on Redis, and Redis, and count the messages.")
    reader.add_argument("--lease", type=float, default=2.0, help="seconds")
    options = reader.parse_args()
    return play(run, options, lease_s=options.lease)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        sys.exit(main())
