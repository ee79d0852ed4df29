"""The conformance kit against a private SQS endpoint (moto), with the skips pinned.

moto keeps its queues in memory, so the cases that restart the broker are skipped; `test_faults.py` kills it.
"""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from awf_core.testing.conformance import MqConformance
from awf_core.testing.target import MqTarget

if TYPE_CHECKING:
    from awf_core.testing.brokers import PrivateMoto
    from awf_core.testing.kit import Kit

SCALE = 0.5
NOTES = (
    "The server is moto 5 over HTTP (`moto_server`), started by the tests; counts are halved for its speed.",
    "moto keeps its queues in memory, so no case restarts it; the package's own tests kill and start it.",
    (
        "moto takes an old receipt handle of a message that was received again, and never answers `MessageNotInflight`; "
        "the answers of AWS are tested with botocore's Stubber."
    ),
    (
        "moto checks no signature, right or key: expired credentials, a skewed clock, denied actions, KMS, throttling and "
        "limits are scripted answers over HTTP or of the Stubber."
    ),
    "moto has no `StartMessageMoveTask`: the task is tested with the Stubber, and the replay without it on moto.",
    "moto loses `AWSTraceHeader` in batches: that it stays on copies is tested on the request.",
    "A second emulator without docker, ministack 1.5.33, was run once: 100 passed, 17 skipped, 0 failed.",
)
RESTART = "needs a broker that can be restarted"
COUNTS = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed"]


@pytest.fixture
def mq_target(server: PrivateMoto, external: Any) -> Iterator[MqTarget]:
    def flush() -> None:
        urllib.request.urlopen(f"{server.url}/moto-api/reset", data=b"", timeout=10).close()

    def remove(queues: Sequence[str]) -> None:
        for queue in queues:
            with suppress(external.exceptions.QueueDoesNotExist):
                external.delete_queue(QueueUrl=external.get_queue_url(QueueName=queue)["QueueUrl"])

    def stored() -> int:
        urls = external.list_queues().get("QueueUrls", [])
        answers = [external.get_queue_attributes(QueueUrl=url, AttributeNames=COUNTS)["Attributes"] for url in urls]
        return sum(int(answer[name]) for answer in answers for name in COUNTS)

    yield MqTarget(
        type="sqs",
        settings={"endpoint_url": server.url, "wait": "1s", "read_timeout": "5s", "connect_timeout": "2s"},
        url_key="endpoint_url",
        short_lease_s=1.0,
        late_s=15.0,
        flush=flush,
        remove_queues=remove,
        storage_size=stored,
        crash_points=("sqs.copied", "sqs.replied", "sqs.dead_lettered"),
        notes=NOTES,
    )
    flush()


@pytest.fixture(autouse=True)
def few_messages(kit: Kit) -> None:
    """moto delivers some sixty messages a second; no case needs more than three hundred."""
    kit.scale *= SCALE


class TestSqs(MqConformance):
    skips: ClassVar[Mapping[str, str]] = {
        "B2": "capability: ordered",
        "B7b": RESTART,
        "C5b": RESTART,
        "D12": "capability: crashes",
        "D1c": "capability: late_renewal",
        "D4": "capability: atomic_settle",
        "D4b": "capability: atomic_settle",
        "E2": "capability: browse_exact",
        "F9": "capability: state",
        "F9b": "capability: state",
        "G1": RESTART,
        "G2": RESTART,
        "G3": RESTART,
        "G4": RESTART,
        "G7": "needs credentials that the broker refuses",
    }
