"""The lines of the log: shape, masking, levels, and that nothing an untrusted producer sends can forge one."""

from __future__ import annotations

import io
import json
import logging
import re
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from awf_core.errors import ConfigError
from awf_core.observe import events
from awf_core.observe.log import LineHandler, configure_logging, get_logger

if TYPE_CHECKING:
    from collections.abc import Callable


class StillClock:
    def now(self) -> float:
        return 1767323045.678

    def monotonic(self) -> float:
        return 0.0


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


log = get_logger("awf_core.worker.pipeline")


def lines(level: str, speak: Callable[[], None]) -> list[dict[str, object]]:
    stream = io.StringIO()
    configure_logging("json", level, stream, clock=StillClock())
    speak()
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def text(speak: Callable[[], None]) -> str:
    stream = io.StringIO()
    configure_logging("text", "debug", stream, clock=StillClock())
    speak()
    return stream.getvalue()


def test_a_json_line_has_time_level_event_logger_and_fields():
    (line,) = lines("info", lambda: log.info(events.MESSAGE_SETTLED, id="m-1", delay_s=4.0, attempt=2, last=None))

    assert line == {
        "timestamp": "2026-01-02T03:04:05.678Z",
        "level": "info",
        "event": "message.settled",
        "logger": "worker.pipeline",
        "id": "m-1",
        "delay_s": 4.0,
        "attempt": 2,
        "last": None,
    }


def test_a_text_line_reads_from_left_to_right():
    written = text(lambda: log.warning(events.LEASE_LOST, id="m-1", why="too late", ok=True, parts=[1, "a"], gone=None))

    assert written == ('2026-01-02T03:04:05.678Z warning lease.lost  id=m-1 why="too late" ok=true parts=1,a\n')


def test_bound_fields_are_on_every_line_and_the_logger_itself_is_unchanged():
    bound = log.bind(message="m-1")

    first, second = lines("info", lambda: (bound.info("a"), log.info("b")))

    assert first["message"] == "m-1"
    assert "message" not in second


