"""Tasks that run for as long as the process: the change feed and retention."""
