"""The largest text a template may make, and the checks whoever makes texts calls.

Pure. The other bounds stand where they are kept: steps and depth in `state.py`, nesting in `cursor.py`.
"""

from __future__ import annotations

from awf_core.lang.templates.errors import LimitError

MAX_TEXT_CHARS = 32 * 1024 * 1024
MAX_PIECES = 1_000_000


def check_size(chars: int) -> None:
    """Raise LimitError when a text of so many characters is more than a template may make."""
    if chars > MAX_TEXT_CHARS:
        raise LimitError(f"the text grows beyond {MAX_TEXT_CHARS} characters")


def check_pieces(pieces: int) -> None:
    """Raise LimitError when a text of so many values and separators is more than a template may make."""
    if pieces > MAX_PIECES:
        raise LimitError(f"the text is made of more than {MAX_PIECES} pieces")
