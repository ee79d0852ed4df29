"""What a run would do, without doing it: for `awf run --dry-run`."""
