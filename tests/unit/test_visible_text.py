"""Text is shown so that nothing in it is hidden, forges a line or drives a terminal."""

from __future__ import annotations

import json
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from awf_core.visible_text import visible, visible_json, visible_lines

HIDDEN_CATEGORIES = {"Cc", "Cf", "Cs", "Zl", "Zp"}
BLANK = {"\u034f", "\u115f", "\u1160", "\u17b4", "\u17b5", "\u3164", "\uffa0"}


def is_hidden(char: str) -> bool:
    return unicodedata.category(char) in HIDDEN_CATEGORIES or char in BLANK


def test_every_character_that_unicode_calls_a_control_or_a_format_is_escaped():
    missed = [hex(code) for code in range(0x110000) if is_hidden(chr(code)) and visible(chr(code)) == chr(code)]

    assert missed == []


def test_what_can_be_seen_stays_as_it_is():
    text = "Grüße, 日本語, emoji \U0001f600, \u00e9 and e\u0301"

    assert visible(text) == visible_lines(text) == visible_json(text) == text


def test_an_escape_names_the_character():
    assert visible("\x1b\n\u202e\U000e0041") == "\\x1b\\x0a\\u202e\\U000e0041"
    assert visible_lines("a\nb\tc\r") == "a\nb\tc\\x0d"


@given(st.text())
def test_a_json_document_says_the_same_with_its_escapes(text: str):
    document = json.dumps({text: [text]}, ensure_ascii=False, indent=2)

    shown = visible_json(document)

    assert json.loads(shown) == json.loads(document)
    assert not any(is_hidden(char) for char in shown if char != "\n")
