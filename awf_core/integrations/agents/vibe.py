"""The command line of Mistral Vibe: `vibe`. Registered by `awf_core.integrations`. Pure.

It has no sessions to name: the turns so far are put into the prompt. It writes plain text, one JSON document, or JSON
lines.
"""

from __future__ import annotations

import json
import math
import posixpath
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from awf_core.extensions.agents import AgentRequest, Conversation
from awf_core.integrations.agents.cli_provider import Dialect
from awf_core.integrations.agents.parse import events, flag_and_value, is_set, list_option, text_option

_ROLE_LABELS = {"system": "System", "user": "User", "assistant": "Assistant"}
_NUMBERS = (("max_turns", "--max-turns"), ("max_tokens", "--max-tokens"), ("max_price", "--max-price"))
_FORMATS = ("text", "json", "streaming")
_TYPES = ((bool, "bool"), (str, "string"), (int, "int"), (float, "float"), (list, "list"), (dict, "map"))
_ENVELOPE_KEYS = frozenset({"role", "message", "delta"})


def _arguments(request: AgentRequest) -> list[str]:
    options = request.options
    numbers = ((flag, options[name]) for name, flag in _NUMBERS if name in options)
    workdir = text_option(options, "workdir")
    return [
        *("--prompt", _prompt(request.prompt, request.conversation), "--agent", _profile(request)),
        *flag_and_value(options, "output_format", "--output"),
        *(part for flag, value in numbers for part in (flag, _number_text(value))),
        *(["--workdir", _clean_path(workdir)] if workdir is not None else []),
        *(part for tool in list_option(options, "enabled_tools") for part in ("--enabled-tools", tool)),
        *(part for path in list_option(options, "add_dirs") for part in ("--add-dir", _clean_path(path))),
        *(["--trust"] if is_set(options, "trust") else []),
    ]


def _profile(request: AgentRequest) -> str:
    if is_set(request.options, "dangerously_skip_permissions"):
        return "auto-approve"
    return text_option(request.options, "agent_profile") or "default"


def _prompt(prompt: str, conversation: Conversation | None) -> str:
    if conversation is None or not conversation.turns:
        return prompt
    said = [f"{_ROLE_LABELS[turn.role]}: {turn.content.strip()}" for turn in conversation.turns if turn.content.strip()]
    head = "Continue the conversation using the transcript below. Answer the final user message."
    return "\n".join([head, "", "Transcript:", *said, f"User: {prompt}"])


def _rejection(options: Mapping[str, object]) -> str | None:
    """Why these options can't be used, None when they can."""
    checks = (
        _profile_fault(options),
        _format_fault(options),
        *_count_faults(options),
        _price_fault(options),
        _paths_fault(options),
        _trust_fault(options),
    )
    return next((f"mistral_vibe option {fault}" for fault in checks if fault), None)


def _clean_path(path: str) -> str:
    """`path` without what it does not need."""
    return posixpath.normpath(path)


def _number_text(number: object) -> str:
    """A number as an argument: `5`, `0.5`."""
    return f"{Decimal(repr(number)):f}" if isinstance(number, float) else str(number)


def _profile_fault(options: Mapping[str, object]) -> str:
    profile = text_option(options, "agent_profile")
    if not is_set(options, "dangerously_skip_permissions") or profile in (None, "auto-approve"):
        return ""
    return f"agent_profile conflicts with dangerously_skip_permissions: expected auto-approve, got {profile}"


def _format_fault(options: Mapping[str, object]) -> str:
    wanted = text_option(options, "output_format")
    if not wanted or wanted in _FORMATS:
        return ""
    return f"output_format invalid: expected one of {', '.join(_FORMATS)}, got {wanted}"


