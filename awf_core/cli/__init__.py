"""The `awf` command: one file a sub-command, and the only place that draws."""
