"""The whole kit on this backend."""

from __future__ import annotations

from pathlib import Path

import pytest

from awf_core.testing.conformance import MqConformance
from awf_core.testing.needs import SERVER
from awf_core.testing.target import MqTarget


@pytest.fixture
def mq_target(tmp_path: Path) -> MqTarget:
    return MqTarget(type="template", settings={"path": str(tmp_path / "queues")}, short_lease_s=0.5)


class TestTemplate(MqConformance):
    # The cases that the backend skips. When the list is wrong, the kit prints the list to declare.
    skips = {
        **dict.fromkeys(
            ("A10b", "B7b", "C5b", "D10", "G1", "G2", "G3", "G4", "G4b", "G4c", "G5", "G5b", "G7", "G8"), SERVER
        ),
        "D4": "capability: atomic_settle",
        "D4b": "capability: atomic_settle",
        "E8": "capability: max_body_bytes",
        "E9": "capability: oversized_stubs",
        "E9b": "capability: oversized_stubs",
        "F4b": "capability: max_body_bytes",
        "F8": "capability: temporary_reply",
        "F9": "capability: state",
        "F9b": "capability: state",
        "G6": "needs a broker that can be made to forget everything",
        "H3": "needs a way to measure what is stored",
    }
