"""The kit itself: a correct backend passes every case, and each fault fails the case that tests its guarantee."""

from __future__ import annotations

import secrets
import threading
from typing import TYPE_CHECKING, ClassVar

import pytest
from memory_backend import MemorySettings, store_of
from memory_faults import FAULTS, HANG

from awf_core.errors import PluginFailed
from awf_core.testing.conformance import MqConformance
from awf_core.testing.kit import Kit
from awf_core.testing.needs import FLUSH, PROCESSES, SERVER, cases_of
from awf_core.testing.target import MqTarget
from awf_core.testing.time_limit import hooks_under_way, time_limit

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("memory_backend")

FOUND_BY = {
    "drop": "B1b",
    "duplicate": "B1b",
    "delay": "A8b",
    "reorder": "B2",
    "head_of_line": "H7",
    "forget_fencing": "D3",
    "accept_forged_receipts": "B9",
    "ack_without_reply": "F3",
    "answer_any_queue": "F13",
    "answer_dead_letter_queue": "F13",
    "ack_all_before": "B3",
    "ack_forgets": "B7",
    "count_releases": "C4",
    "count_nothing": "C1",
    "count_no_crash": "C7",
    "nack_immediately": "C2",
    "publish_immediately": "C2b",
    "lose_headers": "A6b",
    "lose_correlation": "F5",
    "text_bodies": "A6",
    "change_ids": "A7",
    "shared_queues": "A9",
    "two_owners": "A4",
    "ignore_limit": "B5",
    "extend_forgets": "D1",
    "short_lease": "D2",
    "never_redeliver": "D2",
    "dead_message_without_body": "E1",
    "dead_message_without_reason": "E1b",
    "dead_message_without_source": "E1b",
    "dead_message_stays": "E1",
    "browse_takes": "E2",
    "move_loses_history": "E3c",
    "move_keeps_attempts": "E3",
    "move_copies": "E3b",
    "purge_takes_held": "E5",
    "stats_lie": "H1",
    "age_lies": "H2",
    "keep_everything": "H3",
    "overstate_max_body": "E8",
    "state_overwrites": "F9",
    "state_forever": "F9b",
    "share_receipts": "B11",
    "unhashable_receipts": "B11",
    "extend_by_object": "B11b",
    "extend_all_or_nothing": "D1b",
    "extend_refuses_ended": "D1c",
    "extend_one_queue": "D1d",
    "count_own_claims": "D11",
    "miss_crashes": "C7",
    "release_is_a_crash": "C4b",
    "never_take_back": "D12",
    "take_back_twice": "D12",
    "age_by_worker_clock": "D13",
    "age_unknown": "D13",
    "lease_until_late": "D14",
    "read_oversized": "E9",
    "oversized_blocks": "E9",
    "dead_stub_is_empty": "E9",
    "released_stub_is_empty": "E9b",
    "mix_groups": "F6b",
    "cut_delays": "C9",
    "cut_publish_delays": "C9",
    "move_keeps_identity": "E3d",
    "raise_at_nul": "F12",
    "ignore_expiry": "F10",
    "replies_forever": "F11",
    "lose_nack_history": "C8",
    "lose_release_history": "C8b",
    "append_history": "E1b",
    "producers_ids": "A7",
    "lose_producers_ids": "A7b",
    "deaf_to_close": "A2",
    "deaf_to_interrupt": "A2b",
    "spin": "A8",
    "extend_lies": "D3",
    "leak_files": "H4",
}


def target(*faults: str) -> MqTarget:
    settings = {"name": secrets.token_hex(4), "faults": list(faults)}

    def stored() -> int:
        store = store_of(MemorySettings.model_validate(settings))
        return len(store.entries) + len(store.state)

    return MqTarget(
        type="memory", settings=settings, short_lease_s=0.3, late_s=0.5, storage_size=stored, is_shared=False
    )


@pytest.fixture
def mq_target() -> MqTarget:
    return target()


class TestMemory(MqConformance):
    skips: ClassVar = {
        **dict.fromkeys(
            ("A10b", "B7b", "C5b", "D10", "G1", "G2", "G3", "G4", "G4b", "G4c", "G5", "G5b", "G7", "G8"), SERVER
        ),
        **dict.fromkeys(
            ("B1", "D4b", "D5", "D6", "D7", "D8", "E4", "E6", "E7", "H5", "H5b", "W1", "W2", "W3", "W4", "W5"),
            PROCESSES,
        ),
        "G6": FLUSH,
    }


def test_every_fault_has_a_case_that_finds_it():
    assert sorted([*FOUND_BY, HANG]) == sorted(FAULTS)


@pytest.mark.parametrize("fault", FOUND_BY)
def test_a_fault_fails_the_case_that_tests_its_guarantee(fault: str, tmp_path: Path):
    case = cases_of(MqConformance)[FOUND_BY[fault]]

    with (
        Kit(target(fault), tmp_path / "project") as kit,
        pytest.raises((AssertionError, pytest.fail.Exception, PluginFailed)),
    ):
        getattr(MqConformance(), case.test)(kit)


HANG_LIMIT_S = 3.0
"""A busy machine takes most of a second to open the connection, before the call that hangs."""


def test_a_backend_that_hangs_fails_its_case_which_names_itself_and_the_hook(tmp_path: Path):
    case = cases_of(MqConformance)["A1"]
    others = {thread.ident for thread in threading.enumerate() if thread is not threading.main_thread()}

    with (
        Kit(target(HANG), tmp_path / "project") as kit,
        pytest.raises(pytest.fail.Exception) as caught,
        time_limit(HANG_LIMIT_S, f"case {case.id}, {case.test}"),
    ):
        getattr(MqConformance(), case.test)(kit)

    assert str(caught.value) == (
        "case A1, test_opening_and_closing_can_be_repeated: no end after 3 s; "
        "did not return: awf_mq_publish of memory_backend"
    )
    assert hooks_under_way(others) == []
