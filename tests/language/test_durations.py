"""Durations: Go's spelling first, a whole number of seconds second."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from awf_core.lang.go.durations import parse_duration_ns, whole_milliseconds, whole_seconds

CORPUS = Path(__file__).parent / "corpus" / "durations.json"
CASES = json.loads(CORPUS.read_text(encoding="utf-8"))["cases"]
ACCEPTED = [case for case in CASES if "error" not in case]
REFUSED = [case for case in CASES if "error" in case]


@pytest.mark.parametrize("case", ACCEPTED, ids=[case["text"] for case in ACCEPTED])
def test_a_duration_is_exact_and_is_cut_to_what_its_user_counts_in(case):
    duration_ns = parse_duration_ns(case["text"])

    assert duration_ns == case["ns"]
    assert whole_seconds(duration_ns) == case["timeout_seconds"]
    assert whole_milliseconds(duration_ns) == case["milliseconds"]


@pytest.mark.parametrize("case", REFUSED, ids=[case["text"] or "empty" for case in REFUSED])
def test_what_is_no_duration_is_refused_in_the_words_of_the_original(case):
    with pytest.raises(ValueError) as caught:
        parse_duration_ns(case["text"])

    assert str(caught.value) == case["error"]


@pytest.mark.parametrize("text", ["-1.9s", "-1900ms"])
def test_negative_durations_are_cut_toward_zero(text):
    duration_ns = parse_duration_ns(text)

    assert (whole_seconds(duration_ns), whole_milliseconds(duration_ns)) == (-1, -1900)


@pytest.mark.parametrize("text", ["9223372036854775808ns", "3000000h", "9999999999999", "1" * 5000, "1" * 5000 + "s"])
def test_durations_beyond_64_bits_are_refused(text):
    with pytest.raises(ValueError, match=r"time: invalid duration|time: missing unit"):
        parse_duration_ns(text)


def test_the_longest_durations_of_both_signs_are_accepted():
    assert parse_duration_ns("9223372036854775807ns") == 2**63 - 1
    assert parse_duration_ns("-9223372036854775808ns") == -(2**63)


def test_text_beyond_ascii_is_quoted_byte_by_byte():
    with pytest.raises(ValueError) as caught:
        parse_duration_ns("5é")

    assert str(caught.value) == r'time: unknown unit "\xc3\xa9" in duration "5\xc3\xa9"'
