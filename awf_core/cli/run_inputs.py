"""Read the inputs of `awf run` and `awf submit`: a file, and `--input`, which overrides it.

Values of `--input` are text; values of the configuration and of a file keep their types. The engine checks them
against the workflow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from awf_core.errors import UsageError

PROMPT_PREFIX = "@prompts/"
MAX_PROMPT_BYTES = 1024 * 1024


def parse_pairs(pairs: Sequence[str], *, prompt_dirs: Sequence[Path] | None) -> dict[str, str]:
    """`key=value` texts as a mapping, with both sides trimmed. Raises UsageError.

    `@prompts/x` is replaced by the content of that file in `prompt_dirs`; with None it is kept.
    """
    inputs = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"--input {pair!r} is not of the form key=value", hint="Write --input name=value.")
        inputs[name.strip()] = value.strip() if prompt_dirs is None else _resolved(value.strip(), prompt_dirs)
    return inputs


def read_inputs_file(path: Path) -> dict[str, Any]:
    """The mapping in a YAML or JSON file. Raises UsageError naming the file."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise UsageError(f"--inputs-file {path}: {problem.strerror or problem}") from problem
    except (yaml.YAMLError, UnicodeDecodeError) as problem:
        raise UsageError(f"--inputs-file {path}: not YAML or JSON: {problem}") from problem
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UsageError(
            f"--inputs-file {path}: contains a {type(content).__name__}, not a mapping of names to values",
            hint='Write {"name": "value"}, or name: value on a line of its own.',
        )
    return {str(name): value for name, value in content.items()}


def prompt_dirs(cwd: Path, env: Mapping[str, str], global_dir: str) -> list[Path]:
    """The directories to search for `@prompts/x`, in order."""
    own = [Path(env["AWF_PROMPTS_PATH"])] if env.get("AWF_PROMPTS_PATH") else []
    return [*own, cwd / ".awf" / "prompts", Path(global_dir)]


def _resolved(value: str, directories: Sequence[Path]) -> str:
    if not value.startswith(PROMPT_PREFIX):
        return value
    name = value.removeprefix(PROMPT_PREFIX)
    if not name or name.startswith("/") or ".." in Path(name).parts:
        raise UsageError(f"{value}: not the name of a prompt file", hint="Write @prompts/name.md, without '..'.")
    for directory in directories:
        if (path := directory / name).is_file():
            return _prompt(path)
    searched = ", ".join(map(str, directories))
    raise UsageError(f"prompt file not found: {name}", hint=f"Searched: {searched}.")


def _prompt(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as problem:
        raise UsageError(f"prompt file {path}: {problem.strerror or problem}") from problem
    if len(content) > MAX_PROMPT_BYTES:
        raise UsageError(f"prompt file {path}: {len(content)} bytes; {MAX_PROMPT_BYTES} are allowed")
    return content.decode("utf-8", "surrogateescape").strip()
