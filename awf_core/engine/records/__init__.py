"""The records of runs: the file of a run's state, the history, the audit log, the transcript."""
