"""Static types: what is known of a value before it is computed, and which types are compatible.

Used by the checker and the table of builtins. Pure. `text` is the type's name in error messages.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Nature:
    """A static type. `elem` is the type of an array's elements, where it is known better than "anything"."""

    kind: str
    text: str
    elem: Nature | None = None

    @property
    def unknown(self) -> bool:
        """Whether it is known only at run time."""
        return self.kind in {"unknown", "any"}

    @property
    def number(self) -> bool:
        """Whether it is an integer or a float."""
        return self.kind in {"int", "float"}


UNKNOWN = Nature(kind="unknown", text="unknown")
NIL = Nature(kind="nil", text="unknown")
ANY = Nature(kind="any", text="interface {}")
BOOL = Nature(kind="bool", text="bool")
INT = Nature(kind="int", text="int")
FLOAT = Nature(kind="float", text="float64")
TEXT = Nature(kind="string", text="string")
ARRAY = Nature(kind="array", text="[]interface {}")
TEXT_ARRAY = Nature(kind="array", text="[]string", elem=TEXT)
INT_ARRAY = Nature(kind="array", text="[]int", elem=INT)
FLOAT_ARRAY = Nature(kind="array", text="[]float64", elem=FLOAT)
MAP = Nature(kind="map", text="map[string]interface {}")
ANY_MAP = Nature(kind="map", text="map[interface {}]interface {}")
GROUPS = Nature(kind="map", text="map[interface {}][]interface {}", elem=ARRAY)
TIME = Nature(kind="time", text="time.Time")
DURATION = Nature(kind="duration", text="time.Duration")
LOCATION = Nature(kind="location", text="*time.Location")
FUNCTION = Nature(kind="function", text="func(...interface {}) (interface {}, error)")


def array_of(elem: Nature) -> Nature:
    """An array whose elements are `elem`."""
    return Nature(kind="array", text=ARRAY.text, elem=elem)


def element(nature: Nature) -> Nature:
    """What an element of an array or a value of a map is."""
    return nature.elem if nature.elem is not None else ANY


def key_of(nature: Nature) -> Nature:
    """What a key of a map is."""
    return TEXT if nature is MAP else ANY


def assignable(source: Nature, target: Nature) -> bool:
    """Whether a `source` can stand where a `target` is wanted, without conversion."""
    if source.kind == "nil":
        return target.kind in {"any", "array", "map", "function"}
    if "unknown" in {source.kind, target.kind}:
        return False
    return target.kind == "any" or (source.kind == target.kind and source.text == target.text)


def comparable(left: Nature, right: Nature) -> bool:
    """Whether `==` between them makes sense."""
    if left.unknown or right.unknown or "nil" in {left.kind, right.kind}:
        return True
    if left.number and right.number:
        return True
    same_family = left.kind == right.kind and left.kind in {"array", "time", "duration"}
    return same_family or assignable(left, right)


def compatible(left: Nature, right: Nature, *kinds: str) -> bool:
    """Whether at least one side is unknown and the other, if known, is one of `kinds`."""
    if left.unknown:
        return right.unknown or right.kind in kinds
    return right.unknown and left.kind in kinds
