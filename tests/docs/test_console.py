"""The comparison of pages with what is printed: it has to notice what differs, or the other tests prove nothing."""

from __future__ import annotations

import pytest
from docs_console import commands, compare

TWO_LINES = "2026-01-02T03:04:05.678Z info a\n2026-01-02T03:04:05.679Z info b\n"


def test_times_ids_and_the_order_of_log_lines_do_not_matter() -> None:
    compare(TWO_LINES, "2027-11-12T13:14:15.161Z info b\n2027-11-12T13:14:15.162Z info a\n", "here")


def test_a_shortened_line_leaves_its_rest_open_and_a_lone_ellipsis_any_lines() -> None:
    compare("one …\n…\nlast\n", "one and more\ntwo\nthree\nlast\n", "here")


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("one\n", "two\n"),
        ("one\n", "one\ntwo\n"),
        ("one\ntwo\n", "one\n"),
        ("one\ntwo\n", "two\none\n"),
        ("one …\n", "two and more\n"),
        ("…\nlast\n", "one\ntwo\n"),
        (TWO_LINES, TWO_LINES.replace("info b", "info c")),
        ("", "Error: something\n"),
    ],
)
def test_what_differs_is_said_with_its_place(shown: str, printed: str) -> None:
    with pytest.raises(AssertionError, match="here"):
        compare(shown, printed, "here")


def test_a_console_block_is_commands_each_with_what_it_prints() -> None:
    assert commands("$ a\n1\n2\n$ b\n") == [("a", "1\n2\n"), ("b", "")]
