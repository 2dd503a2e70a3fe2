"""Many calls on one stream, each answered as if it had come alone."""
