"""The names of backends and plugins, without importing one. Called for error texts and to distinguish typos.

Names come from the installed packages' metadata; the project's own backends are known even where not installed.
"""

from __future__ import annotations

from importlib.metadata import entry_points

BACKEND_GROUP = "awf.mq"
VARIABLE_GROUP = "awf.mq.env"
PLUGIN_GROUP = "awf.plugins"
BUILTIN_PLUGIN = "builtin"
"""The entry point of this package's own integrations in PLUGIN_GROUP."""

DEFAULT_BACKEND = "sqlite"

DISTRIBUTIONS = {"rabbitmq": "awf-mq-rabbitmq", "redis": "awf-mq-redis", "sqs": "awf-mq-sqs"}
"""Backends of this project that are installed one by one."""

OTHER_NAMES = {"amqp": "rabbitmq"}
"""Words that stand for a backend in variable names: `AWF_MQ_AMQP_URL`."""


def section_names() -> frozenset[str]:
    """Every backend name that may head a section under `mq:`: ours, and whatever is installed."""
    return frozenset({DEFAULT_BACKEND, *DISTRIBUTIONS, *(entry.name for entry in entry_points(group=BACKEND_GROUP))})


def distribution_for(name: str) -> str:
    """The package that has the backend `name`; for one that isn't ours, the package of that name by our naming rule."""
    name = OTHER_NAMES.get(name, name)
    return DISTRIBUTIONS.get(name, f"awf-mq-{name.replace('_', '-')}")


def install_line(name: str) -> str:
    """The command that installs the backend `name`."""
    return f"pip install {distribution_for(name)}"


def twin(*path: str) -> str:
    """The environment variable of a key: `twin("mq", "redis", "lease")` is `AWF_MQ_REDIS_LEASE`."""
    return "AWF_" + "_".join(path).upper().replace("-", "_").replace(".", "_")


def has_third_party_plugins() -> bool:
    """Whether a package other than this one has an entry point in PLUGIN_GROUP. Imports none of them."""
    return any(entry.name != BUILTIN_PLUGIN for entry in entry_points(group=PLUGIN_GROUP))
