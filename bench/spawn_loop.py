"""A bare loop that spawns `SHELL -c true`: the limit `commands.py` compares with. Run as a program by it.

    python spawn_loop.py SHELL THREADS COUNT

Prints the seconds taken and the CPU seconds used, its own and its children's, as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor


def main(shell: str, threads: int, count: int) -> None:
    """Spawn `count` shells, `threads` at a time, output captured."""

    def spawn(_: int) -> None:
        subprocess.run([shell, "-c", "true"], capture_output=True, check=True)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(spawn, range(threads)))
        started_s, cpu_s = time.perf_counter(), _cpu_s()
        list(pool.map(spawn, range(count)))
        print(json.dumps({"seconds": time.perf_counter() - started_s, "cpu_s": _cpu_s() - cpu_s}))


def _cpu_s() -> float:
    return sum(os.times()[:4])


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
