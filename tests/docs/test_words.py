"""No old word comes back: the code, the commands and the pages use the terms of docs/reference/glossary.md."""

from __future__ import annotations

from words import WORDS, all_old_words, shown


def test_no_old_word_is_in_the_code_the_commands_or_the_pages() -> None:
    found = all_old_words()

    assert not found, f"{len(found)} old words (ordinary meanings go into old_words.yaml):\n{shown(found)}"


def test_each_rule_finds_the_examples_of_its_word() -> None:
    missed = [example for word in WORDS for example in word.examples if not word.found("example.py", example)]

    assert missed == []
