"""Backends that ship with the core. Each is registered by entry point, like any third party's."""
