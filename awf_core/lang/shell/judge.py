"""Whether a value is harmless where it stands in shell text. Pure. Called by the tokenizer for each value."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from awf_core.lang.shell.context import NAMES, SHELLS, Frame, base, not_numeric, not_plain, syntax_in, words

CODE_COMMANDS: Final = words("eval trap ssh let alias [[")
"""Commands that read an argument as shell text, or as an expression that may hold some."""
NAMING_COMMANDS: Final = words("declare typeset local readonly export unset read mapfile")
"""Commands that read an argument as the name of a variable, in which some shells run the index of an array."""
_DASH_C: Final = re.compile(r"-[A-Za-z]*c")
_INTEGER_OPTION: Final = re.compile(r"[-+][A-Za-z]*i[A-Za-z]*")
_ARITHMETIC_TEST: Final = re.compile(r"-(?:eq|ne|lt|le|gt|ge|v)\b")
_ARITHMETIC_NEXT: Final = re.compile(r"[\"']?[ \t]+-(?:eq|ne|lt|le|gt|ge)\b")
_PIPED_TO_SHELL: Final = re.compile(
    r"[^\n]*?(?<!\|)\|&?[ \t]*(?:(?:sudo|doas|env|exec|command|nice|nohup)[ \t]+)*(?:[\w./-]*/)?"
    r"(?:sh|bash|dash|ash|ksh|mksh|zsh|fish|csh|tcsh|ssh)(?![\w./-])"
)
"""A pipe to a shell right behind a value."""
_TESTS: Final = frozenset({"[", "test"})

UNKNOWN = "behind text that shells may read differently"
OTHER_SHELL = "in what another shell reads"
END_MARK = "where it completes the end mark of a here-document"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a value stands.

    frames    the contexts that are open, the innermost last
    behind    the `$` or `\\` right before it, else empty
    after     the text right behind it
    text      the whole shell text
    is_lost   the text before it could not be followed
    """

    frames: Sequence[Frame]
    behind: str
    after: str
    text: str
    is_lost: bool


def fault(value: str, place: Place, *, is_escaped: bool) -> tuple[str, str] | None:
    """The first character of `value` that a shell reads as syntax and the name of the place; None = harmless.

    The character is empty where the place alone is the reason.
    """
    return next(((char[:1], where) for is_bad, char, where in _faults(value, place, is_escaped) if is_bad), None)


def _faults(value: str, place: Place, is_escaped: bool) -> Iterator[tuple[bool, str, str]]:  # noqa: FBT001
    top = place.frames[-1]
    yield place.is_lost, "", UNKNOWN
    yield top.kind == "delimiter", "", NAMES["delimiter"]
    yield top.kind == "parameter" and _is_name(top.word or ""), "", NAMES["parameter"]
    yield place.behind == "$", "", "behind a $"
    yield _found(not_plain(value) if place.behind else "", "behind a backslash")
    yield from _of_code(value, place)
    kinds = [frame.kind for frame in place.frames]
    if "backquote" in kinds:
        yield _found(next((char for char in value if char in "`\\"), ""), NAMES["backquote"])
    yield "here_document" in kinds[:-1] and "\n" in value, "\n", NAMES["here_document"]
    if top.is_commands and place.after.startswith(("<", ">")):
        yield ((top.word or "") + value).isdigit(), value, "before a redirection"
    if not (is_escaped and top.is_commands):
        yield _found(syntax_in(value, top), NAMES[top.kind])


def _found(char: str, where: str) -> tuple[bool, str, str]:
    return bool(char), char, where


def _of_code(value: str, place: Place) -> Iterator[tuple[bool, str, str]]:
    """Faults of a value in what is read once more, by another shell or as an expression."""
    commands = [frame for frame in place.frames if frame.is_commands]
    feeds_shell = any(frame.mark is not None and frame.mark.feeds_shell for frame in place.frames)
    if feeds_shell or any(map(reads_code, commands)) or _PIPED_TO_SHELL.match(place.after):
        yield _found(not_plain(value), OTHER_SHELL)
    is_test = any(frame.is_test for frame in commands) and _ARITHMETIC_TEST.search(place.text)
    is_number = is_test or any(_is_compared(frame, place.after) for frame in commands)
    if is_number or any(frame.command == "let" for frame in commands):
        yield _found(not_numeric(value), NAMES["arithmetic"])


def _is_compared(frame: Frame, after: str) -> bool:
    """Whether `[` compares the value as a number: some shells run what stands in the index of an array there."""
    if frame.command not in _TESTS:
        return False
    return bool(_ARITHMETIC_NEXT.match(after)) or bool(_ARITHMETIC_TEST.fullmatch(frame.words[-1]))


def reads_code(frame: Frame) -> bool:
    """Whether the command being read takes the argument being read for shell text or for a name."""
    name = frame.command
    if name in CODE_COMMANDS:
        return True
    if name in NAMING_COMMANDS:
        return "=" not in (frame.word or "") or any(map(_INTEGER_OPTION.fullmatch, frame.words))
    if frame.words[-1:] == ["-v"] and (name == "printf" or name in _TESTS):
        return True
    if SHELLS.isdisjoint(map(base, frame.words)):
        return False
    last = frame.words[-2:-1] if frame.words[-1] == "--" else frame.words[-1:]
    return any(map(_DASH_C.fullmatch, last))


def _is_name(text: str) -> bool:
    return all(char.isalnum() or char in "_!#" for char in text)
