"""Authentication: bearer tokens, verified by keysvc and cached."""
