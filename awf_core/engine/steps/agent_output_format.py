"""Apply `output_format` to an agent's answer: remove the code fence, read the JSON. Called by the agent step. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

_FENCED = re.compile(r"\s*```[a-zA-Z0-9]*\r?\n(.*?)\r?\n```", re.DOTALL)
_FENCED_WHOLE = re.compile(r"\s*```[a-zA-Z0-9]*\r?\n(.*)\r?\n```\s*\Z", re.DOTALL)
_JSON_BLOCK = re.compile(r"```json\r?\n(.*?)\r?\n```", re.DOTALL | re.IGNORECASE)
_SHOWN_CHARS = 200
_SAME_AS_FLOAT = 1_000_000
_REASONS = {
    "Expecting value": "looking for beginning of value",
    "Expecting property name enclosed in double quotes": "looking for beginning of object key string",
    "Illegal trailing comma before end of object": "looking for beginning of object key string",
    "Illegal trailing comma before end of array": "looking for beginning of value",
    "Expecting ':' delimiter": "after object key",
    "Expecting ',' delimiter": "after value",
    "Extra data": "after top-level value",
    "Invalid control character at": "in string literal",
    "Invalid \\escape": "in string escape code",
}


class NoJson(Exception):
    """The answer is not JSON; the text names the first invalid place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Formatted:
    """The answer as the state shows it, and its JSON value (None where the format is not `json`)."""

    output: str
    json: Any = None


def apply_format(output: str, output_format: str) -> Formatted:
    """`output` as `json`, `text` or, for an empty format, as it is. Raises NoJson."""
    match output_format:
        case "text":
            return Formatted(output=without_fence(output))
        case "json":
            return _as_json(output)
        case _:
            return Formatted(output=output)


def without_fence(text: str) -> str:
    """What is inside the code fence that `text` begins with; `text` when it begins with none.

    A fence in the fence belongs to what is inside when the outer one is the end of the text.
    """
    found = _FENCED.match(text)
    if found is None:
        return text
    whole = _FENCED_WHOLE.match(text) if "```" in found[1] or text[found.end() :].strip() else None
    return whole[1] if whole is not None else found[1]


def _as_json(output: str) -> Formatted:
    bare = without_fence(output)
    try:
        return Formatted(output=bare, json=_parse(bare))
    except ValueError as problem:
        block = _JSON_BLOCK.search(output)
        if block is not None:
            try:
                return Formatted(output=block[1], json=_parse(block[1]))
            except ValueError:
                pass
        raise NoJson(f"invalid JSON: {_reason(problem)} (content: {bare[:_SHOWN_CHARS]})") from problem


def _parse(text: str) -> Any:
    try:
        return json.loads(text, parse_int=_number, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("exceeded max depth") from None


def _number(digits: str) -> int | float:
    """JSON has only floats in the workflow language; small whole ones print the same, and stay whole."""
    value = int(digits) if len(digits) < 20 else float(digits)
    return value if abs(value) < _SAME_AS_FLOAT else float(value)


def _refuse(word: str) -> Any:
    raise ValueError(f"invalid character '{word.lstrip('-')[0]}' looking for beginning of value")


def _reason(problem: ValueError) -> str:
    if not isinstance(problem, json.JSONDecodeError):
        return str(problem)
    if problem.pos >= len(problem.doc.rstrip()) or problem.msg.startswith("Unterminated string"):
        return "unexpected end of JSON input"
    found = problem.doc[problem.pos :].lstrip()[:1]
    return f"invalid character {found!r} {_REASONS.get(problem.msg, problem.msg)}"
