"""Shell text as a POSIX shell reads it: where a value stands in it, and whether the value is harmless there."""
