"""Certificates for TLS tests, made with the system's `openssl`. Called by fixtures of private brokers.

A throw-away authority and one server certificate for 127.0.0.1 and localhost; never for anything but tests.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

DAYS = "2"
NAMES = "subjectAltName=IP:127.0.0.1,DNS:localhost"


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """PEM files: `authority` is what clients trust, `certificate` and `key` are the server's (and a client's)."""

    authority: Path
    certificate: Path
    key: Path


def can_make_certificates() -> bool:
    """Whether `openssl` is there."""
    return shutil.which("openssl") is not None


def make_certificates(directory: Path) -> TlsFiles:
    """Write an authority and a certificate signed by it into `directory`. Raises CalledProcessError."""
    directory.mkdir(parents=True, exist_ok=True)
    authority, authority_key = directory / "authority.pem", directory / "authority.key"
    certificate, key = directory / "server.pem", directory / "server.key"
    new_key = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", DAYS)
    _openssl(
        *new_key, "-keyout", str(authority_key), "-out", str(authority), "-subj", "/CN=awf test authority",
        "-addext", "keyUsage=critical,keyCertSign,cRLSign",
    )  # fmt: skip
    _openssl(
        *new_key, "-keyout", str(key), "-out", str(certificate), "-subj", "/CN=localhost", "-addext", NAMES,
        "-addext", "basicConstraints=critical,CA:FALSE", "-CA", str(authority), "-CAkey", str(authority_key),
    )  # fmt: skip
    return TlsFiles(authority=authority, certificate=certificate, key=key)


def _openssl(*arguments: str) -> None:
    program = shutil.which("openssl") or "openssl"
    subprocess.run((program, *arguments), check=True, capture_output=True)