def _count_faults(options: Mapping[str, object]) -> list[str]:
    faults = []
    for name in ("max_turns", "max_tokens"):
        value = options.get(name, 1)
        if isinstance(value, bool) or not isinstance(value, int):
            faults.append(f"{name} invalid: expected positive integer, got {_type(value)}")
        elif value <= 0:
            faults.append(f"{name} invalid: expected positive integer, got {value}")
    return faults


def _price_fault(options: Mapping[str, object]) -> str:
    value = options.get("max_price", 0)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return f"max_price invalid: expected non-negative number, got {_type(value)}"
    return f"max_price invalid: expected non-negative number, got {_number_text(value)}" if value < 0 else ""


def _paths_fault(options: Mapping[str, object]) -> str:
    workdir = text_option(options, "workdir")
    if workdir is not None and (fault := _path_fault(workdir)):
        return f"workdir invalid: {fault}"
    for name in ("enabled_tools", "add_dirs"):
        if name in options and (fault := _list_fault(name, options[name])):
            return fault
    return ""


def _list_fault(name: str, value: object) -> str:
    if not isinstance(value, list):
        return f"{name} invalid: expected list, got {_type(value)}"
    for index, item in enumerate(value):
        if not isinstance(item, str):
            return f"{name} invalid: expected string at index {index}, got {_type(item)}"
        if name == "add_dirs" and (fault := _path_fault(item)):
            return f"{name} invalid at index {index}: {fault}"
    return ""


def _path_fault(path: str) -> str:
    if not path.strip():
        return "path cannot be empty"
    return "path must not contain traversal segments" if ".." in path.split("/") else ""


def _trust_fault(options: Mapping[str, object]) -> str:
    value = options.get("trust", False)
    return "" if isinstance(value, bool) else f"trust invalid: expected bool, got {_type(value)}"


def _type(value: object) -> str:
    return next((name for kind, name in _TYPES if isinstance(value, kind)), "nil")


def _answer(raw: str) -> str:
    """The last text of the assistant; plain text as it is; nothing where an envelope holds none."""
    found = _assistant_text(raw)
    if found is not None:
        return found.strip()
    is_envelope = any(_ENVELOPE_KEYS & item.keys() or item.get("type") == "message" for item in _objects(raw))
    return "" if is_envelope else raw.strip()


def _response(raw: str) -> dict[str, Any] | None:
    """The object that the assistant's text is, None when it is none."""
    try:
        found = json.loads(_assistant_text(raw) or "")
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _assistant_text(raw: str) -> str | None:
    texts = [text for item in _objects(raw) if (text := _text_of(item))]
    return texts[-1] if texts else None


def _objects(raw: str) -> Iterator[dict[str, Any]]:
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        yield from events(raw)
        return
    yield from _flattened(document)


def _flattened(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, list):
        for item in value:
            yield from _flattened(item)
    elif isinstance(value, dict):
        yield value


def _text_of(item: dict[str, Any]) -> str:
    message = item.get("message")
    holders = [item, message] if isinstance(message, dict) else [item]
    if not any(holder.get("role") == "assistant" for holder in holders):
        return ""
    deltas = [holder["delta"] for holder in holders if isinstance(holder.get("delta"), dict)]
    candidates = [holder.get(key) for holder in holders for key in ("content", "text")]
    candidates += [delta.get("text") for delta in deltas]
    return next((text for candidate in candidates if (text := _content(candidate))), "")


def _content(value: Any) -> str:
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        return ""
    blocks = [block for block in value if isinstance(block, dict) and block.get("type") == "text"]
    return "".join(block["text"] for block in blocks if isinstance(block.get("text"), str))


VIBE = Dialect(
    name="mistral_vibe",
    program="vibe",
    arguments=_arguments,
    answer=_answer,
    shown=lambda line: line,
    rejection=_rejection,
    response=_response,
    known=frozenset(
        {
            *("max_turns", "max_tokens", "max_price", "workdir", "enabled_tools", "add_dirs"),
            *("trust", "agent_profile", "dangerously_skip_permissions"),
        }
    ),
)
