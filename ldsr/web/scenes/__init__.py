"""Scene jobs on the page: offered, run beside it, kept over restarts."""
