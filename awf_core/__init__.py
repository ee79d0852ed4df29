"""AWF for queues: run AWF workflows from messages. Public names are loaded on first use, so importing this is cheap."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from awf_core.client import Client as Client
    from awf_core.hookspecs import hookimpl as hookimpl

__version__ = "0.1.0"
__all__ = ["Client", "__version__", "hookimpl"]


def __getattr__(name: str) -> object:
    if name == "Client":
        from awf_core.client import Client

        return Client
    if name == "hookimpl":
        from awf_core.hookspecs import hookimpl

        return hookimpl
    raise AttributeError(f"module 'awf_core' has no attribute {name!r}")
