"""Redis and Valkey as the message queue of AWF workers: `mq.type: redis`.

Entry point: `backend.py`. What happens inside the server is in `lua/`, one script a file.
"""

from __future__ import annotations

import redis

OLDEST_REDIS_PY = (6, 0)
"""The oldest version of redis-py that this package works with, as in its requirements."""


def _check_redis_py(version: str) -> None:
    """Raise ImportError for a redis-py that is too old. `pip install --no-deps` leaves one."""
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    if numbers < OLDEST_REDIS_PY:
        oldest = ".".join(map(str, OLDEST_REDIS_PY))
        raise ImportError(
            f"awf-mq-redis needs redis-py {oldest} or newer, and {version} is installed; "
            f"upgrade it with: pip install 'redis>={oldest}'"
        )


_check_redis_py(redis.__version__)
