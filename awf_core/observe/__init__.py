"""What operators see of a running worker."""
