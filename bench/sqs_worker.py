"""No-op messages a second on SQS, beside a plain boto3 loop on the same server, and requests a message.

The loop receives ten messages, runs nothing, sends ten results and deletes the ten messages: the least that a worker
can send to SQS. The server is moto, in Python, so the rates say more about moto than about SQS. Both meet the same
server in the same rounds. The requests a message are what AWS bills; the worker counts its own.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections import defaultdict
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.figure import BenchFailed, Figure
from bench.project import NOOP, RESULTS, WORK, noop_body
from bench.sqs_queue import LOGIN, PrivateSqs
from bench.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from bench.plan import Plan

    Run = Callable[["SqsProject", int], tuple[float, int]]

LOOP = "boto3 loop"
CONCURRENCY = (10, 20)
AIM_REQUESTS = 0.35
MESSAGES_SHARE = 50
"""moto is slow: a run has a fiftieth of the messages that the other brokers' have."""

TIMEOUT_S = 180.0
DATA_ACTIONS = ("receive_message", "send_message_batch", "delete_message_batch", "change_message_visibility_batch")


class SqsProject:
    """A directory with `.awf/` and an endpoint, both removed at the end of the `with` block."""

    def __init__(self, parent: Path) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="awf-bench-", dir=parent))
        self.queue = PrivateSqs(self.path / "moto")

    def __enter__(self) -> Self:
        self.queue.start()
        for name in (WORK, RESULTS):
            self.queue.create(name)
        (self.path / ".awf" / "workflows").mkdir(parents=True)
        (self.path / ".awf" / "workflows" / "noop.yaml").write_text(NOOP, encoding="utf-8")
        config = f"mq: {{type: sqs, sqs: {{queue_url: '{self.queue.queue_url(WORK)}', wait: 1s}}}}\n"
        (self.path / ".awf" / "config.yaml").write_text(config, encoding="utf-8")
        # The worker's home is the project's directory.
        (self.path / ".aws").mkdir()
        (self.path / ".aws" / "credentials").write_text(
            f"[default]\naws_access_key_id = {LOGIN['AWS_ACCESS_KEY_ID']}\n"
            f"aws_secret_access_key = {LOGIN['AWS_SECRET_ACCESS_KEY']}\n"
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.queue.end()
        shutil.rmtree(self.path, ignore_errors=True)

    def fill(self, count: int) -> None:
        """Send `count` no-op messages of about 200 bytes, each asking for its result."""
        self.queue.send(WORK, [noop_body(number) for number in range(count)])

    def check_all_completed(self, count: int) -> None:
        """Receive the results. Raises BenchFailed unless there are `count` of as many messages, and nothing is left."""
        bodies = [json.loads(body) for body in self.queue.take(RESULTS)]
        completed = {body["message_id"] for body in bodies if body["status"] == "completed"}
        left = self.queue.stored(WORK)
        if len(bodies) != count or len(completed) != count or left:
            raise BenchFailed(
                f"expected {count} completed results, found {len(bodies)} of {len(completed)} messages; "
                f"{left} left in {WORK!r}"
            )


def measure(plan: Plan) -> list[Figure]:
    """The loop and each concurrency of a worker in interleaved rounds; their rates, ratio and requests a message."""
    rates: dict[str, list[float]] = defaultdict(list)
    requests: dict[str, list[float]] = defaultdict(list)
    count = max(plan.messages // MESSAGES_SHARE, 10)
    runs: dict[str, Run] = {LOOP: loop} | {
        f"one worker, concurrency {many}, log info": partial(work, concurrency=many) for many in CONCURRENCY
    }
    for _ in range(plan.rounds):
        for name, run in runs.items():
            with SqsProject(plan.directory) as project:
                project.fill(count)
                seconds, sent = run(project, count)
            rates[name].append(count / seconds)
            requests[name].append(sent / count)
    return [figure for name in runs for figure in _figures(name, rates, requests[name])]


def _figures(name: str, rates: Mapping[str, Sequence[float]], requests: Sequence[float]) -> list[Figure]:
    aim = None if name == LOOP else AIM_REQUESTS
    found = [
        Figure(name=f"SQS (moto), {name}", unit="/s", rounds=tuple(rates[name])),
        Figure(name="  its requests", unit="/message", rounds=tuple(requests), aim=aim, better="less"),
    ]
    if name != LOOP:
        of_loop = tuple(one / other for one, other in zip(rates[name], rates[LOOP], strict=True))
        found.append(Figure(name="  of the boto3 loop", unit="×", rounds=of_loop))
    return found


def loop(project: SqsProject, count: int) -> tuple[float, int]:
    """Settle `count` messages with boto3 alone; (seconds, requests). Raises BenchFailed."""
    started_s, requests, done = time.monotonic(), 0, 0
    queue = project.queue
    while done < count and time.monotonic() < started_s + TIMEOUT_S:
        found = queue.receive(WORK)
        requests += 1
        if found:
            names = [json.loads(message["Body"])["id"] for message in found]
            queue.send(RESULTS, [json.dumps({"message_id": name, "status": "completed"}) for name in names])
            queue.delete(WORK, found)
            requests += 2
            done += len(found)
    seconds = time.monotonic() - started_s
    project.check_all_completed(count)
    return seconds, requests


def work(project: SqsProject, count: int, *, concurrency: int) -> tuple[float, int]:
    """Settle `count` messages with a worker; (seconds from its first run to its last result, its own request count).

    Raises BenchFailed.
    """
    log_name = "worker.log"
    options = ("--log-format", "json", "--burst", "--concurrency", str(concurrency))
    with Worker(project, *options, log_level="info", log_name=log_name) as worker:
        worker.watch_to_end(timeout_s=TIMEOUT_S)
    lines = [json.loads(line) for line in (project.path / log_name).read_text().splitlines() if line.startswith("{")]
    project.check_all_completed(count)
    settled = [_at_s(line) for line in lines if line["event"] == "message.settled"]
    started = [_at_s(line) for line in lines if line["event"] == "message.claimed"]
    (counted,) = [line for line in lines if line["event"] == "sqs.requests"]
    return max(settled) - min(started), sum(int(counted.get(action, 0)) for action in DATA_ACTIONS)


def _at_s(line: dict[str, Any]) -> float:
    return datetime.fromisoformat(line["timestamp"]).timestamp()
