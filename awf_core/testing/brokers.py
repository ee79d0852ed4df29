"""Private brokers for tests: `PrivateRedis`, and where a broker comes from."""

from __future__ import annotations

from awf_core.testing.certificates import TlsFiles, make_certificates
from awf_core.testing.redis_server import PrivateRedis

__all__ = ["PrivateRedis", "TlsFiles", "make_certificates"]