@pytest.mark.parametrize(
    ("level", "said"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("WARNING", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_only_lines_at_the_level_or_above_are_written(level, said):
    def speak() -> None:
        for name in ("debug", "info", "warning", "error"):
            getattr(log, name)("x")

    assert [line["level"] for line in lines(level, speak)] == said
    assert log.is_enabled_for("error")
    assert log.is_enabled_for("debug") == (level == "debug")


def test_secrets_are_masked_in_values_nested_values_and_by_key():
    (line,) = lines(
        "info",
        lambda: log.info(
            "x",
            url="amqp://me:hunter2@h/v",
            password="hunter2",
            nested={"token": "hunter2", "urls": ["x://a:hunter2@h"]},
        ),
    )

    assert line["url"] == "amqp://me:***@h/v"
    assert line["password"] == "***"
    assert line["nested"] == {"token": "***", "urls": ["x://a:***@h"]}


@pytest.mark.parametrize("form", ["json", "text"])
def test_an_exception_is_written_once_with_its_traceback_and_no_secret(form):
    stream = io.StringIO()
    configure_logging(form, "info", stream, clock=StillClock())

    try:
        raise ValueError("redis://me:hunter2@h")
    except ValueError:
        log.exception(events.INTERNAL_ERROR)

    written = stream.getvalue()
    assert written.count("ValueError: redis://me:***@h") == 1
    assert "Traceback (most recent call last)" in written
    assert len(written.splitlines()) == 1 or all(row.startswith("    ") for row in written.splitlines()[1:])
    assert json.loads(written)["exception"].endswith("***@h") if form == "json" else True


@pytest.mark.parametrize("before", range(4060, 4100, 3))
def test_a_long_text_is_cut_and_a_password_at_the_cut_is_masked(before: int):
    value = "x" * before + " amqp://u:" + "geheim" * 10 + "@host and more"

    (line,) = lines("info", lambda: log.info("e", error=value, fields={"nested": value}))

    assert "geh" not in json.dumps(line)
    assert line["error"].endswith(f"… ({len(value)} characters)")
    assert len(line["error"]) < 4200


def test_of_a_long_traceback_the_end_is_kept():
    def raise_long() -> None:
        try:
            raise ValueError("redis://me:hunter2@h " + "y\n" * 20_000 + "the end")
        except ValueError:
            log.exception("e")

    (line,) = lines("info", raise_long)

    assert len(line["exception"]) < 17_000
    assert line["exception"].endswith("the end")


def test_an_exception_can_be_given_as_a_field():
    (line,) = lines("info", lambda: log.warning("x", exc_info=KeyError("k")))

    assert line["exception"] == "KeyError: 'k'"


HOSTILE = 'a\nFAKE\r\x1b[2J\x9b\u2028"\u202eend\x7f\ud800'


def test_control_characters_can_not_forge_a_json_line():
    stream = io.StringIO()
    configure_logging("json", "info", stream, clock=StillClock())

    log.info("x", value=HOSTILE)

    written = stream.getvalue()
    assert len(written.splitlines()) == 1
    assert written[:-1].isprintable()
    assert json.loads(written)["value"] == HOSTILE


def test_control_characters_can_not_forge_a_text_line():
    def speak() -> None:
        log.info("x\ny", value=HOSTILE, **{"k\ney": 1})
        try:
            raise ValueError("one\n2026-01-02T03:04:05.678Z error forged\x1b[2J")
        except ValueError:
            log.exception("boom")

    rows = text(speak).splitlines()

    assert [row.split(" ")[0] for row in rows if not row.startswith("    ")] == ["2026-01-02T03:04:05.678Z"] * 2
    assert all(row.isprintable() for row in rows)
    assert "x\\x0ay  " in rows[0]
    assert '\\x0aFAKE\\x0d\\x1b[2J\\x9b\\u2028\\"\\u202eend\\x7f\\ud800"' in rows[0]


def test_what_json_does_not_know_is_written_as_text():
    class Odd:
        def __str__(self) -> str:
            return "odd://a:hunter2@h"

    (line,) = lines("info", lambda: log.info("x", odd=Odd(), many={"s": {1}}, raw=b"ab"))

    assert line["odd"] == "odd://a:***@h"
    assert line["many"] == {"s": [1]}
    assert line["raw"] == "b'ab'"


@pytest.mark.parametrize(("stream", "first"), [(Terminal(), "2026-"), (io.StringIO(), '{"timestamp"')])
def test_without_a_format_a_terminal_gets_text_and_a_pipe_json(stream, first):
    configure_logging(None, "info", stream, clock=StillClock())

    log.info("x")

    assert stream.getvalue().startswith(first)


@pytest.mark.parametrize(
    ("form", "level", "said"),
    [
        ("xml", "info", "log format 'xml' is not allowed (allowed: text, json)"),
        ("json", "loud", "log level 'loud' is not allowed (allowed: debug, info, warning, error)"),
    ],
)
def test_an_unknown_format_or_level_is_refused(form, level, said):
    with pytest.raises(ConfigError) as caught:
        configure_logging(form, level)

    assert caught.value.message == said


def test_a_logger_made_and_used_earlier_follows_a_later_configuration():
    early = get_logger("early")
    lines("error", lambda: early.info("x"))

    assert [line["event"] for line in lines("info", lambda: early.info("y"))] == ["y"]


def test_a_stream_that_can_not_be_written_does_not_stop_the_program():
    closed = io.StringIO()
    closed.close()
    configure_logging("json", "info", closed)

    log.info("x")

    assert closed.closed


def test_lines_of_many_threads_stay_whole():
    def speak() -> None:
        def many(number: int) -> None:
            for turn in range(200):
                log.info("x", number=number, turn=turn, filler="-" * 200)

        threads = [threading.Thread(target=many, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    written = lines("info", speak)

    assert {(line["number"], line["turn"]) for line in written} == {(n, t) for n in range(4) for t in range(200)}


def test_a_librarys_own_log_comes_out_here_masked_from_warning_up():
    def speak() -> None:
        library = logging.getLogger("some.library")
        library.info("chatter")
        library.warning("lost %s", "amqp://me:hunter2@h")

    (line,) = lines("debug", speak)

    assert (line["event"], line["level"], line["logger"]) == ("library", "warning", "some.library")
    assert line["message"] == "lost amqp://me:***@h"


def test_a_librarys_bad_log_call_is_a_line_without_its_arguments(capsys):
    (handler,) = [each for each in logging.getLogger("awf_core").handlers if isinstance(each, LineHandler)]
    arguments = ("amqp://me:hunter2@h",)
    record = logging.LogRecord("some.library", logging.WARNING, "lib/io.py", 7, "lost %s of %s", arguments, None)

    bad, good = lines("info", lambda: (handler.handle(record), log.info("x")))

    assert (bad["event"], bad["level"], bad["logger"]) == ("library", "warning", "some.library")
    assert bad["message"] == "a log call failed: TypeError at io.py:7"
    assert good["event"] == "x"
    assert "hunter2" not in str(bad) + capsys.readouterr().err


def test_a_library_that_logs_under_our_name_is_still_a_library():
    def speak() -> None:
        logging.getLogger("awf_core.some.plugin").info("chatter")
        logging.getLogger("awf_core.some.plugin").error("lost it")

    (line,) = lines("debug", speak)

    assert (line["event"], line["level"], line["message"]) == ("library", "error", "lost it")


def test_every_event_name_has_a_meaning():
    names = {value for key, value in vars(events).items() if key.isupper() and isinstance(value, str)}

    assert names == set(events.MEANING)
    assert all(events.MEANING.values())


def test_event_names_have_one_form():
    assert all(re.fullmatch(r"[a-z]+\.[a-z_]+|library", name) for name in events.MEANING)


def test_the_log_imports_neither_rich_nor_structlog():
    code = "import sys; import awf_core.observe.log; print({'rich', 'structlog'} & set(sys.modules))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "set()"
