"""What is kept of runs: the file of their state, their history, audit and transcript."""
