"""The buffer behind a worker's log: what it drops, what it says about that, and that no caller waits for the stream."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
import threading

import pytest

from awf_core.observe.log import configure_logging, get_logger
from awf_core.observe.log_writer import BufferedLines, LogWriter

DEBUG, INFO, WARNING, ERROR = logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR
log = get_logger("awf_core.worker.pipeline")


def texts(buffered: BufferedLines) -> list[bytes]:
    return [text for _, _, text in buffered.take()[0]]


@pytest.mark.parametrize(
    ("levels", "kept", "dropped"),
    [
        ([INFO, DEBUG, WARNING, ERROR, INFO], [2, 3, 4], {"info": 1, "debug": 1}),
        ([WARNING, INFO, WARNING, ERROR, WARNING], [2, 3, 4], {"info": 1, "warning": 1}),
        ([ERROR, WARNING, ERROR, ERROR, ERROR], [2, 3, 4], {"warning": 1, "error": 1}),
        ([ERROR, ERROR, INFO], [0, 1, 2], {}),
    ],
)
def test_the_oldest_of_the_lowest_level_goes_first_and_the_rest_keeps_its_order(levels, kept, dropped):
    buffered = BufferedLines(max_lines=3)

    for number, level in enumerate(levels):
        buffered.put(level, b"%d" % number)

    lines, counts = buffered.take()
    assert [int(text) for _, _, text in lines] == kept
    assert counts == dropped


def test_the_bytes_that_wait_are_bounded_too():
    buffered = BufferedLines(max_bytes=100)

    for number in range(10):
        buffered.put(INFO, b"%d" % number * 40)

    assert texts(buffered) == [b"8" * 40, b"9" * 40]


def test_lines_that_the_stream_does_not_take_are_counted():
    buffered = BufferedLines()
    buffered.put(INFO, b"a")
    lines, dropped = buffered.take()

    buffered.restore(lines, {**dropped, "debug": 2})
    buffered.put(INFO, b"b")

    assert buffered.take()[1] == {"debug": 2, "info": 1}


def test_no_caller_waits_for_a_pipe_that_is_not_read_and_the_end_waits_for_a_bounded_time():
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream:
        writer = LogWriter(lambda: stream, lambda counts: json.dumps(counts) + "\n")

        for number in range(20_000):
            writer.put(INFO, f"{number} {'-' * 200}\n")

        assert not writer.flush(0.05)
        written = b""
        reader = threading.Thread(target=lambda: writer.flush(20))
        reader.start()
        while not written.endswith(b"-\n") or b"\n19999 " not in written:
            written += os.read(reading, 1 << 20)
        reader.join()
    os.close(reading)

    rows = written.decode().splitlines()
    notes = [row for row in rows if row.startswith("{")]
    numbers = [int(row.split()[0]) for row in rows if not row.startswith("{")]
    assert sum(json.loads(note)["info"] for note in notes) == 20_000 - len(numbers) > 0
    assert numbers == sorted(numbers)
    assert all(row.endswith("-" * 200) for row in rows if row not in notes)


def test_in_the_background_nothing_is_lost_and_lines_keep_their_order():
    stream = io.StringIO()
    configure_logging("json", "info", stream, in_background=True)

    for number in range(3000):
        log.info("x", number=number)
    configure_logging("json", "info", io.StringIO())

    assert [json.loads(line)["number"] for line in stream.getvalue().splitlines()] == list(range(3000))


def test_the_end_of_the_process_and_a_forked_child_write_what_they_logged():
    code = (
        "import os, sys\n"
        "from awf_core.observe.log import configure_logging, get_logger\n"
        "configure_logging('json', 'info', in_background=True)\n"
        "log = get_logger('x')\n"
        "log.info('before')\n"
        "child = os.fork()\n"
        "log.info('child' if child == 0 else 'parent')\n"
        "os._exit(0) if child == 0 else os.waitpid(child, 0)\n"
        "log.info('last')\n"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    events = [json.loads(line)["event"] for line in done.stderr.splitlines()]
    assert sorted(events) == ["before", "child", "last", "parent"]
    assert [event for event in events if event != "child"] == ["before", "parent", "last"]
