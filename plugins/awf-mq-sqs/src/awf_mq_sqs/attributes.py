"""Message attributes: at most ten, with names of few characters and values that aren't empty. Pure.

What doesn't fit is put into one attribute, `awf-more`, as JSON: `fold` does it, `unfold` undoes it. So a producer's
attributes survive a retry and a dead-lettering, whatever is added to them, and any header can be sent.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Any

MAX_ATTRIBUTES = 10
MORE = "awf-more"
Attributes = dict[str, dict[str, Any]]

_NAME = re.compile(r"(?!(?:aws|amazon)\.)(?!\.)(?!.*\.\.)(?!.*\.\Z)[A-Za-z0-9_.-]{1,256}", re.IGNORECASE)
_TYPE = re.compile(r"(?:String|Number|Binary)(?:\.[A-Za-z0-9_.-]{1,240})?")
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def has_illegal(text: str) -> bool:
    """Whether `text` has a character that SQS refuses: most control characters, lone surrogates, U+FFFE, U+FFFF."""
    return _ILLEGAL.search(text) is not None


def string(value: str) -> dict[str, Any]:
    """An attribute of type String."""
    return {"DataType": "String", "StringValue": value}


def text_of(attribute: Mapping[str, Any]) -> str:
    """The value as text; bytes in base64."""
    if "BinaryValue" in attribute:
        return base64.b64encode(bytes(attribute["BinaryValue"])).decode()
    return str(attribute.get("StringValue", ""))


def size_of(attributes: Mapping[str, Mapping[str, Any]]) -> int:
    """How many bytes of a message's limit the attributes take."""
    return sum(
        len(name.encode("utf-8", "replace")) + len(str(each["DataType"])) + len(_value_bytes(each))
        for name, each in attributes.items()
    )


def fold(attributes: Attributes) -> Attributes:
    """The attributes as SQS takes them. The first ones stay as they are, so put those first that others read."""
    plain = {name: each for name, each in attributes.items() if _fits(name, each)}
    if len(plain) == len(attributes) <= MAX_ATTRIBUTES:
        return dict(attributes)
    kept = dict(list(plain.items())[: MAX_ATTRIBUTES - 1])
    more = {name: _as_json(each) for name, each in attributes.items() if name not in kept}
    return {**kept, MORE: string(json.dumps(more, separators=(",", ":")))}


def unfold(attributes: Mapping[str, Mapping[str, Any]]) -> Attributes:
    """The attributes as they were before `fold`. What isn't readable in the folded part is left out."""
    found: Attributes = {name: _plain(each) for name, each in attributes.items() if name != MORE}
    if MORE in attributes:
        for name, value in _more(text_of(attributes[MORE])).items():
            parsed = _from_json(value)
            if parsed is not None:
                found.setdefault(name, parsed)
    return found


def _fits(name: str, attribute: Mapping[str, Any]) -> bool:
    if not _NAME.fullmatch(name) or name == MORE:
        return False
    if "BinaryValue" in attribute:
        return bool(attribute["BinaryValue"])
    value = str(attribute.get("StringValue", ""))
    return bool(value) and not has_illegal(value)


def _plain(attribute: Mapping[str, Any]) -> dict[str, Any]:
    """The keys that can be sent again."""
    key = "BinaryValue" if "BinaryValue" in attribute else "StringValue"
    return {"DataType": str(attribute.get("DataType", "String")), key: attribute.get(key, "")}


def _value_bytes(attribute: Mapping[str, Any]) -> bytes:
    if "BinaryValue" in attribute:
        return bytes(attribute["BinaryValue"])
    return str(attribute.get("StringValue", "")).encode("utf-8", "replace")


def _as_json(attribute: Mapping[str, Any]) -> list[str]:
    kind = "B" if "BinaryValue" in attribute else "S"
    return [kind, str(attribute["DataType"]), text_of(attribute)]


def _more(text: str) -> dict[str, object]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _from_json(value: object) -> dict[str, Any] | None:
    if not (isinstance(value, list) and len(value) == 3 and all(isinstance(part, str) for part in value)):
        return None
    kind, data_type, text = value
    if not _TYPE.fullmatch(data_type):
        return None
    if kind != "B":
        return {"DataType": data_type, "StringValue": text}
    try:
        return {"DataType": data_type, "BinaryValue": base64.b64decode(text, validate=True)}
    except (ValueError, binascii.Error):
        return None
