"""Which organization a request acts for: bearer tokens, verified once and cached."""
