"""Tasks that run for as long as the process: change streams and uses of keys."""
