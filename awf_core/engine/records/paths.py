"""The paths of the records of runs, from the environment. Called by commands and the worker. Pure: creates nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from awf_core.errors import UsageError

AUDIT_VARIABLE = "AWF_AUDIT_LOG"
AUDIT_OFF = "off"
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordPaths:
    """The directory of all records, and the file of the audit log, None = no audit log."""

    storage: Path
    audit: Path | None

    @property
    def states(self) -> Path:
        """The directory of state files."""
        return self.storage / "states"

    @property
    def transcripts(self) -> Path:
        """The directory of transcripts."""
        return self.storage / "transcripts"

    @property
    def history(self) -> Path:
        """The history's database."""
        return self.storage / "history.db"

    def state_file(self, run_id: str) -> Path:
        """The state file of a run."""
        return self.states / f"{run_id}.json"


def record_paths(env: Mapping[str, str], *, storage: Path | None = None) -> RecordPaths:
    """The paths that `env` names. `storage` None = `$XDG_DATA_HOME/awf`, by default `~/.local/share/awf`."""
    home = data_dir(env)
    named = env.get(AUDIT_VARIABLE, "")
    audit = None if named == AUDIT_OFF else Path(named) if named else home / "audit.jsonl"
    return RecordPaths(storage=storage or home, audit=audit)


def data_dir(env: Mapping[str, str]) -> Path:
    """The directory of the user's data."""
    home = env.get("HOME") or str(Path("~").expanduser())
    return Path(env.get("XDG_DATA_HOME") or f"{home}/.local/share") / "awf"


def check_run_id(run_id: str) -> str:
    """`run_id`, which becomes the name of a file. Raises UsageError for what can't be one."""
    if _RUN_ID.fullmatch(run_id) is None:
        raise UsageError(
            f"{run_id!r} is not the id of a run",
            hint="An id has letters, digits, '.', '_' and '-' and begins with a letter or digit; see `awf history`.",
        )
    return run_id
