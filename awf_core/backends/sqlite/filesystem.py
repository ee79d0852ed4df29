"""Refuse network file systems, where SQLite's write-ahead log can lose or corrupt messages.

Called once at open. The log's index is memory shared between processes, which no network file system provides
across hosts. Where the system has no mount table to read (not Linux), nothing is refused.
"""

from __future__ import annotations

import re
from pathlib import Path

from awf_core.errors import BrokerMisconfigured

_MOUNT_TABLE = Path("/proc/self/mountinfo")
_NETWORK = frozenset(
    [
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "coda",
        "fuse.ceph",
        "fuse.cephfs",
        "fuse.gcsfuse",
        "fuse.glusterfs",
        "fuse.rclone",
        "fuse.s3fs",
        "fuse.sshfs",
        "gfs2",
        "glusterfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "ocfs2",
        "smb2",
        "smb3",
        "smbfs",
        "sshfs",
    ]
)
_OCTAL = re.compile(r"\\([0-7]{3})")


def refuse_network(path: Path) -> None:
    """Raise BrokerMisconfigured when `path`, existing or not, lies on a network file system."""
    try:
        table = _MOUNT_TABLE.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return
    check_mounts(path.resolve(), table)


def check_mounts(path: Path, mountinfo: str) -> None:
    """As `refuse_network`, for the text of a mount table; `path` is absolute and free of symbolic links."""
    mount_point, kind = mount_of(path, mountinfo)
    if kind in _NETWORK:
        raise BrokerMisconfigured(
            f"{path}: lies on {mount_point}, a network file system ({kind}), where the queue file isn't safe",
            hint="set mq.sqlite.path to a local disk; between hosts use redis, rabbitmq or sqs",
        )


def mount_of(path: Path, mountinfo: str) -> tuple[str, str]:
    """(mount point, file system type) that `path` lies on; ("", "") when the table doesn't say."""
    found = ("", "")
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) < 5 or not after:
            continue
        point = _OCTAL.sub(lambda match: chr(int(match[1], 8)), fields[4])
        # The last of several mounts at one place is the one on top.
        if path.is_relative_to(point) and len(point) >= len(found[0]):
            found = (point, after.split(" ")[0])
    return found
