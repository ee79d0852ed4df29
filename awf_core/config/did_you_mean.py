"""Offer the name that was probably meant. Called where a name is refused. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def closest(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate most like `word`, None where none is."""
    folded = {candidate.lower(): candidate for candidate in candidates}
    begun = [candidate for folded_name, candidate in folded.items() if folded_name.startswith(word.lower())]
    if len(begun) == 1 and word:
        return begun[0]
    found = difflib.get_close_matches(word.lower(), folded, n=1, cutoff=0.6)
    return folded[found[0]] if found else None


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """` Did you mean 'x'?`, with a leading space to follow a sentence; empty where no candidate is near."""
    found = closest(word, candidates)
    return f" Did you mean {found!r}?" if found else ""
