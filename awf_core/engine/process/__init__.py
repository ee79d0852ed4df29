"""Processes that steps start: run to their end, watched, and killed with all they started."""
