"""`contains(a, b)` written as `a contains b`, as the original does it: in the text, before anything is parsed.

Called by `expression.py` for mode "bool". Being textual, it also reaches
into literals; that is the original's behaviour.
"""

from __future__ import annotations

_OPENING = "contains("
_SPACES = "\t\n\f\r "


def rewritten(text: str) -> str:
    """`text` with every `contains(X,Y)` replaced by `X contains Y`.

    X goes up to the first comma, Y from there to the next closing parenthesis; neither may be empty.
    """
    parts, position = [], 0
    while (start := text.find(_OPENING, position)) >= 0:
        first = start + len(_OPENING)
        comma = text.find(",", first)
        closing = text.find(")", comma + 1) if comma >= 0 else -1
        if closing < 0:
            break
        needle = _needle(text[comma + 1 : closing])
        if comma == first or not needle:
            parts.append(text[position:first])
            position = first
            continue
        parts.append(f"{text[position:start]}{text[first:comma]} contains {needle}")
        position = closing + 1
    return "".join(parts) + text[position:]


def _needle(written: str) -> str:
    # Of nothing but spaces, the last one remains: something has to.
    return written.lstrip(_SPACES) or written[-1:]
