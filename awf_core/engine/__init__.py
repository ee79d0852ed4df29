"""Running one workflow, once. Knows nothing of queues."""
