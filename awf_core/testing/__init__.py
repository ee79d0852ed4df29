"""Published helpers for tests of plugins and of the core."""
