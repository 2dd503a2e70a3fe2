"""Background tasks of the process: the change feed and retention."""
