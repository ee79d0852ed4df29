"""One run of a workflow: its states in turn, its routing, its hooks, its end."""
