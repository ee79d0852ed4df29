"""Fill a settings model from flags, environment and file, in that order of precedence, and keep each value's origin.

Called by load.py for `mq:` and by plugin/assemble.py for a backend's own section. Reads nothing itself: all places are
handed in. Every problem of a section is reported at once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from awf_core.config.backend_names import twin
from awf_core.config.keys import Model, attribute_for, fields_by_key, nested_model, takes_text
from awf_core.config.origins import DEFAULT, Flag, Origin, dotted, flag_origin
from awf_core.config.problems import not_a_mapping, raise_all, refused, shown, unknown_key
from awf_core.config.yaml_source import Document, KeyPath, parse_flow
from awf_core.units import format_duration

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

M = TypeVar("M", bound=BaseModel)
OriginOf = Callable[[KeyPath], Origin]


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

    `aliases` maps further variables to keys, weaker than the keys' own variables.
    `reserved` are keys at the top of the section that belong to others: backends.
    Raises ConfigError with every unknown key and bad value.
    """
    sheet = _Sheet(model, prefix, frozenset(reserved))
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
    """The environment variable of every key of `model`, of groups of keys too."""
    for key, info in fields_by_key(model).items():
        path = (*prefix, key)
        yield twin(*map(str, path))
        below = nested_model(info.annotation)
        if below is not None:
            yield from variables(below, path)


@dataclass(slots=True)
class _Sheet:
    """The values of one section read so far, by path; a later reading beats an earlier one.

    `problems` collects what is wrong before the values are checked: reading concerns keys, the model checks values.
    """

    model: Model
    prefix: KeyPath
    reserved: frozenset[str] = frozenset()
    given: dict[KeyPath, tuple[object, Origin]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def read_file(self, document: Document) -> None:
        """Values of the file."""
        values: Any = document.values
        for depth, part in enumerate(self.prefix):
            values = values.get(part)
            if values is None:
                return
            if not isinstance(values, Mapping):
                path = self.prefix[: depth + 1]
                self.problems.append(not_a_mapping(document.where(path), path, values))
                return
        values = {key: value for key, value in values.items() if key not in self.reserved}

        def origin(path: KeyPath) -> Origin:
            return Origin(kind="file", where=document.where(path))

        self._spread(self.model, self.prefix, values, origin)

    def read_environment(self, env: Mapping[str, str], aliases: Mapping[str, str]) -> None:
        """Values of the environment: `aliases` first, then groups, then single keys."""
        for variable, key in aliases.items():
            info = fields_by_key(self.model).get(key)
            if info is not None and env.get(variable):
                self._variable((*self.prefix, key), info, variable, env[variable])
        self._environment(self.model, self.prefix, env)

    def read_flags(self, flags: Mapping[str, object]) -> None:
        """Values of a command's options."""
        for name, given in flags.items():
            path: KeyPath = tuple(name.split("."))
            value = given.value if isinstance(given, Flag) else given
            depth = len(self.prefix)
            if value is None or path[:depth] != self.prefix or path[depth] in self.reserved:
                continue
            tree: Any = value
            for part in reversed(path[depth:]):
                tree = {part: tree}
            origin = flag_origin(path, given)
            self._spread(self.model, self.prefix, tree, _always(origin))

    def tree(self) -> dict[str, Any]:
        """The values as the nested mapping the model validates."""
        root: dict[str, Any] = {}
        for path, (value, _) in self.given.items():
            branch = root
            for part in path[len(self.prefix) : -1]:
                branch = branch.setdefault(str(part), {})
            branch[str(path[-1])] = value
        return root

    def explain(self, error: ErrorDetails, document: Document) -> str:
        """One finding of pydantic's, with the place its value came from."""
        path: KeyPath = (*self.prefix, *error["loc"])
        origin = self._origin_of(path)
        where = document.where(path) if origin.kind == "file" else origin.where or None
        return refused(self.model, self.prefix, error, where, twin(*map(str, path)))

    def all_origins(self) -> dict[str, Origin]:
        """The origin of every leaf by dotted key."""
        return {dotted(path): self._origin_of(path) for path in _leaves(self.model, self.prefix)}

    def rows(self, settings: BaseModel) -> Iterator[tuple[str, object, Origin]]:
        """Every leaf as (dotted key, value in force, origin); seconds as the duration a person writes."""
        for path in _leaves(self.model, self.prefix):
            value: Any = settings
            attribute = ""
            for part in path[len(self.prefix) :]:
                attribute = attribute_for(type(value), str(part)) if value is not None else ""
                value = getattr(value, attribute, None)
            seconds = attribute.endswith("_s") and isinstance(value, float)
            yield dotted(path), format_duration(value) if seconds else value, self._origin_of(path)

    def _origin_of(self, path: KeyPath) -> Origin:
        for length in range(len(path), len(self.prefix), -1):
            if path[:length] in self.given:
                return self.given[path[:length]][1]
        return DEFAULT

    def _spread(self, model: Model, path: KeyPath, values: Mapping[str, Any], origin: OriginOf) -> None:
        known = fields_by_key(model)
        for key, value in values.items():
            here = (*path, key)
            if key not in known:
                reserved = self.reserved if path == self.prefix else frozenset()
                self.problems.append(unknown_key(origin(here).where, here, [*known, *reserved]))
                continue
            below = nested_model(known[key].annotation)
            if below is None:
                self.given[here] = (value, origin(here))
            elif isinstance(value, Mapping):
                self._spread(below, here, value, origin)
            elif value is not None:
                self.problems.append(not_a_mapping(origin(here).where, here, value))

    def _environment(self, model: Model, path: KeyPath, env: Mapping[str, str]) -> None:
        for key, info in fields_by_key(model).items():
            here = (*path, key)
            variable = twin(*map(str, here))
            # An empty variable is how a compose file or a shell says "not set".
            if env.get(variable):
                self._variable(here, info, variable, env[variable])
            below = nested_model(info.annotation)
            if below is not None:
                self._environment(below, here, env)

    def _variable(self, path: KeyPath, info: FieldInfo, variable: str, text: str) -> None:
        origin = Origin(kind="environment", where=variable)
        try:
            value = text if takes_text(info) else parse_flow(text)
        except ValueError as exc:
            self.problems.append(f"{variable}: {dotted(path)}: {shown(path, text)} can't be read: {exc}")
            return
        below = nested_model(info.annotation)
        if below is None:
            self.given[path] = (value, origin)
        elif isinstance(value, Mapping):
            self._spread(below, path, value, _always(origin))
        else:
            self.problems.append(not_a_mapping(variable, path, value))


def _always(origin: Origin) -> OriginOf:
    return lambda _: origin


def _leaves(model: Model, prefix: KeyPath) -> Iterator[KeyPath]:
    """The path of every value `model` has, groups unfolded."""
    for key, info in fields_by_key(model).items():
        below = nested_model(info.annotation)
        if below is None:
            yield (*prefix, key)
        else:
            yield from _leaves(below, (*prefix, key))
