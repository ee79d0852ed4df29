"""TLS certificates for tests, made with the system's `openssl`. Used by the tests of brokers with TLS."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

from awf_core.testing.brokers import TlsFiles

if TYPE_CHECKING:
    from pathlib import Path

DAYS = "2"
NAMES = "subjectAltName=IP:127.0.0.1,DNS:localhost"


def can_make_certificates() -> bool:
    """Whether `openssl` is installed."""
    return shutil.which("openssl") is not None


def make_certificates(directory: Path) -> TlsFiles:
    """Write a test authority, and a certificate of it for 127.0.0.1 and localhost. Raises CalledProcessError."""
    directory.mkdir(parents=True, exist_ok=True)
    authority, authority_key = directory / "authority.pem", directory / "authority.key"
    certificate, key = directory / "server.pem", directory / "server.key"
    new_key = (
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        DAYS,
    )
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
