"""CPU seconds and memory of a process tree, from /proc. Called by the samplers; Linux only."""

from __future__ import annotations

import os
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def tree(root: int) -> list[int]:
    """`root` and its living descendants; what ends meanwhile is left out."""
    found, to_visit = [], [root]
    while to_visit:
        pid = to_visit.pop()
        found.append(pid)
        try:
            for task in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208  (a sampler should cost as little as it can)
                to_visit += map(int, _read(f"/proc/{pid}/task/{task}/children").split())
        except OSError:
            continue
    return found


def cpu_s(root: int) -> float:
    """User and system seconds of the tree, children already waited for included; in steps of 10 ms."""
    return sum(_cpu_ticks(pid) for pid in tree(root)) / _TICKS_PER_S


def rss_mb(pid: int) -> float:
    """Resident memory of one process now, in 10**6 bytes; 0 when it is gone."""
    return _status_mb(pid, "VmRSS:")


def peak_rss_mb(pid: int) -> float:
    """The most it ever had, in 10**6 bytes; 0 when it is gone."""
    return _status_mb(pid, "VmHWM:")


def machine_cpu_s() -> float:
    """CPU seconds of the whole machine since it started: shows what neighbours took."""
    user, nice, system, _idle, _iowait, irq, softirq = map(int, _read("/proc/stat").split()[1:8])
    return (user + nice + system + irq + softirq) / _TICKS_PER_S


def _cpu_ticks(pid: int) -> int:
    try:
        fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    except OSError:
        return 0
    return sum(map(int, fields[11:15]))


def _status_mb(pid: int, key: str) -> float:
    try:
        lines = _read(f"/proc/{pid}/status").splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(key)), 0.0)


def _read(path: str) -> str:
    return Path(path).read_text(encoding="utf-8", errors="replace")
