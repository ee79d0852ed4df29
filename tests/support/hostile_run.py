"""A real worker among hostile messages: publishes them beside innocent ones, waits, and collects all that can be seen.

Knows brokers only through `HostileSide`, so that a plugin's tests can use it with a broker of their own.
"""

from __future__ import annotations

import json
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from fault_project import DEAD, QUEUE, RESULTS, UNDELIVERABLE, FaultProject, status_kb
from hostile_messages import ESCAPED, GOOD, MAX_BODY_BYTES, OUTSIDE, Aims, Hostile, hostile_messages

from awf_core.cli.queues import connected
from awf_core.contract import Ack
from awf_core.testing.eventually import eventually
from awf_core.testing.process import awf_command

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from awf_core.contract import Delivery
    from awf_core.mq import Mq

OTHER = "other"
SECRET_VARIABLE, SECRET = "DEPLOY_TOKEN", "token-8c1f0b7d52"
PASSWORD = "pass-5e9a77c3d1"
SECRETS = (SECRET, PASSWORD)
MAX_RSS_KB = 150 * 1024
INNOCENTS = 100
LIMIT_S = 60.0


class HostileSide(Protocol):
    """A broker, and a producer of raw messages for it. PASSWORD is in its address where it has one."""

    settings: Mapping[str, Any]

    def publish(self, queue: str, messages: Sequence[Hostile]) -> None:
        """Publish as any client of the broker can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """All that a run left behind. `texts` are the log, the listings and every body that the worker wrote."""

    hostile: Sequence[Hostile]
    innocents: Sequence[str]
    runs: Sequence[str]
    results: Sequence[dict[str, Any]]
    dead: Sequence[bytes]
    left: Mapping[str, int | None]
    texts: Mapping[str, str]
    canaries: Sequence[str]
    peak_kb: int
    exit_code: int


def run_hostile(project: FaultProject, side: HostileSide, *, count: int, seed: int) -> Seen:
    """Send `count` hostile messages and INNOCENTS innocent ones to a worker; what came of it, when all are settled."""
    config = _configured(project, side)
    aims = _aims(project)
    hostile = hostile_messages(count, aims, seed=seed)
    innocents = [f"innocent-{number}" for number in range(INNOCENTS)]
    # Its log at the lowest level, so that a secret in any line is seen.
    worker = project.worker(config, "--log-level", "debug", env={SECRET_VARIABLE: SECRET})
    with _queues(config) as mq:
        mq.ensure(OTHER, "work", dead_letter=f"{OTHER}-dead")
        mq.ensure(f"{OTHER}-dead", "dead")
        mq.ensure(RESULTS, "reply")
        side.publish(QUEUE, _mixed(hostile, innocents))
        dead = sum(not each.runs for each in hostile)
        eventually(lambda: (mq.stats(DEAD).ready or 0) >= dead or worker.exit_code is not None, LIMIT_S)
        eventually(lambda: not any(_counts(mq, QUEUE)), LIMIT_S, what="the work queue is empty")
        peak_kb = status_kb(worker.pid, "VmHWM")
        exit_code = worker.stop()
        found = {queue: _bodies(mq, queue, 10 * count) for queue in (DEAD, RESULTS, UNDELIVERABLE)}
        left = {queue: sum(_counts(mq, queue)) for queue in (QUEUE, OTHER, f"{OTHER}-dead")}
    bodies = [*found[RESULTS], *found[UNDELIVERABLE]]
    return Seen(
        hostile=hostile,
        innocents=innocents,
        runs=(project.directory / "marks").read_text().split(),
        results=[json.loads(body, parse_constant=_refuse) for body in bodies],
        dead=found[DEAD],
        left=left,
        texts={
            "log": json.dumps(list(worker.log), ensure_ascii=False),
            "results": b"\n".join(bodies).decode(),
            **{name: _listing(project, config, *command) for name, command in LISTINGS.items()},
        },
        canaries=sorted(path.name for path in project.directory.rglob("canary*")),
        peak_kb=peak_kb,
        exit_code=exit_code,
    )


LISTED = 200
"""How many dead-lettered messages the commands list at least: some of each class."""
LISTINGS = {
    "dlq list": ("dlq", "list", "--limit", "5000"),
    "dlq list json": ("dlq", "list", "--limit", "5000", "--format", "json"),
    "queue browse": ("queue", "browse", DEAD, "--limit", "200"),
}


def _configured(project: FaultProject, side: HostileSide) -> str:
    marks = project.directory / "marks"
    marks.touch()
    project.workflow(GOOD, f"echo \"$AWF_MESSAGE_ID\" >> '{marks}'")
    path = project.workflow(ESCAPED, "printf '%s' {{escape .inputs.text}}")
    document = {**json.loads(path.read_text()), "inputs": [{"name": "text", "type": "string"}]}
    path.write_text(json.dumps(document))
    outside = project.workflow(OUTSIDE, f"touch '{project.directory}/canary-outside'")
    for place in (project.directory, project.workflows.parent):
        (place / outside.name).write_text(outside.read_text())
    outside.unlink()
    return project.configure(
        concurrency=8,
        max_body_bytes=MAX_BODY_BYTES,
        retry={"max_attempts": 1, "defer_unknown": "0s"},
        **side.settings,
    )


def _aims(project: FaultProject) -> Aims:
    canary = str(project.directory / "canary")
    return Aims(canary=canary, work=QUEUE, dead=DEAD, other=OTHER, results=RESULTS, secret=SECRET_VARIABLE)


def _mixed(hostile: Sequence[Hostile], innocents: Sequence[str]) -> list[Hostile]:
    mixed, step = list(hostile), len(hostile) // len(innocents)
    for number, name in enumerate(innocents):
        body = json.dumps({"id": name, "workflow": GOOD, "reply_to": RESULTS}).encode()
        mixed.insert(number * (step + 1), Hostile(kind="innocent", body=body, runs=True))
    return mixed


@contextmanager
def _queues(config: str) -> Iterator[Mq]:
    with connected(config, None) as (_, assembly):
        yield assembly.mq


def _bodies(mq: Mq, queue: str, most: int) -> list[bytes]:
    """The bodies of all messages of a queue.

    A broker that can't browse without a change needs seconds for it. There they are consumed, and the newest LISTED
    return to the queue when the connection is closed.
    """
    if mq.capabilities.browse_exact:
        return [item.body for item in mq.browse(queue, limit=most).items]
    taken: list[Delivery] = []
    while batch := mq.consume(queue, limit=most, wait_s=1.0):
        taken += batch
    mq.ack([Ack(delivery=each) for each in taken[:-LISTED]])
    return [each.body for each in taken]


def _counts(mq: Mq, queue: str) -> tuple[int, int, int]:
    stats = mq.stats(queue)
    return stats.ready or 0, stats.delayed or 0, stats.in_flight or 0


def _listing(project: FaultProject, config: str, *command: str) -> str:
    done = subprocess.run(
        awf_command(*command),
        env=project.environment(config, {SECRET_VARIABLE: SECRET}),
        cwd=project.directory,
        capture_output=True,
        timeout=60,
        check=True,
    )
    return (done.stdout + done.stderr).decode()


def _refuse(name: str) -> None:
    raise AssertionError(f"{name} in a result, which is not JSON")
