"""The builtins on texts: trim, split, replace, ... Called by the table. Pure.

Positions count bytes of UTF-8, as in the original; `len` alone counts characters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from awf_core.lang.expressions.errors import Fault
from awf_core.lang.expressions.evaluation import LIMIT, Budget, check_text_size
from awf_core.lang.expressions.natures import ARRAY, BOOL, INT, TEXT, TEXT_ARRAY
from awf_core.lang.expressions.signatures import BuiltinFunction, Compute, Overload, takes
from awf_core.lang.expressions.values import as_text, is_array, to_int, type_name
from awf_core.lang.go.text import SPACES, StringList


def _trim(values: Sequence[object], _: Budget) -> object:
    text = as_text(values[0])
    return text.strip(SPACES) if len(values) == 1 else text.strip(as_text(values[1]))


def _trim_prefix(values: Sequence[object], _: Budget) -> object:
    return as_text(values[0]).removeprefix(as_text(values[1]) if len(values) == 2 else " ")


def _trim_suffix(values: Sequence[object], _: Budget) -> object:
    return as_text(values[0]).removesuffix(as_text(values[1]) if len(values) == 2 else " ")


def _upper(values: Sequence[object], _: Budget) -> object:
    text = as_text(values[0])
    return text.upper() if text.isascii() else "".join(map(_upper_char, text))


def _upper_char(char: str) -> str:
    # One character stays one: "ß" is not turned into "SS".
    upper = char.upper()
    return upper if len(upper) == 1 else char


def _lower(values: Sequence[object], _: Budget) -> object:
    text = as_text(values[0])
    return text.lower() if text.isascii() else "".join(char.lower()[0] for char in text)


def _split(values: Sequence[object], budget: Budget) -> object:
    return StringList(_split_parts(values, budget))


def _split_after(values: Sequence[object], budget: Budget) -> object:
    parts = _split_parts(values, budget)
    return StringList([part + as_text(values[1]) for part in parts[:-1]] + parts[-1:])


def _split_parts(values: Sequence[object], budget: Budget) -> list[str]:
    parts = _parts(as_text(values[0]), as_text(values[1]), to_int(values[2]) if len(values) == 3 else -1)
    budget.spend(len(parts))
    return parts


def _parts(text: str, separator: str, limit: int) -> list[str]:
    if limit == 0:
        return []
    if separator:
        return text.split(separator, limit - 1 if limit > 0 else -1)
    if 0 < limit < len(text):
        return [*text[: limit - 1], text[limit - 1 :]]
    return list(text)


def _replace(values: Sequence[object], _: Budget) -> object:
    text, old, new = as_text(values[0]), as_text(values[1]), as_text(values[2])
    limit = to_int(values[3]) if len(values) == 4 else -1
    count = text.count(old) if limit < 0 else min(text.count(old), limit)
    check_text_size(len(text) + count * len(new))
    return text.replace(old, new, max(count, 0))


def _repeat(values: Sequence[object], budget: Budget) -> object:
    text, count = as_text(values[0]), to_int(values[1])
    if count < 0:
        raise Fault(f"invalid argument for repeat (expected positive integer, got {count})")
    if count > LIMIT:
        raise Fault("memory budget exceeded")
    budget.spend(len(text.encode(errors="surrogatepass")) * count)
    return text * count


def _join(values: Sequence[object], budget: Budget) -> object:
    glue = as_text(values[1]) if len(values) == 2 else ""
    if not is_array(values[0]):
        raise Fault(f"invalid argument for join (type {type_name(values[0])})")
    parts = [as_text(part) for part in values[0]]
    budget.spend(len(parts))
    check_text_size(sum(map(len, parts)) + len(glue) * len(parts))
    return glue.join(parts)


def _byte_position(find: Callable[[str, str], int]) -> Compute:
    def compute(values: Sequence[object], _: Budget) -> object:
        text = as_text(values[0])
        position = find(text, as_text(values[1]))
        return position if position < 1 else len(text[:position].encode(errors="surrogatepass"))

    return compute


def has_prefix(values: Sequence[object], _: Budget) -> object:
    """Whether the first text begins with the second; also the function `has_prefix` of `when` and `while`."""
    prefix = as_text(values[1])
    return as_text(values[0]).startswith(prefix)


def has_suffix(values: Sequence[object], _: Budget) -> object:
    """Whether the first text ends with the second; also the function `has_suffix` of `when` and `while`."""
    suffix = as_text(values[1])
    return as_text(values[0]).endswith(suffix)


def _text(name: str, compute: Compute, *overloads: Overload) -> BuiltinFunction:
    return BuiltinFunction(name=name, compute=compute, overloads=overloads)


_ONE, _TWO = takes(TEXT, gives=TEXT), takes(TEXT, TEXT, gives=TEXT)
_SPLITS = (takes(TEXT, TEXT, gives=TEXT_ARRAY), takes(TEXT, TEXT, INT, gives=TEXT_ARRAY))

TEXT_BUILTINS = (
    _text("trim", _trim, _ONE, _TWO),
    _text("trimPrefix", _trim_prefix, _TWO, _ONE),
    _text("trimSuffix", _trim_suffix, _TWO, _ONE),
    _text("upper", _upper, _ONE),
    _text("lower", _lower, _ONE),
    _text("split", _split, *_SPLITS),
    _text("splitAfter", _split_after, *_SPLITS),
    _text("replace", _replace, takes(TEXT, TEXT, TEXT, INT, gives=TEXT), takes(TEXT, TEXT, TEXT, gives=TEXT)),
    _text("repeat", _repeat, takes(TEXT, INT, gives=TEXT)),
    _text(
        "join",
        _join,
        takes(TEXT_ARRAY, TEXT, gives=TEXT),
        takes(ARRAY, TEXT, gives=TEXT),
        takes(ARRAY, gives=TEXT),
        takes(TEXT_ARRAY, TEXT, gives=TEXT),
        takes(TEXT_ARRAY, gives=TEXT),
    ),
    _text("indexOf", _byte_position(str.find), takes(TEXT, TEXT, gives=INT)),
    _text("lastIndexOf", _byte_position(str.rfind), takes(TEXT, TEXT, gives=INT)),
    _text("hasPrefix", has_prefix, takes(TEXT, TEXT, gives=BOOL)),
    _text("hasSuffix", has_suffix, takes(TEXT, TEXT, gives=BOOL)),
)
