"""Durations are read and written in one spelling everywhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from awf_core.units import format_duration, parse_duration_s, span_ms


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("5m", 300),
        ("1m30s", 90),
        ("250ms", 0.25),
        ("24h", 86400),
        ("2d", 172800),
        ("1.5h", 5400),
        (7, 7),
        ("0", 0),
        (0.5, 0.5),
        (" 10s ", 10),
        ("12", 12),
    ],
)
def test_a_duration_is_read(text: object, seconds: float):
    assert parse_duration_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["soon", "", "5 m", "-1s", -1, "s", "1x", None, True, [], "inf", "nan", "1h-5m"])
def test_what_is_no_duration_is_refused_with_the_value_and_what_is_allowed(text: object):
    with pytest.raises(ValueError, match="is not a duration such as") as error:
        parse_duration_s(text)

    assert repr(text) in str(error.value)


@given(st.integers(min_value=0, max_value=10**7))
def test_what_is_written_reads_back(seconds: int):
    assert parse_duration_s(format_duration(seconds)) == seconds


@pytest.mark.parametrize(("seconds", "whole_ms"), [(0, 0), (-1, 0), (0.0001, 1), (0.25, 250), (1.0001, 1001)])
def test_spans_are_rounded_up_never_down(seconds, whole_ms):
    assert span_ms(seconds) == whole_ms
