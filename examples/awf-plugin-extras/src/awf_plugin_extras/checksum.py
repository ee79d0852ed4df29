"""The operation `file.checksum`. Reads one file, changes nothing."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from awf_core.extensions.operations import OperationFailed, OperationResult

if TYPE_CHECKING:
    from collections.abc import Mapping

    from awf_core.extensions.outward import OutwardContext

ALGORITHMS = ("sha256", "sha1", "md5")


class FileChecksum:
    """Inputs: `path`, relative to the run's directory, and `algorithm` (sha256)."""

    def run(self, inputs: Mapping[str, Any], context: OutwardContext) -> OperationResult:
        """Outputs: `checksum` in hexadecimal, `size` in bytes."""
        path, algorithm = inputs.get("path"), inputs.get("algorithm", "sha256")
        if not isinstance(path, str) or not path:
            raise OperationFailed("file.checksum: path is required")
        if algorithm not in ALGORITHMS:
            raise OperationFailed(f"file.checksum: algorithm {algorithm!r} is not one of {', '.join(ALGORITHMS)}")
        try:
            with (context.cwd / path).open("rb") as file:
                digest = hashlib.file_digest(file, algorithm)
                return OperationResult(outputs={"checksum": digest.hexdigest(), "size": file.tell()})
        except OSError as problem:
            raise OperationFailed(f"file.checksum: {path}: {problem.strerror}") from problem
