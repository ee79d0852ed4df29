"""An output that is too large for a result keeps its beginning and its end, whole characters, and says what is missing."""

from __future__ import annotations

import re

import pytest

from awf_core.result import cut


@pytest.mark.parametrize("text", ["", "é" * 5, "0123456789"])
def test_what_fits_is_unchanged(text: str) -> None:
    assert cut(text, 10) == text


@pytest.mark.parametrize("max_bytes", [0, 1, 2, 3, 7, 10, 39])
@pytest.mark.parametrize("text", ["first" + "x" * 50 + "last", "é" * 20, "\N{GRINNING FACE}" * 10, "\ud800" * 40])
def test_no_more_than_the_limit_is_kept_from_both_ends_and_all_is_accounted_for(text: str, max_bytes: int) -> None:
    parts = re.fullmatch(r"(.*)\n\[cut by awf: (\d+) of (\d+) bytes left out\]\n(.*)", cut(text, max_bytes))

    assert parts is not None
    head, left_out, total, tail = parts[1], int(parts[2]), int(parts[3]), parts[4]
    whole = text.encode("utf-8", "replace").decode()
    kept = len(head.encode()) + len(tail.encode())
    assert whole.startswith(head)
    assert whole.endswith(tail)
    assert kept <= max_bytes
    assert kept + left_out == total == len(whole.encode())
