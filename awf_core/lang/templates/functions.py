"""The functions a template can call: Go's builtins, the original tool's own, and the dotless names.

Read by the parser (which names exist) and the identifier nodes. Nothing else is callable: no sprig, no upper. The
escapes are here too: shell words (`escape`), HTML, JavaScript, URL queries.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote_plus

from awf_core.lang.go.quoting import from_bytes, is_printable, quoted, to_bytes
from awf_core.lang.go.text import StringList, trim_space
from awf_core.lang.templates import formatting, value_functions
from awf_core.lang.templates.calls import Function
from awf_core.lang.templates.errors import MAX_PIECES, FunctionError, LimitError, check_size
from awf_core.lang.templates.json_text import to_json
from awf_core.lang.templates.namespaces import ROOT_NAMES, Root
from awf_core.lang.templates.values import Kind, Value, is_true, kind_of, type_name

MAX_FILE_BYTES = 1 << 20


def _text_of(values: Sequence[Value]) -> str:
    if len(values) == 1 and kind_of(values[0]) == Kind.STRING:
        return str(values[0])
    return formatting.sprint([formatting.printable(value) for value in values])


def _escaper(escape: Callable[[str], str]) -> Function:
    return Function(call=lambda *values: escape(_text_of(values)), rest="any")


def _call(name: str, value: Value, *_arguments: Value) -> Value:
    if kind_of(value) == Kind.NIL:
        raise FunctionError("call of nil")
    raise FunctionError(f"non-function {name} of type {type_name(value)}")


def _shell_escape(value: Value) -> str:
    return shell_word(value if type(value) is str else formatting.sprint([value]))


def _json(value: Value) -> str:
    try:
        return to_json(value)
    except FunctionError as error:
        raise FunctionError(f"marshal JSON: {error.reason}") from error


def _split(text: str, separator: str) -> StringList:
    pieces = text.count(separator) + 1 if separator else len(text)
    if pieces > MAX_PIECES:
        raise LimitError(f"split makes more than {MAX_PIECES} items")
    parts = text.split(separator) if separator else list(text)
    return StringList(trim_space(part) for part in parts)


def _join(items: StringList, separator: str) -> str:
    check_size(sum(map(len, items)) + len(separator) * max(len(items) - 1, 0))
    return separator.join(items)


def _read_file(path: str) -> str:
    """Content of a regular file. Devices and pipes are refused: reading one could last for ever."""
    name = quoted(path)
    try:
        mode = Path(path).stat().st_mode
        if stat.S_ISDIR(mode):
            raise FunctionError(f"failed to read file {name}: path is a directory")
        if not stat.S_ISREG(mode):
            raise FunctionError(f"failed to read file {name}: not a regular file")
        with Path(path).open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        raise FunctionError(f"failed to read file {name}: {_reason(path, error)}") from error
    if len(content) > MAX_FILE_BYTES:
        raise FunctionError(f"file {name} exceeds 1MB size limit")
    return from_bytes(content)


def _reason(path: str, error: OSError | ValueError) -> str:
    code = error.errno if isinstance(error, OSError) else None
    step = "open" if isinstance(error, PermissionError) and os.path.lexists(to_bytes(path)) else "stat"
    return f"{step} {path}: {os.strerror(code).lower() if code else 'invalid argument'}"


def _accessor(name: str) -> Function:
    def read(root: Root) -> Value:
        return root.dotless(name)

    return Function(call=read, needs_scope=True)


_BARE_WORD = re.compile(r"[A-Za-z0-9_@%+:,./-]+")
_HTML = str.maketrans({'"': "&#34;", "'": "&#39;", "&": "&amp;", "<": "&lt;", ">": "&gt;", "\0": "�"})
_JS_SPECIAL = re.compile(r"""[\\'"<>&=\x00-\x1f]|[^\x00-\x7f]""")
_JS_SHORT = {"\\": "\\\\", "'": "\\'", '"': '\\"'}


def shell_word(text: str) -> str:
    """`text` as one word of a POSIX shell: in single quotes, unless no character of it can mean anything to a shell.

    The original tool quotes fewer characters. It leaves `#`, `~` and `=` bare, so that a value that begins with `#`
    comments out the rest of the line.
    """
    if _BARE_WORD.fullmatch(text):
        return text
    return "'" + text.replace("'", "'\\''") + "'"


def html(text: str) -> str:
    """`text` for HTML content or a quoted attribute."""
    return text.translate(_HTML)


def javascript(text: str) -> str:
    """`text` for inside a JavaScript string literal."""
    return _JS_SPECIAL.sub(lambda match: _js_char(match[0]), text)


def _js_char(char: str) -> str:
    if char in _JS_SHORT:
        return _JS_SHORT[char]
    code = ord(char)
    if 0xD800 <= code < 0xE000:
        return char  # a byte that is no text stays one
    return char if code > 0x7F and is_printable(char) else f"\\u{code:04X}"


def url_query(text: str) -> str:
    """`text` for the query of a URL, a space as `+`."""
    return quote_plus(to_bytes(text), safe="")


FUNCTIONS: Final[dict[str, Function]] = {
    "and": Function(call=is_true, params=("value",), rest="value", special="and"),
    "or": Function(call=is_true, params=("value",), rest="value", special="or"),
    "not": Function(call=lambda value: not is_true(value), params=("value",)),
    "call": Function(call=_call, params=("value",), rest="value", special="call"),
    "eq": Function(call=value_functions.equal, params=("value",), rest="value"),
    "ne": Function(call=value_functions.not_equal, params=("value", "value")),
    "lt": Function(call=value_functions.less, params=("value", "value")),
    "le": Function(call=value_functions.less_or_equal, params=("value", "value")),
    "gt": Function(call=value_functions.greater, params=("value", "value")),
    "ge": Function(call=value_functions.greater_or_equal, params=("value", "value")),
    "len": Function(call=value_functions.length, params=("value",)),
    "index": Function(call=value_functions.index, params=("value",), rest="value"),
    "slice": Function(call=value_functions.cut, params=("value",), rest="value"),
    "print": Function(call=lambda *values: formatting.sprint(values), rest="any"),
    "println": Function(call=lambda *values: formatting.sprintln(values), rest="any"),
    "printf": Function(
        call=lambda text, *values: formatting.sprintf(text, values),
        params=("string",),
        rest="any",
        weigh=lambda values: values[0].count("%"),
    ),
    "html": _escaper(html),
    "js": _escaper(javascript),
    "urlquery": _escaper(url_query),
    "escape": Function(call=_shell_escape, params=("any",)),
    "json": Function(call=_json, params=("any",)),
    "split": Function(call=_split, params=("string", "string")),
    "join": Function(call=_join, params=("strings", "string")),
    "trimSpace": Function(call=trim_space, params=("string",)),
    "readFile": Function(call=_read_file, params=("string",)),
    **{name: _accessor(name) for name in ROOT_NAMES},
}
