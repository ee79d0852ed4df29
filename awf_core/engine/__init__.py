"""Runs workflows. Knows nothing of queues, and nothing of the integrations that plugins and this package register."""
