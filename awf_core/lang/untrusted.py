"""What a run knows to come from a message: names of inputs, texts, items of loops.

Made by the worker for each message, read by the engine where text goes to a shell. A run of `awf run` has none. Values
are not marked: an output of a step that holds such a text is found again, one that holds it in another form is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from awf_core.lang.shell.context import is_plain

_MIN_CHARS = 3
"""Shorter texts are found by chance in any output; no command fits into them."""
_MAX_TEXTS = 1000
"""Beyond that no text is searched: every text counts as one of the message's."""
UNSAFE_INPUT = "USER.INPUT.UNSAFE"
"""The code of a run that a value from a message ended, because a shell would have read it as syntax."""
UNPASSABLE_INPUT = "USER.INPUT.UNPASSABLE"
"""The code of a run that ended because no program can be given an input: it is too large, or holds a NUL."""
MESSAGE_FAULTS = frozenset({UNSAFE_INPUT, UNPASSABLE_INPUT})
"""Faults of the message, which no other attempt repairs: they end the run past every handler of the workflow."""
FROM_MESSAGE = "IsFromMessage"
"""The key of a loop that goes through items of a message. No template or expression can read it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Untrusted:
    """inputs   the names of inputs that a message gave
    texts       the texts in them, and the id of the message, that a shell would not take for plain words
    has_items   whether `.loop` has items of a message
    is_countless   there are too many of these texts to search for
    is_allowed  whether they may be inserted into shell text as they are
    """

    inputs: frozenset[str] = frozenset()
    texts: tuple[str, ...] = ()
    has_items: bool = False
    is_countless: bool = False
    is_allowed: bool = False

    def in_loop(self, loop: Mapping[str, Any] | None) -> Untrusted:
        """The same where `loop` is what templates see as `.loop`."""
        return replace(self, has_items=True) if _has_items(loop) else self

    def in_child(self, inputs: Mapping[str, Any], names: frozenset[str]) -> Untrusted:
        """For a run that a step starts with `inputs`; `names` are those that hold something of the message."""
        own = untrusted_inputs({name: value for name, value in inputs.items() if name in names})
        texts = tuple(dict.fromkeys((*self.texts, *own.texts)))
        is_countless = self.is_countless or own.is_countless
        return replace(own, texts=texts, is_countless=is_countless, is_allowed=self.is_allowed)

    def is_echoed(self, text: str) -> bool:
        """Whether `text` holds a text of the message."""
        return self.is_countless or any(each in text for each in self.texts)


def untrusted_inputs(given: Mapping[str, Any], *, message_id: str = "", is_allowed: bool = False) -> Untrusted:
    """What comes from a message that gives these inputs, and the id, which templates find in the environment."""
    found = dict.fromkeys(text for value in given.values() for text in _texts(value))
    found[env_text(message_id).strip()] = None
    texts = [text for text in found if len(text) >= _MIN_CHARS and not is_plain(text)]
    is_countless = len(texts) > _MAX_TEXTS
    return Untrusted(
        inputs=frozenset(given),
        texts=() if is_countless else tuple(texts),
        is_countless=is_countless,
        is_allowed=is_allowed,
    )


def env_text(message_id: str) -> str:
    """The id of a message as the environment of its steps has it: a value there can't hold a NUL."""
    return message_id.replace("\0", "")


def _texts(value: Any) -> Iterator[str]:
    # Without recursion: a producer chooses the depth.
    open_values = [value]
    while open_values:
        each = open_values.pop()
        if isinstance(each, str):
            yield each.strip()
        elif isinstance(each, Mapping):
            open_values += [*each.keys(), *each.values()]
        elif isinstance(each, (list, tuple)):
            open_values += each


def _has_items(loop: Mapping[str, Any] | None) -> bool:
    while loop is not None:
        if loop.get(FROM_MESSAGE):
            return True
        loop = loop.get("Parent")
    return False
