"""The kit's fixtures and options."""

pytest_plugins = ["awf_core.testing.pytest_plugin"]
