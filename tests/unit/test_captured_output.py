"""What is kept of an output that is larger than its limit: the beginning, the end, whole characters, no part of a secret."""

from __future__ import annotations

import re

import pytest

from awf_core.engine.process.captured import Captured, OutputLimit


def captured(data: bytes, *, max_bytes: int | None, piece: int = 7, secrets: tuple[bytes, ...] = ()) -> Captured:
    kept = Captured(OutputLimit(max_bytes=max_bytes, secrets=secrets))
    for at in range(0, len(data), piece):
        kept.add(data[at : at + piece])
    return kept


@pytest.mark.parametrize(("size", "max_bytes"), [(0, 0), (10_000, None), (100, 100), (99, 100), (1, 1)])
def test_an_output_within_its_limit_is_kept_whole(size: int, max_bytes: int | None):
    data = bytes(range(97, 107)) * (size // 10 + 1)

    assert captured(data[:size], max_bytes=max_bytes).value() == (data[:size], 0)


@pytest.mark.parametrize("piece", [1, 7, 50, 1000, 100_000])
def test_of_a_larger_output_the_beginning_and_the_end_are_kept_and_the_cut_is_counted(piece: int):
    data = b"first" + b"-" * 50_000 + b"last"

    value, cut_bytes = captured(data, max_bytes=101, piece=piece).value()

    head, _, tail = value.partition(b"\n[cut: %d bytes left out, see mq.max_output_bytes]\n" % cut_bytes)
    assert (head, tail) == (data[:50], data[-51:])
    assert cut_bytes == len(data) - 101


@pytest.mark.parametrize("max_bytes", range(20, 30))
@pytest.mark.parametrize("char", ["é", "€", "😀"])
def test_a_cut_splits_no_character(char: str, max_bytes: int):
    data = ("x" + char * 200).encode()

    value, cut_bytes = captured(data, max_bytes=max_bytes).value()

    text = value.decode()
    assert set(re.sub(r"\n\[cut: .*\]\n", "", text)) <= {"x", char}
    assert cut_bytes >= len(data) - max_bytes


def test_bytes_that_are_no_text_are_kept_up_to_the_limit():
    value, cut_bytes = captured(b"\xff" * 300, max_bytes=100).value()

    assert value.count(b"\xff") + cut_bytes == 300
    assert value.count(b"\xff") > 90


@pytest.mark.parametrize("before", range(40, 60))
def test_no_part_of_a_secret_stays_beside_the_cut(before: int):
    secret = b"hunter2-geheim"
    data = b"-" * before + secret + b"-" * 500 + secret + b"-" * before

    value, _ = captured(data, max_bytes=101, secrets=(secret, b"another")).value()

    assert set(re.sub(rb"\n\[cut: .*\]\n", b"", value).replace(secret, b"")) == set(b"-")
