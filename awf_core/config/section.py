"""Fill a settings model from flags, environment and file, in that order of precedence, and keep each value's origin.

Called by load.py for `mq:` and by the composition for a backend's own section. Reads nothing itself:
all places are handed in. Every problem of a section is reported at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from awf_core.config.backend_names import twin
from awf_core.config.keys import Model, fields_by_key, nested_model
from awf_core.config.problems import raise_all
from awf_core.config.sheet import Sheet

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from awf_core.config.origins import Origin
    from awf_core.config.yaml_source import Document, KeyPath

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where values may come from. `flags` maps dotted keys to values or `Flag`s, None = not given."""

    document: Document
    env: Mapping[str, str]
    flags: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled(Generic[M]):
    """A validated section. `origins` has the origin of every leaf, defaults included, by dotted key."""

    settings: M
    origins: Mapping[str, Origin]
    rows: tuple[tuple[str, object, Origin], ...]


def fill(
    model: type[M],
    prefix: KeyPath,
    places: Places,
    *,
    aliases: Mapping[str, str] | None = None,
    reserved: Collection[str] = (),
) -> Filled[M]:
    """The section at `prefix` as a `model`.

    `aliases` maps further variables to keys, weaker than the keys' own twins.
    `reserved` are keys at the top of the section that belong to somebody else.
    Raises ConfigError with every unknown key and bad value.
    """
    sheet = Sheet(model, prefix, frozenset(reserved))
    sheet.read_file(places.document)
    sheet.read_environment(places.env, aliases or {})
    sheet.read_flags(places.flags)
    try:
        settings = model.model_validate(sheet.tree())
    except ValidationError as exc:
        findings = [sheet.explain(error, places.document) for error in exc.errors(include_url=False)]
        raise_all([*sheet.problems, *findings])
        raise
    raise_all(sheet.problems)
    return Filled(settings=settings, origins=sheet.all_origins(), rows=tuple(sheet.rows(settings)))


def variables(model: Model, prefix: KeyPath) -> Iterator[str]:
    """The environment twin of every key of `model`, of groups of keys too."""
    for key, info in fields_by_key(model).items():
        path = (*prefix, key)
        yield twin(*map(str, path))
        below = nested_model(info.annotation)
        if below is not None:
            yield from variables(below, path)
