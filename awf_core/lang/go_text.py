"""Plain values spelled as the original tool spells them: names of types, default printing.

Called wherever a text of the workflow language shows a value. Pure; takes the plain values that YAML and JSON give.
"""

from __future__ import annotations

from awf_core.lang.go_numbers import float_text

_FIRST_UNSIGNED = 1 << 63


def type_name(value: object) -> str:
    """The original's name for the type of `value`: `string`, `int`, `float64`, `bool`, `[]interface {}`, …"""
    match value:
        case None:
            return "<nil>"
        case bool():
            return "bool"
        case int():
            return "int" if value < _FIRST_UNSIGNED else "uint64"
        case float():
            return "float64"
        case list() | tuple():
            return "[]interface {}"
        case dict():
            texts_only = all(isinstance(key, str) for key in value)
            return "map[string]interface {}" if texts_only else "map[interface {}]interface {}"
        case _:
            return "string"


def printed(value: object) -> str:
    """`value` in default printing: `[a b]`, `map[k:1]` with sorted keys, `<nil>`, `true`."""
    match value:
        case None:
            return "<nil>"
        case bool():
            return "true" if value else "false"
        case float():
            return float_text(value)
        case list() | tuple():
            return f"[{' '.join(printed(item) for item in value)}]"
        case dict():
            return f"map[{' '.join(f'{printed(key)}:{printed(value[key])}' for key in sorted(value, key=printed))}]"
        case _:
            return str(value)
