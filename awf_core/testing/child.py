"""A second process on the same broker, for cases that kill, freeze or outnumber: `python -m awf_core.testing.child`.

    child drain QUEUE          wait for a line on stdin, take and acknowledge until dry, report each body
    child hold QUEUE           take one message and keep it without a word, until killed
    child wait QUEUE           wait for messages; report what comes and keep it
    child move SOURCE TARGET   wait for a line on stdin, move messages one at a time

Reads the configuration of AWF_CONFIG_PATH. Reports in JSON lines on stderr, as workers log. Never run by hand.
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

    from awf_core.mq import Mq

DRY_S = 0.5
WAIT_S = 30.0
BATCH = 10


def main(arguments: list[str]) -> None:
    """Open the queue, say `ready`, do what `arguments` name."""
    config = load_config(cwd=Path.cwd(), env=os.environ)
    mq = assemble(config, worker=f"child-{os.getpid()}").mq
    mq.open()
    _say("ready")
    ACTIONS[arguments[0]](mq, *arguments[1:])
    mq.close()
    _say("finished")


def _drain(mq: Mq, queue: str) -> None:
    sys.stdin.readline()
    while deliveries := mq.consume(queue, limit=BATCH, wait_s=DRY_S):
        errors = [error for error in mq.ack([Ack(delivery=d) for d in deliveries]) if error is not None]
        _say("drained", bodies=[d.body.decode() for d in deliveries], errors=[str(error) for error in errors])


def _hold(mq: Mq, queue: str) -> None:
    delivery = mq.consume(queue, limit=1, wait_s=WAIT_S)[0]
    _say("held", body=delivery.body.decode(), attempt=delivery.attempt, deliveries=delivery.deliveries)
    signal.pause()


def _wait(mq: Mq, queue: str) -> None:
    while True:
        for delivery in mq.consume(queue, limit=1, wait_s=WAIT_S):
            _say("held", body=delivery.body.decode(), attempt=delivery.attempt, deliveries=delivery.deliveries)


def _move(mq: Mq, source: str, target: str) -> None:
    sys.stdin.readline()
    while mq.move(source, target, limit=1):
        _say("moved")


def _say(event: str, **fields: object) -> None:
    sys.stderr.write(json.dumps({"event": event, **fields}) + "\n")
    sys.stderr.flush()


ACTIONS: dict[str, Callable[..., None]] = {"drain": _drain, "hold": _hold, "wait": _wait, "move": _move}

if __name__ == "__main__":
    main(sys.argv[1:])
