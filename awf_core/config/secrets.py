"""What may be shown of a value: never a password. Called by errors, `awf config show` and the log. Pure.

A value is secret by its key (`password`, `api_key`, `SECRET_X`); a URL loses its password whatever its key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from awf_core.errors import redact_url

MASK = "***"
_SEPARATORS = re.compile(r"[^a-z0-9]")
_SECRET_ENDS = (
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "privatekey",
    "secretkey",
    "credential",
    "credentials",
    "authorization",
)
_SECRET_STARTS = ("secret_", "api_key", "apikey", "password", "token_")


def is_secret(key: str) -> bool:
    """Whether a value under `key` must not be shown at all."""
    lowered = key.lower()
    return lowered.startswith(_SECRET_STARTS) or _SEPARATORS.sub("", lowered).endswith(_SECRET_ENDS)


def masked(key: str, value: object) -> object:
    """`value` as it may be shown under `key`; mappings and lists part by part. None stays None."""
    if value is None:
        return None
    if is_secret(key):
        return MASK
    if isinstance(value, str):
        return redact_url(value)
    if isinstance(value, Mapping):
        return {str(name): masked(str(name), part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [masked(key, part) for part in value]
    return value
