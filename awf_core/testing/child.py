"""Another process on the same broker, for cases with several processes: `python -m awf_core.testing.child`.

    child drain QUEUE          wait for a line on stdin, consume and acknowledge until the queue is empty
    child hold QUEUE           consume one message and hold it until killed
    child wait QUEUE           consume messages as they come and hold them
    child move SOURCE TARGET   wait for a line on stdin, move messages one at a time

It reads the configuration of AWF_CONFIG_PATH, and reports in JSON lines on stderr, as workers log.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from awf_core.config.load import load_config
from awf_core.contract import Ack
from awf_core.plugin.assemble import assemble

if TYPE_CHECKING:
    from collections.abc import Callable

    from awf_core.contract import Delivery
    from awf_core.mq import Mq

EMPTY_S = 0.5
WAIT_S = 30.0
BATCH = 10


def main(arguments: list[str]) -> None:
    """Open the queue, report `ready`, run the action that `arguments` name."""
    config = load_config(cwd=Path.cwd(), env=os.environ)
    mq = assemble(config, worker=f"child-{os.getpid()}").mq
    mq.open()
    _report("ready")
    ACTIONS[arguments[0]](mq, *arguments[1:])
    mq.close()
    _report("finished")


def _drain(mq: Mq, queue: str) -> None:
    sys.stdin.readline()
    while deliveries := mq.consume(queue, limit=BATCH, wait_s=EMPTY_S):
        errors = [error for error in mq.ack([Ack(delivery=d) for d in deliveries]) if error is not None]
        _report("drained", bodies=[d.body.decode() for d in deliveries], errors=[str(error) for error in errors])


def _hold(mq: Mq, queue: str) -> None:
    delivery = mq.consume(queue, limit=1, wait_s=WAIT_S)[0]
    _report_held(delivery)
    signal.pause()


def _wait(mq: Mq, queue: str) -> None:
    while True:
        for delivery in mq.consume(queue, limit=1, wait_s=WAIT_S):
            _report_held(delivery)


def _report_held(delivery: Delivery) -> None:
    _report(
        "held",
        body=delivery.body.decode(),
        attempt=delivery.attempt,
        deliveries=delivery.deliveries,
        crashes=delivery.crashes,
    )


def _move(mq: Mq, source: str, target: str) -> None:
    sys.stdin.readline()
    while mq.move(source, target, limit=1):
        _report("moved")


def _report(event: str, **fields: object) -> None:
    sys.stderr.write(json.dumps({"event": event, **fields}) + "\n")
    sys.stderr.flush()


ACTIONS: dict[str, Callable[..., None]] = {"drain": _drain, "hold": _hold, "wait": _wait, "move": _move}

if __name__ == "__main__":
    main(sys.argv[1:])
