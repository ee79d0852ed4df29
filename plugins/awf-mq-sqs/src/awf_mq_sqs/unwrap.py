"""Take a message out of the envelope of SNS or EventBridge. Pure.

Off by default: an envelope is JSON like any other, and a producer could make one up.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from awf_mq_sqs.settings import Unwrap

SNS_KEYS = frozenset({"Type", "MessageId", "TopicArn", "Message", "Timestamp"})
EVENT_KEYS = frozenset({"version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail"})


def unwrapped(body: str, unwrap: Unwrap) -> tuple[str, dict[str, str]]:
    """The message in `body`, and headers from its envelope; `body` as it is where there is no such envelope."""
    if unwrap == "none":
        return body, {}
    found = _object(body)
    if found is None:
        return body, {}
    if unwrap in ("sns", "auto") and _is_sns(found):
        return _from_sns(found)
    if unwrap in ("eventbridge", "auto") and found.keys() >= EVENT_KEYS and isinstance(found["detail"], dict):
        return _from_event(found)
    return body, {}


def _is_sns(found: dict[str, Any]) -> bool:
    return found.keys() >= SNS_KEYS and found["Type"] == "Notification" and isinstance(found["Message"], str)


def _from_sns(found: dict[str, Any]) -> tuple[str, dict[str, str]]:
    headers = {"sns-topic-arn": str(found["TopicArn"]), "sns-message-id": str(found["MessageId"])}
    if isinstance(found.get("Subject"), str):
        headers["sns-subject"] = found["Subject"]
    attributes = found.get("MessageAttributes")
    for name, each in attributes.items() if isinstance(attributes, dict) else ():
        if isinstance(each, dict) and isinstance(each.get("Value"), str):
            headers[name] = each["Value"]
    return found["Message"], headers


def _from_event(found: dict[str, Any]) -> tuple[str, dict[str, str]]:
    headers = {
        "eventbridge-id": str(found["id"]),
        "eventbridge-source": str(found["source"]),
        "eventbridge-detail-type": str(found["detail-type"]),
        "eventbridge-time": str(found["time"]),
    }
    return json.dumps(found["detail"], ensure_ascii=False, separators=(",", ":")), headers


def _object(body: str) -> dict[str, Any] | None:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
