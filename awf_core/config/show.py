"""Every value with its origin, for `awf config show`. Pure: secrets are masked, nothing is drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, SecretStr

from awf_core.config.keys import fields_by_key
from awf_core.config.load import Config
from awf_core.config.model import MqSettings
from awf_core.config.origins import Origin
from awf_core.config.secrets import MASK, masked
from awf_core.config.section import Filled


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line: the dotted key, the value as it may be shown, and where it came from."""

    key: str
    value: object
    origin: str


def show(config: Config, *sections: Filled[Any]) -> tuple[Row, ...]:
    """All rows: `mq`, then the given backend sections, then what the file holds besides."""
    rows = [_row(key, value, origin) for key, value, origin in config.filled.rows]
    for section in sections:
        rows += [_row(key, value, origin) for key, value, origin in section.rows]
    seen = {row.key for row in rows}
    return (*rows, *(row for row in _raw_rows(config) if row.key not in seen))


def _row(key: str, value: object, origin: Origin) -> Row:
    return Row(key=key, value=_plain(key, value), origin=str(origin))


def _plain(key: str, value: object) -> object:
    if isinstance(value, SecretStr):
        return MASK
    if isinstance(value, BaseModel):
        return {name: _plain(name, part) for name, part in value.model_dump(by_alias=True, exclude_unset=True).items()}
    if isinstance(value, Mapping):
        return {str(name): _plain(str(name), part) for name, part in value.items()}
    return masked(key.rsplit(".", 1)[-1], value)


def _raw_rows(config: Config) -> Iterator[Row]:
    """Keys of the file that no model has: inputs, notify, telemetry and the sections of backends that aren't chosen."""
    document = config.project.document
    for top, values in document.values.items():
        groups = values if isinstance(values, Mapping) else {}
        for key, value in groups.items():
            if top == "mq" and key in fields_by_key(MqSettings):
                continue
            for path, leaf in _leaves((top, key), value):
                yield Row(
                    key=".".join(path),
                    value=masked(path[-1], leaf),
                    origin=f"file {document.where(path)}",
                )


def _leaves(path: tuple[str, ...], value: object) -> Iterator[tuple[tuple[str, ...], object]]:
    if path[0] == "mq" and isinstance(value, Mapping):
        for key, part in value.items():
            yield from _leaves((*path, str(key)), part)
    else:
        yield path, value
