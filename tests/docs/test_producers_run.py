"""The examples of producers that need a broker, run as they are shown against a private one.

A block with `redis` or `rabbitmq` behind its language is run here; its ```text output block is what it prints.
"""

from __future__ import annotations

import sys
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from docs_console import compare
from docs_pages import page_names, read_page

if TYPE_CHECKING:
    from docs_console import Scratch
    from docs_pages import Block

BROKERS = {"redis": "AWF_MQ_REDIS_URL", "rabbitmq": "AWF_MQ_AMQP_URL"}


def examples(kind: str) -> list[tuple[str, Block, str]]:
    """Where each stands, the block, and what it prints."""
    found = []
    for name in page_names():
        for block, following in pairwise([*read_page(name).blocks, None]):
            if block is not None and block.options == kind:
                wanted = following.text if following is not None and following.options == "output" else ""
                found.append((f"{name}:{block.line}", block, wanted))
    return found


@pytest.mark.parametrize("kind", BROKERS)
def test_a_producer_that_knows_nothing_of_awf_gets_its_result(
    kind: str, scratch: Scratch, request: pytest.FixtureRequest
) -> None:
    broker = request.getfixturevalue(f"{kind}_broker")
    scratch.run(["awf", "init"])
    scratch.env[BROKERS[kind]] = broker.url
    shown = examples(kind)

    assert shown
    for where, block, wanted in shown:
        command = [sys.executable, "-c", block.text] if block.language == "python" else ["bash", "-c", block.text]
        compare(wanted, scratch.run(command), where)
