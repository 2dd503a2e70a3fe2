"""Background tasks: the change feed and the recording of key uses."""
