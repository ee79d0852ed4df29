"""Bodies and outputs larger than a worker's memory: neither is held whole, and none stops the messages behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fault_project import QUEUE, limit_memory, status_kb, warnings_of

from awf_core.testing.eventually import eventually

if TYPE_CHECKING:
    from embedded_faults import EmbeddedFaults

BODY_MB = 60
ROOM_MB = 180
"""Three times the body: SQLite holds a row it changes whole, and the worker may not hold it as well."""
OUTPUT_MB = 100
GROWTH_KB = 24 * 1024
"""What a worker's peak may grow by, whatever it meets: a fraction of both sizes."""
RESULT_BYTES = 64 * 1024


def test_a_body_that_no_worker_can_hold_is_dead_lettered_and_the_message_behind_it_runs(
    project: EmbeddedFaults,
) -> None:
    worker = project.worker(project.embedded(), "--concurrency", "1")
    project.put("warm", workflow="short")
    project.await_results(1)
    limit_memory(worker.pid, room_mb=ROOM_MB)

    project.sql("INSERT INTO message(queue, body) VALUES (?, zeroblob(?))", QUEUE, BODY_MB * 1_000_000)
    project.put("behind", workflow="short")

    assert project.await_results(2) == ["behind", "warm"]
    eventually(project.dead, what="the large body is dead-lettered")
    assert worker.stop() == 0
    sizes = project.sql("SELECT length(body), hex(substr(body, 1, 2)) FROM message WHERE queue = 'dead'")
    assert sizes == [(BODY_MB * 1_000_000, "0000")]
    assert project.count(QUEUE) == 0
    assert warnings_of(worker, lambda line: line.get("reason") == project.dead()[0])


def test_an_output_is_not_kept_in_memory_beyond_its_limit(project: EmbeddedFaults) -> None:
    project.workflow("quiet", "echo quiet")
    project.workflow("loud", f"echo first; head -c {OUTPUT_MB * 1_000_000} /dev/zero | tr '\\0' x; echo; echo last")
    worker = project.worker(project.embedded(), "--concurrency", "1")
    project.put("quiet", workflow="quiet")
    project.await_results(1)
    peak_kb = status_kb(worker.pid, "VmHWM")

    project.put("loud", workflow="loud")

    assert project.await_results(2, within_s=40) == ["loud", "quiet"]
    grown_kb = status_kb(worker.pid, "VmHWM") - peak_kb
    result = project.results()[1]
    assert result["status"] == "completed"
    assert len(result["output"].encode()) <= RESULT_BYTES + 1000
    assert grown_kb < GROWTH_KB, f"{OUTPUT_MB} MB printed, {RESULT_BYTES} bytes kept, peak grew by {grown_kb} KiB"
    assert worker.stop() == 0


def test_head_and_tail_of_a_cut_output_are_kept_and_the_cut_is_named(project: EmbeddedFaults) -> None:
    project.workflow("loud", "echo first; head -c 20000000 /dev/zero | tr '\\0' x; echo; echo last")
    worker = project.worker(project.embedded(max_output_bytes=10_000))
    project.put("loud", workflow="loud")

    project.await_results(1, within_s=40)

    output = project.results()[0]["output"]
    assert output.startswith("first\nxxxx")
    assert output.endswith("xxxx\nlast\n")
    assert len(output.encode()) < 11_000
    assert "cut" in output
    assert worker.stop() == 0
