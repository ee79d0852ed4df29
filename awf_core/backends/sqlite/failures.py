"""Errors of SQLite and the operating system as the contract's errors. Pure.

Called by `connection.py` around every use of the file, so that no sqlite3 exception leaves this package.
"""

from __future__ import annotations

import errno
import sqlite3
from typing import TYPE_CHECKING

from awf_core.errors import BodyTooLarge, BrokerBlocked, BrokerError, BrokerMisconfigured, BrokerUnavailable
from awf_core.units import format_duration

if TYPE_CHECKING:
    from pathlib import Path

_PRIMARY = 0xFF
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL})
_DENIED = frozenset({sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH, sqlite3.SQLITE_CANTOPEN})
_BROKEN = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NOT_ALLOWED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST})


def primary_code(error: sqlite3.Error) -> int | None:
    """SQLite's result code without its extension; None for errors Python raised itself."""
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & _PRIMARY


def broker_error(
    error: sqlite3.Error, *, path: Path, doing: str, busy_timeout_s: float, committing: bool
) -> BrokerError:
    """The contract's error for `error`. `doing` completes "can't ..."; `committing`: the commit itself failed."""
    code = primary_code(error)
    if code in _BUSY:
        return _locked(path, doing, busy_timeout_s)
    if code == sqlite3.SQLITE_FULL:
        return _no_space(path, doing, str(error))
    if code == sqlite3.SQLITE_IOERR:
        return _disk_error(path, doing, error, committing=committing)
    if code in _DENIED:
        return _denied(path, doing, str(error))
    if code in _BROKEN:
        return _broken(path, doing, str(error))
    if code == sqlite3.SQLITE_TOOBIG:
        return BodyTooLarge(f"{path}: a message is too large to {doing}", hint="pass large data as a file")
    return _unexpected(path, doing, error)


def os_error(error: OSError, *, path: Path, doing: str) -> BrokerError:
    """The contract's error for an error of the operating system."""
    text = error.strerror or str(error)
    if error.errno in _NO_SPACE:
        return _no_space(path, doing, text)
    if error.errno in _NOT_ALLOWED:
        return _denied(path, doing, text)
    return BrokerUnavailable(f"{path}: can't {doing}: {text}", hint="check the disk and its mount")


def no_memory(*, path: Path, doing: str) -> BrokerError:
    """The contract's error where the process has too little memory for a row; the transaction was rolled back."""
    return BrokerUnavailable(
        f"{path}: can't {doing}: not enough memory",
        hint="SQLite holds up to three times the largest body; give the process more memory, or remove that message",
    )


def _locked(path: Path, doing: str, busy_timeout_s: float) -> BrokerError:
    return BrokerUnavailable(
        f"{path}: can't {doing}: another process keeps it locked, for {format_duration(busy_timeout_s)}",
        hint=f"find it with `fuser -v {path}`, or raise mq.sqlite.busy_timeout",
    )


def _no_space(path: Path, doing: str, text: str) -> BrokerError:
    return BrokerBlocked(
        f"{path}: no room to {doing}: {text}",
        hint="free space (or raise the quota) on the disk that holds the file; nothing was written",
    )


def _disk_error(path: Path, doing: str, error: sqlite3.Error, *, committing: bool) -> BrokerError:
    text = f"{path}: the disk failed to {doing}: {error} ({getattr(error, 'sqlite_errorname', '')})"
    hint = "check free space, quota and the disk's health (`dmesg`)"
    if committing and getattr(error, "sqlite_errorcode", None) != sqlite3.SQLITE_IOERR_WRITE:
        # The commit record was written completely, so the commit may be valid after a crash although COMMIT failed.
        return BrokerUnavailable(text, hint=hint, in_doubt=True)
    return BrokerBlocked(text, hint=hint)


def _denied(path: Path, doing: str, text: str) -> BrokerError:
    return BrokerMisconfigured(
        f"{path}: not allowed to {doing}: {text}",
        hint="this user must be able to write the file and its directory (-wal and -shm lie beside it)",
    )


def _broken(path: Path, doing: str, text: str) -> BrokerError:
    return BrokerMisconfigured(
        f"{path}: can't {doing}: {text}",
        hint="not a sound SQLite file: name another in mq.sqlite.path, or stop the workers and try "
        f"`sqlite3 {path} .recover | sqlite3 recovered.db`",
    )


def _unexpected(path: Path, doing: str, error: sqlite3.Error) -> BrokerError:
    return BrokerMisconfigured(
        f"{path}: can't {doing}: {error}",
        hint="was its schema changed by hand? Compare with a queue file made afresh by `awf queue ensure`",
    )
